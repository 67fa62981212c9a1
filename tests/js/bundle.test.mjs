// The bundles of a build for the npm package and for the single file, as users get them.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { bundlePackage, bundleSingleFile, PACKAGE_FILES } from "../../scripts/bundle.mjs";
import { namedBuild, removeBuilds } from "./build-folder.mjs";

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
