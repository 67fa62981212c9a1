// The npm package: it installs from the build, types a strict project, and runs as Vite bundles it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createServer } from "vite";
import { serve } from "../../scripts/static-server.mjs";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { FULL, open, OUTPUT, start } from "./harness.mjs";

const run = promisify(execFile);
const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const PACKAGE = path("npm");
const PROJECT = `${OUTPUT}vite-project`;

/** A command of a package that the tests have installed. */
function tool(name, script) {
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  return (...args) => run(process.execPath, [join(dirname(manifest), script), ...args], { cwd: PROJECT });
}

let world;
let built;
before(async () => {
  world = await start({ webgpu: FULL });
  rmSync(PROJECT, { recursive: true, force: true });
  cpSync(path("examples/vite"), PROJECT, {
    recursive: true,
    filter: (source) => !/node_modules|\/dist$|\/public\/models$/.test(source),
  });
  const manifest = JSON.parse(readFileSync(`${PROJECT}/package.json`, "utf8"));
  writeFileSync(`${PROJECT}/package.json`, JSON.stringify({ ...manifest, dependencies: {}, devDependencies: {} }));
  await run("npm", ["install", PACKAGE, "--offline", "--no-audit", "--no-fund"], { cwd: PROJECT });
  built = await serve({ "/under/a/path/": `${PROJECT}/dist` });
});
after(async () => {
  await built?.close();
  await world?.close();
});

test("the package is what its manifest says, and nothing in it is missing", async () => {
  const manifest = JSON.parse(readFileSync(`${PACKAGE}/package.json`, "utf8"));
  const version = readFileSync(path("Cargo.toml"), "utf8").match(/^version = "(.*)"$/m)[1];
  assert.deepEqual(
    [manifest.name, manifest.version, manifest.type, manifest.license],
    ["tokenformer-web", version, "module", "Apache-2.0"],
  );
  for (const name of ["README.md", "LICENSE", "tokenformer.d.ts", "tokenformer-web_bg.wasm", "lib/engine/worker.js"])
    assert.ok(existsSync(`${PACKAGE}/${name}`), name);
  for (const target of [...Object.values(manifest.exports["."]), manifest.customElements])
    assert.ok(existsSync(join(PACKAGE, target)), target);
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json", PACKAGE], { cwd: PROJECT });
  const files = JSON.parse(stdout)[0].files.map((file) => file.path);
  const modules = readdirSync(`${PACKAGE}/lib`, { recursive: true }).filter((name) => name.endsWith(".js"));
  assert.ok(modules.length > 25);
  for (const name of modules) assert.ok(files.includes(`lib/${name}`), name);
});

test("the site has its files once", () => {
  const weights = readdirSync(path("dist"), { recursive: true }).filter((name) => /\.(safetensors|wasm)$/.test(name));
  assert.deepEqual(weights.sort(), [`models/${EMBEDDED.name}/model.safetensors`, "tokenformer-web_bg.wasm"]);
});

test("it can be imported where there is no browser", async () => {
  const script = `import { TokenFormer } from "tokenformer-web";
    try { await TokenFormer.load("nonsense"); } catch (error) { console.log(error.code); }`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { cwd: PROJECT });
  assert.equal(stdout.trim(), "invalid-argument");
});

test("a strict project type-checks, and what the types must refuse they refuse", async () => {
  const tsc = tool("typescript", "bin/tsc");
  await tsc("--noEmit", "-p", ".").catch(({ stdout }) => assert.fail(stdout));
  writeFileSync(`${PROJECT}/src/more.ts`, readFileSync(path("tests/browser/pages/types.ts")));
  const { stdout } = await tsc("--noEmit", "-p", ".").then(
    () => ({ stdout: "" }),
    (error) => error,
  );
  rmSync(`${PROJECT}/src/more.ts`);
  assert.equal(stdout, "");
});

/** Begins a story on the example's page, and stops it. */
async function assertWrites(url) {
  const page = await open(world, url);
  await page.locator("#prompt").fill("Once upon a time");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.waitForFunction(
    () => document.querySelector("#output").textContent.length > "Once upon a time".length + 20,
  );
  await page.getByRole("button", { name: "Stop" }).click();
  await page.waitForFunction(() => /^Done/.test(document.querySelector("#status").textContent));
  assert.equal(await page.locator("#status").textContent(), "Done, in the worker thread.");
  assert.deepEqual(page.problems, []);
  await page.close();
}

test("the example's own script bundles it, and the bundle generates text in a worker", async () => {
  const bin = dirname(createRequire(import.meta.url).resolve("vite/package.json")).replace(/vite$/, ".bin");
  const { stdout, stderr } = await run("npm", ["run", "build"], {
    cwd: PROJECT,
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
  assert.doesNotMatch(`${stdout}${stderr}`, /warning|doesn't exist/i);
  const assets = readdirSync(`${PROJECT}/dist/assets`);
  for (const kind of [/^worker.*\.js$/, /\.wasm$/])
    assert.equal(assets.filter((name) => kind.test(name)).length, 1, `${kind} in ${assets}`);
  const wasm = assets.find((name) => name.endsWith(".wasm"));
  assert.equal(statSync(`${PROJECT}/dist/assets/${wasm}`).size, statSync(`${PACKAGE}/tokenformer-web_bg.wasm`).size);
  await assertWrites(`${built.origin}/under/a/path/`);
});

test("vite dev serves it as it is installed, by a link to the build's folder", async (t) => {
  const server = await createServer({ root: PROJECT, logLevel: "silent", server: { host: "127.0.0.1", port: 0 } });
  t.after(() => server.close());
  await server.listen();
  await assertWrites(server.resolvedUrls.local[0]);
});
