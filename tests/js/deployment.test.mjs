// Parts of two builds never talk to each other: a part that meets another build says so, and that a reload helps.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { EnginePort } from "../../www/lib/engine/port.js";
import { EngineService } from "../../www/lib/engine/service.js";
import { enginesOf } from "../../www/lib/engine/engines-of.js";
import { unpackError } from "../../www/lib/engine/wire.js";
import { namedBuild, removeBuilds } from "./build-folder.mjs";
import { endWorkers, fakeWorker } from "./fake-engine.mjs";

let first;
let second;
before(() => {
  first = namedBuild();
  second = namedBuild({ "lib/engine/lock.js": "export class Lock {}\n" });
});
after(() => {
  endWorkers();
  removeBuilds();
});

/** A module of a build, as a page has it. */
const importOf = ({ folder, name }, path) => import(`${pathToFileURL(join(folder, path))}?build=${name}`);
const RELOAD = { name: "TokenFormerError", code: "integrity", hint: /^Reload the page/ };

const { fetch, document, Worker, origin } = globalThis;
afterEach(() => Object.assign(globalThis, { fetch, document, Worker, origin }));

/** Workers that say `message` first; returns those that were created. */
function workersSay(message) {
  const made = [];
  globalThis.document = {};
  globalThis.origin = "null"; // a file's
  globalThis.Worker = class extends EventTarget {
    constructor(address) {
      super();
      made.push({ address: String(address), worker: this });
      queueMicrotask(() => this.onmessage?.({ data: message }));
    }
    postMessage() {}
    terminate() {
      this.isTerminated = true;
    }
  };
  return made;
}

test("a page whose worker comes from another build says so, each time, and takes no other way", async () => {
  const { engines } = await importOf(first, "lib/engine/engines.js");
  const others = [
    { type: "ready", build: second.name, hasGpu: true },
    { type: "ready", hasGpu: true },
    { type: "prepared", build: second.name },
    "hello",
    null,
  ];
  for (const message of others) {
    const made = workersSay(message);
    for (let tries = 0; tries < 2; tries++) await assert.rejects(engines.get(), RELOAD, JSON.stringify(message));
    assert.deepEqual(
      made.map(({ worker }) => worker.isTerminated),
      [true, true],
    );
  }
  workersSay({ type: "ready", build: first.name, hasGpu: true });
  assert.equal((await engines.get()).constructor.name, "EnginePort");
});

test("worker, glue and WebAssembly are asked for by the build's name", async () => {
  const made = workersSay({ type: "ready", build: first.name, hasGpu: true });
  const { glueAddress, wasmAddresses } = await importOf(first, "lib/locations.js");
  const { scriptAddress } = await importOf(first, "lib/engine/module.js");
  const { engines } = await import(
    `${pathToFileURL(join(first.folder, "lib/engine/engines.js"))}?build=${first.name}&page=2`
  );
  await engines.get();
  for (const address of [made[0].address, glueAddress(), ...wasmAddresses(), scriptAddress(0), scriptAddress(2)])
    assert.equal(new URL(address).searchParams.get("build"), first.name, address);
  assert.equal(new URL(scriptAddress(2)).searchParams.get("restart"), "2");
});

/** As in a page, which cannot read files from the disk. */
function asPage(t) {
  globalThis.document = {};
  t.after(() => delete globalThis.document);
}

test("WebAssembly of another build is not started", async (t) => {
  asPage(t);
  const { EngineModule } = await importOf(first, "lib/engine/module.js");
  const starts = async (bytes, type) => {
    let started = 0;
    globalThis.fetch = async () => new Response(bytes, { headers: type ? { "Content-Type": type } : {} });
    const module = new EngineModule(async () => ({ default: async () => (started += 1) }));
    await module.load();
    return started;
  };
  const wasm = ({ folder }) => readFileSync(join(folder, "tokenformer-web_bg.wasm"));
  assert.equal(await starts(wasm(first), "application/wasm"), 1);
  assert.equal(await starts(wasm(first), "application/octet-stream"), 1);
  assert.equal(await starts(wasm(first)), 1);
  await assert.rejects(starts(wasm(second), "application/wasm"), (error) => {
    assert.match(error.message, new RegExp(`${second.name}.*${first.name}`));
    return error.code === RELOAD.code && RELOAD.hint.test(error.hint);
  });
  await assert.rejects(starts(wasm(second).subarray(0, 8), "application/wasm"), RELOAD, "it has no name");
});

test("engine files that are gone, or never come, end with an error that says what to do", async (t) => {
  asPage(t);
  const { EngineModule } = await importOf(first, "lib/engine/module.js");
  const gone = { code: "network", hint: /^Reload the page/ };
  const load = () => new EngineModule(async () => ({ default: async () => {} })).load();
  globalThis.fetch = async () => new Response("", { status: 404 });
  await assert.rejects(load(), gone);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.fetch = () => new Promise(() => {});
  const waiting = assert.rejects(load(), gone);
  t.mock.timers.tick(600_000);
  await waiting;
});

test("a script that has gone with the build before it is told with a way out, whoever asks", async () => {
  const { EngineModule } = await importOf(first, "lib/engine/module.js");
  const imports = async () => {
    throw new TypeError("Failed to fetch dynamically imported module: https://site.example/assets/engine-1a2b.js");
  };
  globalThis.fetch = () => new Promise(() => {});
  const run = () => new EngineModule(imports).run((instance) => instance.Engine.random({}));
  await assert.rejects(run(), { name: "TokenFormerError", code: "network", hint: /reload the page/ });
});

test("a message that the page does not know ends all that waits for that worker", async () => {
  const worker = fakeWorker(enginesOf({ run: () => new Promise(() => {}) }));
  let retired = 0;
  const port = new EnginePort(worker, () => (retired += 1));
  const waiting = [port.random({}), port.load({})];
  const ends = waiting.map((call) => assert.rejects(call, RELOAD));
  worker.onmessage({ data: { type: "answered", call: 1, value: [] } });
  await Promise.all(ends);
  assert.deepEqual([worker.isTerminated, retired], [true, 1]);
  await assert.rejects(port.random({}), RELOAD);
});

test("a message that the worker does not know is told to the page, which ends", async () => {
  for (const message of [{ type: "open", call: 1, args: [] }, {}, { type: "toString" }]) {
    const sent = [];
    new EngineService({ postMessage: (answer) => sent.push(answer) }, {}).receive(message);
    assert.deepEqual(
      sent.map(({ type }) => type),
      ["stopped"],
    );
    const { code, hint } = unpackError(sent[0].error);
    assert.deepEqual([code, RELOAD.hint.test(hint)], [RELOAD.code, true]);
  }
});

test("a method that the engine does not have is another build's, too", async () => {
  const engine = { info: () => ({}) };
  const made = { engine, watch: () => () => {} };
  const sent = [];
  const answered = () => new Promise((resolve) => (told = resolve));
  let told;
  const service = new EngineService(
    { postMessage: (answer) => (sent.push(answer), told?.(answer)) },
    { random: async () => made },
  );
  let answer = answered();
  service.receive({ type: "random", call: 1, args: [{}] });
  const { value } = await answer;
  answer = answered();
  service.receive({ type: "engine", engine: value, name: "stepInfos", call: 2, args: [] });
  const { error } = await answer;
  assert.deepEqual([error.code, RELOAD.hint.test(error.hint)], [RELOAD.code, true]);
});
