// The module outside of a page, in Node.js and Deno: the CPU engine, models from disk and by address, and the
// same texts that a browser gets.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { modulePage, OUTPUT, start, SUB_PATH } from "./harness.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const FOLDER = `${OUTPUT}outside`;
const PROMPT = "The king called his daughter and";
const OPTIONS = { maxTokens: 24, seed: 7 };

/** Loads the model that it is given, and prints the results as JSON. */
const PROGRAM = `import { TokenFormer } from ${JSON.stringify(new URL("../../dist/tokenformer.js", import.meta.url).href)};
const name = (await import("node:process")).argv[2] || undefined;
try {
  const { state, downloadBytes } = await TokenFormer.availability(name, { backend: "cpu" });
  const model = await TokenFormer.load(name, { backend: "cpu" });
  const { text, finishReason } = await model.complete(${JSON.stringify(PROMPT)}, ${JSON.stringify(OPTIONS)});
  // A timer gets its turn while the engine computes.
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 0);
  const aborted = await model.complete("x", { maxTokens: 900, signal: controller.signal });
  const { id, notes, thread, backend } = model.info;
  await model.dispose();
  console.log(JSON.stringify({ state, downloadBytes, text, finishReason, aborted: aborted.finishReason, id, notes, thread, backend }));
} catch ({ code, message }) {
  console.log(JSON.stringify({ code, message }));
}
`;

let world;
let written;
before(async () => {
  world = await start({ webgpu: false });
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(`${FOLDER}/program.mjs`, PROGRAM);
  symlinkSync(path(`dist/models/${EMBEDDED.name}`), `${FOLDER}/a model, 100 % small`);
  const page = await modulePage(world);
  written = await page.evaluate(
    async ([prompt, options]) => {
      const model = await TokenFormer.load();
      const { text } = await model.complete(prompt, options);
      await model.dispose();
      return text;
    },
    [PROMPT, OPTIONS],
  );
  await page.context().close();
});
after(() => world?.close());

const runtimes = {
  node: [process.execPath, []],
  deno: [process.env.DENO ?? "deno", ["run", "--no-prompt", "--allow-read", "--allow-net=127.0.0.1"]],
};

/** Returns what the program prints; the process has to end by itself. */
async function run(runtime, name = "") {
  const [program, given] = runtimes[runtime];
  const { stdout } = await promisify(execFile)(program, [...given, "program.mjs", name], { cwd: FOLDER });
  return JSON.parse(stdout);
}

async function assertWrites(runtime) {
  const inFolder = await run(runtime, "./a model, 100 % small");
  assert.equal(inFolder.text, written, inFolder.message);
  assert.deepEqual([inFolder.aborted, inFolder.thread, inFolder.backend], ["abort", "main", "cpu"]);
  assert.deepEqual([inFolder.state, inFolder.downloadBytes], ["downloadable", EMBEDDED.downloadBytes]);
  assert.equal(inFolder.notes.length, 1, "it runs on the CPU: that nothing is kept is no news");
  assert.equal(inFolder.id, new URL("a%20model,%20100%20%25%20small/", new URL(`file://${FOLDER}/`)).href);
}

test("Node.js writes what a browser writes, with a model of the disk, of an address and the embedded one", async () => {
  await assertWrites("node");
  const address = `${world.server.origin}${SUB_PATH}models/${EMBEDDED.name}/`;
  for (const name of [address, ""]) assert.equal((await run("node", name)).text, written, name);
});

test("what is not there is told in Node.js as in a browser", async () => {
  const missing = await run("node", "./nothing");
  assert.deepEqual([missing.code, missing.message.includes(`${FOLDER}/nothing/`)], ["model-not-found", true]);
  assert.equal((await run("node", "nothing")).code, "invalid-argument");
});

test("Deno writes what a browser writes", async (t) => {
  const isThere = await promisify(execFile)(runtimes.deno[0], ["--version"]).then(
    () => true,
    () => false,
  );
  if (!isThere) return t.skip("there is no deno: DENO names one");
  await assertWrites("deno");
});
