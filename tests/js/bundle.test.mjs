// The bundles of a build for the npm package and for the single file, as users get them.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import { after, before, test } from "node:test";
import { bundlePackage, bundleSingleFile, PACKAGE_FILES } from "../../scripts/bundle.mjs";
import { finishedBuild, namedBuild, removeBuilds } from "./build-folder.mjs";

let build;
let target;
const read = (file) => readFileSync(join(target, file), "utf8");
before(async () => {
  build = namedBuild();
  target = mkdtempSync(join(tmpdir(), "tokenformer-bundle-"));
  await bundlePackage(build.folder, target, { version: "1.2.3", entries: { "tokenformer.js": "tokenformer.js" } });
});
after(() => {
  removeBuilds();
  rmSync(target, { recursive: true, force: true });
});

test("bundlers find worker and WebAssembly beside the module, by addresses without a query", () => {
  for (const file of ["tokenformer.js", "tokenformer.bundle.js"]) {
    assert.match(read(file), /new URL\("\.\/tokenformer-web_bg\.wasm", ?import\.meta\.url\)/, file);
    assert.match(
      read(file),
      /new Worker\(new URL\("\.\/tokenformer\.worker\.js", ?import\.meta\.url\), ?\{ ?type: ?"module" ?\}\)/,
      file,
    );
    assert.doesNotMatch(read(file), /\?build=/, file);
    // By itself it becomes an address on the developer's disk in some bundles.
    assert.equal(read(file).match(/import\.meta/g).length, 2, file);
  }
  assert.match(read("tokenformer.js"), /import\("\.\/tokenformer-web\.js"\)/, "the glue is fetched once it is needed");
});

test("the worker imports nothing, and its text comes along", async () => {
  // Outside of a page, where this file is not used, it would import Node's modules when they are needed.
  assert.doesNotMatch(read("tokenformer.worker.js").replaceAll("import(`node:", ""), /\bimport\b|\bexport\b/);
  const { default: source } = await import(join(target, "tokenformer.worker-source.js"));
  assert.equal(source, read("tokenformer.worker.js"));
  assert.ok(read("tokenformer.bundle.js").includes(build.name));
  assert.doesNotMatch(read("tokenformer.bundle.js"), /import\("\.\//, "it asks for no module");
});

test("every file knows its build, the package's its version, and none the machine", () => {
  for (const file of ["tokenformer.js", "tokenformer.worker.js", "tokenformer.bundle.js"])
    assert.ok(read(file).includes(`"${build.name}"`), file);
  assert.match(read("tokenformer.js"), /VERSION = "1\.2\.3"/);
  const left = PACKAGE_FILES.filter((file) => !file.endsWith(".wasm")); // copied, not made
  for (const file of left) assert.ok(readdirSync(target).includes(file), file);
  for (const file of readdirSync(target)) assert.ok(!read(file).includes(build.folder), file);
});

test("the site's single file asks for its own build's WebAssembly", async () => {
  const site = mkdtempSync(join(tmpdir(), "tokenformer-bundle-"));
  await bundleSingleFile(build.folder, site, { query: `?build=${build.name}` });
  const text = readFileSync(join(site, "tokenformer.bundle.js"), "utf8");
  rmSync(site, { recursive: true });
  assert.ok(text.includes(`"./tokenformer-web_bg.wasm?build=${build.name}"`));
});

test("an address of a file that lies beside no bundle is refused", async () => {
  const { folder } = namedBuild();
  writeFileSync(join(folder, "tokenformer.js"), 'export const icon = new URL("./page/icon.svg", import.meta.url);\n');
  await assert.rejects(bundleSingleFile(folder, folder), /icon\.svg, which lies beside no bundle/);
});

/** The addresses by which a script asks for modules and workers. @param {string} text */
const addressesIn = (text) =>
  [...text.matchAll(/^(?!\s*(?:\/\/|\/?\*)).*?(?: from |^import |import\(|new URL\()"(\.{1,2}\/[^"]+)"/gm)].map(
    ([, address]) => address,
  );

test("a page of the site, and its worker, are a script each; the module is three", async () => {
  const { folder, name } = await finishedBuild();
  const site = (path) => readFileSync(join(folder, path), "utf8");
  for (const page of readdirSync(folder).filter((file) => file.endsWith(".html"))) {
    const scripts = [...site(page).matchAll(/<script type="module" src="([^"]+)"/g)].map(([, address]) => address);
    assert.equal(scripts.length, 1, page);
    const [path, query] = scripts[0].split("?");
    assert.deepEqual([path.endsWith(".bundle.js"), query], [true, `build=${name}`], page);
    // Besides the engine, which is another file, once a model is loaded.
    const asked = new Set(addressesIn(site(path)).map((address) => posix.join(dirname(path), address)));
    const engine = ["tokenformer-web_bg.wasm", "tokenformer-web.js", "lib/engine/worker.js"];
    const isSmall = page === "conformance.html";
    assert.deepEqual(
      [...asked].sort(),
      engine
        .slice(0, isSmall ? 2 : 3)
        .map((file) => `${file}?build=${name}`)
        .sort(),
      page,
    );
  }
  assert.deepEqual(
    addressesIn(site("lib/engine/worker.js")).filter((address) => !address.includes(".wasm")),
    [],
    "the worker imports nothing",
  );
  const of = (file) => new Set(addressesIn(site(file)));
  assert.deepEqual(of("tokenformer.js"), new Set([`./lib/library.js?build=${name}`, `./lib/errors.js?build=${name}`]));
  assert.ok(!of("lib/library.js").has(`./lib/engine/module.js?build=${name}`));
});

test("bundles are readable, know their build, and leave the modules beside them as they are", async () => {
  const { folder, name } = await finishedBuild();
  const site = (path) => readFileSync(join(folder, path), "utf8");
  const bundle = site("page/page.bundle.js");
  for (const words of [
    "// lib/element/element.js",
    "ElementView = class {",
    "function composePrompts(",
    `BUILD = "${name}"`,
  ])
    assert.ok(bundle.includes(words), words);
  assert.ok(site("page/page.js").includes('import { showFirstView } from "./first-view.js'), "the module");
  assert.equal(bundle.match(/customElements\.define\("token-former"/g).length, 1);
  for (const file of readdirSync(folder, { recursive: true }).filter((file) => /\.js$/.test(file)))
    assert.ok(!site(file).includes(folder), file);
});

test("errors and models of the published modules are of one class, whoever imports them", async () => {
  const { folder, name } = await finishedBuild();
  const from = (path) => import(`${pathToFileURL(join(folder, path))}`);
  const { TokenFormer, TokenFormerError } = await from("tokenformer.js");
  const { createTokenFormer } = await from("ai-sdk.js");
  const { serveRequests } = await from("requests.js");
  for (const wrong of [
    () => TokenFormer.load(7),
    () => createTokenFormer({ model: 7 }).languageModel(7),
    () => serveRequests(7),
  ])
    await assert.rejects(
      async () => wrong(),
      (error) => error instanceof TokenFormerError && error.code === "invalid-argument",
    );
  const library = await import(`${pathToFileURL(join(folder, "lib/library.js"))}?build=${name}`);
  assert.equal(library.TokenFormer, TokenFormer);
});
