// Where engines run: when a worker is tried, and when no longer.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

const MODULE = new URL("../../www/lib/engine/engines.js", import.meta.url);
const ready = (hasGpu) => (worker) => worker.onmessage({ data: { type: "ready", hasGpu } });
const fails = (worker) => worker.onerror({});

/** What the next workers do, and those that were created. */
let next;
let made;
/** The module, as in a page that was just opened. */
let engines;
let engineModule;
let pages = 0;
beforeEach(async () => {
  [next, made] = [[], []];
  globalThis.document = {};
  const gpu = { requestAdapter: async () => null };
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
  globalThis.Worker = class extends EventTarget {
    constructor() {
      super();
      made.push(this);
      const act = next.shift();
      if (act) queueMicrotask(() => act(this));
    }
    postMessage() {}
    terminate() {
      this.isTerminated = true;
    }
  };
  ({ engines, engineModule } = await import(`${MODULE}?page=${(pages += 1)}`));
});
afterEach(() => made.forEach((worker) => worker.onerror?.({})));

test("a worker that could not be started is tried once more", async () => {
  next = [fails, ready(true)];
  assert.equal((await engines.get()).constructor.name, "Object", "this model goes on without");
  const port = await engines.get();
  assert.equal(port.constructor.name, "EnginePort");
  assert.equal(await engines.get(), port);
  assert.deepEqual(
    made.map(({ isTerminated }) => isTerminated),
    [true, undefined],
  );
});

test("after two failures in a row none is tried any more", async () => {
  next = [fails, fails, ready(true)];
  for (let tries = 0; tries < 4; tries++) assert.equal((await engines.get()).constructor.name, "Object");
  assert.equal(made.length, 2);
});

test("where workers lack the WebGPU that the page has, they get what runs on the CPU", async () => {
  next = [ready(false), ready(true)];
  for (let tries = 0; tries < 3; tries++) assert.equal((await engines.get("auto")).constructor.name, "Object");
  assert.equal((await engines.get("cpu")).constructor.name, "EnginePort");
  assert.equal((await engines.get("webgpu")).constructor.name, "Object");
  assert.equal(made.length, 1);
});

test("where the page has no WebGPU either, a worker gets all", async () => {
  delete globalThis.navigator.gpu;
  next = [ready(false)];
  for (const backend of ["auto", "webgpu", "cpu", undefined]) {
    assert.equal((await engines.get(backend)).constructor.name, "EnginePort", backend);
  }
  assert.equal(made.length, 1);
});

test("a worker that never answers does not hold up the model", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const waiting = Promise.all([engines.get(), engines.get()]);
  t.mock.timers.tick(19_999);
  assert.equal(made[0].isTerminated, undefined);
  t.mock.timers.tick(1);
  assert.deepEqual(
    (await waiting).map(({ constructor }) => constructor.name),
    ["Object", "Object"],
  );
  assert.deepEqual(
    made.map(({ isTerminated }) => isTerminated),
    [true],
  );
});

test("an engine whose files cannot be fetched or used is told by every call, and asked for again", async (t) => {
  const { EngineModule } = await import("../../www/lib/engine/module.js");
  const { enginesOf } = await import("../../www/lib/engine/engines-of.js");
  const lost = new TypeError("Failed to fetch");
  const glue = (work) => async () => ({
    default: async () => work?.(),
    Engine: { random: async () => "made", load: async () => "loaded" },
  });
  const rejects = (error) => async () => {
    throw error;
  };
  const answers =
    (status, body = "") =>
    async () =>
      new Response(body, { status });
  const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0); // a WebAssembly module
  for (const [name, importGlue, fetchWasm, code, says] of [
    ["no network", glue(), rejects(lost), "network", /fetched: \S*\/tokenformer-web_bg\.wasm \(Failed to fetch\)/],
    ["no such file", glue(), answers(404), "network", /tokenformer-web_bg\.wasm \(status 404\)/],
    [
      "no glue",
      rejects(new TypeError("Importing a module script failed.")),
      answers(200, empty),
      "network",
      /could not be fetched/,
    ],
    ["a page", glue(), answers(200, "<!doctype html>"), "network", /\(it is no WebAssembly\)/],
  ]) {
    t.mock.method(globalThis, "fetch", fetchWasm);
    const calls = enginesOf(new EngineModule(importGlue));
    // (The fake navigator.gpu has no requestAdapter, which is no reason to fail either.)
    for (const call of [() => calls.load({ id: "x" }), () => calls.random({ id: "x" })]) {
      await assert.rejects(
        call,
        (e) => e.name === "TokenFormerError" && e.code === code && says.test(e.message) && e.hint !== "",
        name,
      );
    }
  }
  t.mock.method(globalThis, "fetch", rejects(lost));
  const calls = enginesOf(new EngineModule(glue()));
  await assert.rejects(() => calls.random({}), { code: "network" });
  t.mock.method(globalThis, "fetch", answers(200, empty));
  assert.equal((await calls.random({})).engine, "made", "the next call finds what is there by then");
});

test("a model says why it runs on the page's thread, unless that is where it was wanted", async () => {
  engineModule.load = async () => ({ Engine: { random: async () => ({ info: () => ({}) }) } });
  const noteOf = async (backend) => {
    const calls = await engines.get(backend);
    const { note } = await calls.random({});
    calls.end();
    return note;
  };
  next = [fails, fails];
  for (let tries = 0; tries < 3; tries++)
    assert.match(await noteOf(), /^The engine's worker could not be started from \S+\/worker\.js .*main thread.*\.$/);
  delete globalThis.Worker;
  assert.match(await noteOf(), /^This browser has no workers, so /);
  globalThis[Symbol.for("tokenformer.thread")] = "main";
  assert.equal(await noteOf(), undefined);
  delete globalThis[Symbol.for("tokenformer.thread")];
});

test("a model says that workers lack the page's WebGPU", async () => {
  engineModule.load = async () => ({ Engine: { random: async () => ({ info: () => ({}) }) } });
  next = [ready(false)];
  const calls = await engines.get("auto");
  assert.match((await calls.random({})).note, /^Workers have no WebGPU here, but the page has, so /);
  calls.end();
});
