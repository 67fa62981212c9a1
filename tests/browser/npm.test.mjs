// The npm packages and the single file: their contents, and their messages when a file is missing. The projects that
// install them are the examples (examples.test.mjs).

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { importMap } from "../../scripts/release.mjs";
import { serve } from "../../scripts/static-server.mjs";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { open, start, SUB_PATH } from "./harness.mjs";
import { install, pack, run } from "./package-project.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const PACKAGE = path("npm");
const version = readFileSync(path("Cargo.toml"), "utf8").match(/^version = "(.*)"$/m)[1];

let world;
let packed;
let project;
before(async () => {
  world = await start({ webgpu: false });
  packed = await pack(["npm"]);
  project = await install(packed, "vite");
});
after(async () => {
  await world?.close();
  if (packed) rmSync(packed.folder, { recursive: true, force: true });
});

test("the packages are what their manifests say, and nothing in them is missing", async () => {
  const files = async (folder) => {
    const { stdout } = await run("npm", ["pack", "--dry-run", "--json", path(folder)], { cwd: packed.folder });
    return JSON.parse(stdout)[0].files.map((file) => file.path);
  };
  const manifest = JSON.parse(readFileSync(`${PACKAGE}/package.json`, "utf8"));
  assert.deepEqual(
    [manifest.name, manifest.version, manifest.type, manifest.license],
    ["tokenformer-web", version, "module", "Apache-2.0"],
  );
  const code = await files("npm");
  const targets = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === "string" ? entry : Object.values(entry),
  );
  const named = [
    manifest.main,
    manifest.module,
    manifest.types,
    manifest.customElements,
    ...Object.values(manifest.bin),
  ];
  for (const file of [...targets, ...named]) assert.ok(code.includes(file.replace("./", "")), file);
  for (const file of ["README.md", "LICENSE", "tokenformer-web.js", "tokenformer.worker-source.js"])
    assert.ok(code.includes(file), file);
  const model = await files("npm-stories");
  for (const file of readdirSync(path(`www/models/${EMBEDDED.name}`)))
    assert.ok(model.includes(`models/${EMBEDDED.name}/${file}`), file);
  assert.ok(!code.some((file) => file.includes("models")), "the model is the other package's");
  assert.equal(JSON.parse(readFileSync(path("npm-stories/package.json"), "utf8")).version, version);
});

test("the site has its files once", () => {
  const weights = readdirSync(path("dist"), { recursive: true }).filter((name) => /\.(safetensors|wasm)$/.test(name));
  assert.deepEqual(weights.sort(), [`models/${EMBEDDED.name}/model.safetensors`, "tokenformer-web_bg.wasm"]);
});

test("it can be imported where there is no browser", async () => {
  const script = `import { TokenFormer } from "tokenformer-web";
    try { await TokenFormer.load("nonsense"); } catch (error) { console.log(error.code); }`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { cwd: project });
  assert.equal(stdout.trim(), "invalid-argument");
});

test("a strict project type-checks, and what the types must refuse they refuse", async () => {
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
  const check = () => run(process.execPath, [tsc, "--noEmit", "-p", "."], { cwd: project });
  await check().catch(({ stdout }) => assert.fail(stdout));
  // Its own dependencies: a project that imports tokenformer-web/ai-sdk has them.
  mkdirSync(`${project}/node_modules/@ai-sdk`, { recursive: true });
  for (const name of ["@ai-sdk/provider", "openai"])
    symlinkSync(path(`node_modules/${name}`), `${project}/node_modules/${name}`, "dir");
  writeFileSync(`${project}/src/more.ts`, readFileSync(path("tests/browser/pages/types.ts")));
  const { stdout } = await check().then(
    () => ({ stdout: "" }),
    (error) => error,
  );
  rmSync(`${project}/src/more.ts`);
  assert.equal(stdout, "");
});

test("the command that copies says how it is used, and what is missing", async () => {
  const copy = (...args) => run(process.execPath, ["node_modules/tokenformer-web/copy.mjs", ...args], { cwd: project });
  await copy("copy", "here", "--engine");
  for (const file of ["tokenformer-web_bg.wasm", "tokenformer.worker.js"])
    assert.ok(existsSync(join(project, "here", file)), file);
  for (const wrong of [["remove", "here"], ["copy"], ["copy", "here", "--all"]])
    await assert.rejects(copy(...wrong), { code: 2, stderr: /^Usage: / });
  await assert.rejects(copy("copy", "here"), { code: 1, stderr: /npm install tokenformer-web-stories/ });
});

test("the import map has the hash of every module that is loaded", () => {
  const { imports, integrity } = importMap(PACKAGE);
  const address = (file) => `https://cdn.jsdelivr.net/npm/tokenformer-web@${version}/${file}`;
  assert.equal(imports["tokenformer-web"], address("tokenformer.js"));
  assert.equal(imports["tokenformer-web/bundle"], address("tokenformer.bundle.js"));
  for (const file of ["tokenformer.js", "tokenformer-web.js", "tokenformer.worker-source.js", "tokenformer.bundle.js"])
    assert.match(integrity[address(file)], /^sha384-[\w+/]{64}$/, file);
});

/** How `load()` ends on a page that imports the module from `url`; `prepare` runs before. */
async function loads(url, { model, assets } = {}) {
  const page = await open(world, `${world.server.origin}/blank/`);
  const outcome = await page.evaluate(
    async ([url, model, assets]) => {
      const { TokenFormer } = await import(url);
      if (assets) TokenFormer.assets = assets;
      try {
        const loaded = await TokenFormer.load(model);
        const { tokenIds } = await loaded.complete([1, 2, 3], { maxTokens: 4, logitBias: { 0: -1000 } });
        return { tokens: tokenIds.length, thread: loaded.info.thread, notes: loaded.info.notes };
      } catch ({ code, message, hint }) {
        return { code, message, hint };
      }
    },
    [url, model, assets],
  );
  await page.close();
  return outcome;
}

test("the single file is enough: the worker is in it, also where it comes from another origin", async (t) => {
  const model = `${world.server.origin}/oracle/fixtures/head64-q4/`;
  for (const origin of [world.server.origin, world.other.origin]) {
    const { thread, tokens } = await loads(`${origin}${SUB_PATH}tokenformer.bundle.js`, { model });
    assert.deepEqual([thread, tokens], ["worker", 4], origin);
  }
  // For the package with nothing but the wasm: the worker's file is missing, its text is not.
  const folder = join(packed.folder, "without-worker");
  cpSync(PACKAGE, folder, { recursive: true, filter: (source) => !source.endsWith("tokenformer.worker.js") });
  const site = await serve({
    "/code/": folder,
    "/blank/": path("tests/browser/pages"),
    "/oracle/": path("target/oracle"),
  });
  t.after(() => site.close());
  assert.equal((await loads(`${site.origin}/code/tokenformer.js`, { model })).thread, "worker");
});

test("what is not there is named, with what to copy where", async () => {
  const own = `${world.server.origin}${SUB_PATH}`;
  const withoutModel = await serve({ "/code/": PACKAGE });
  const { code, message, hint } = await loads(`${withoutModel.origin}/code/tokenformer.js`);
  await withoutModel.close();
  assert.equal(code, "model-not-found");
  assert.ok(message.includes(`${withoutModel.origin}/code/models/${EMBEDDED.name}/`), message);
  assert.ok(
    hint.includes(
      `Copy models/${EMBEDDED.name}/ of the package tokenformer-web-stories to ${withoutModel.origin}/code/`,
    ),
    hint,
  );
  const elsewhere = await loads(`${own}tokenformer.js`, { assets: "/nowhere/" });
  assert.equal(elsewhere.code, "network");
  assert.match(elsewhere.message, /http:\S+\/nowhere\/tokenformer-web_bg\.wasm\S* \(status 404\)/);
  const found = await loads(`${world.other.origin}${SUB_PATH}tokenformer.js`, { assets: SUB_PATH });
  assert.deepEqual([found.thread, found.tokens], ["worker", 4]);
});
