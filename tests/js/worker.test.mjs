// What is particular to an engine behind messages: how far it writes ahead, what a leaving reader leaves behind, and termination.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { EnginePort } from "../../www/lib/engine/port.js";
import { engines, startWorker } from "../../www/lib/engine/engines.js";
import { TokenFormer } from "../../www/lib/api/model.js";
import { wasmAddresses } from "../../www/lib/locations.js";
import { packError, unpackError } from "../../www/lib/engine/wire.js";
import { becomes, endWorkers, FakeEngine, fakeWorker, useFakeWorker } from "./fake-engine.mjs";

let calls;
beforeEach(() => {
  calls = useFakeWorker();
  FakeEngine.made.length = 0;
  FakeEngine.beforeLoad = async () => {};
});

async function loaded(name) {
  const model = await TokenFormer.load(name);
  return { model, engine: FakeEngine.made.at(-1), writing: () => FakeEngine.made.at(-1).generations.at(-1) };
}

/** How much was written when the writer waits for its reader: each `encode` takes its turn after one of the writer's. */
async function settled(model, writing) {
  for (let last = -1; last !== writing().written;) {
    last = writing().written;
    for (let turns = 0; turns < 3; turns++) await model.encode("x");
  }
  return writing().written;
}

test("a reader that stops taking stops the writer, who is never further ahead than as many as were taken", async () => {
  const { model, writing } = await loaded();
  const chunks = model.generate("a", { maxTokens: 500 });
  await chunks.next();
  assert.equal(await settled(model, writing), 8);
  for (let taken = 1; taken < 100; taken++) {
    await chunks.next();
    assert.ok(writing().written <= taken + 1 + Math.max(8, taken + 1), `${writing().written} at ${taken + 1}`);
  }
  const ahead = (await settled(model, writing)) - 100;
  assert.ok(ahead >= 50 && ahead <= 100, `${ahead} ahead of 100`);
  for (let taken = 100; taken < 300; taken++) await chunks.next();
  assert.ok((await settled(model, writing)) - 300 <= 128);
  await chunks.return();
});

test("no token waits for a message of its reader's, and tokens that are there together come together", async () => {
  const { model, engine } = await loaded();
  const sent = endWorkers.all.at(-1).messages;
  await model.complete("a", { maxTokens: 400 });
  const allowed = sent.filter(({ type }) => type === "allow");
  assert.ok(allowed.length > 0 && allowed.length < 20, `${allowed.length} messages for 400 tokens`);
  // As the engine does with tokens that came from the GPU together.
  const known = { abort() {}, free() {}, ids: 0, result: () => ({ finishReason: "length" }) };
  known.next = async () => (known.ids++ < 100 ? { text: "a", tokenId: 97 } : undefined);
  engine.start = async () => known;
  let messages = 0;
  const { postMessage } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function (...args) {
    messages += 1;
    return postMessage.apply(this, args);
  };
  const { finishReason } = await model.complete("a");
  MessagePort.prototype.postMessage = postMessage;
  known.ids = 1000;
  assert.equal((await model.complete("a")).finishReason, "length"); // an end that is known at once
  assert.equal(finishReason, "length");
  assert.ok(messages < 40, `${messages} messages for 100 tokens, of both sides`);
});

test("a reader that leaves finds the engine as if nothing had been written ahead", async () => {
  const { model, engine, writing } = await loaded();
  for await (const chunk of model.generate("a")) {
    if (chunk.text === "B") break;
    await settled(model, writing);
  }
  const next = await model.complete("b", { maxTokens: 1 });
  assert.equal(next.text, "A");
  await becomes(() => engine.open, 0);
  const { log } = engine;
  const rewind = log.indexOf("rewind 2");
  assert.ok(rewind > 0 && log.indexOf("start", 1) > rewind, log.join());
});

test("an abort counts what was taken: before, in the middle, at an end that nobody has seen, and after it", async () => {
  const { model, engine, writing } = await loaded();
  for (const [maxTokens, taken, wait] of [
    [50, 0, false],
    [50, 3, true],
    [6, 3, true],
    [6, 5, true],
    [6, 6, true],
  ]) {
    const controller = new AbortController();
    const chunks = model.generate("a", { maxTokens, signal: controller.signal });
    for (let i = 0; i < taken; i++) assert.equal((await chunks.next()).done, false);
    if (wait) await settled(model, writing);
    const ending = chunks.next();
    if (taken < maxTokens && taken > 0) await ending; // one more was there
    controller.abort();
    const { done, value } = taken === 0 || taken >= maxTokens ? await ending : await chunks.next();
    const kept = taken === 0 || taken >= maxTokens ? taken : taken + 1;
    const reason = kept === maxTokens ? "length" : "abort";
    if (taken > 0)
      assert.deepEqual(
        [done, value.finishReason, value.tokenIds.length],
        [true, reason, kept],
        `${taken} of ${maxTokens}`,
      );
    else assert.equal((await chunks.next()).done, true);
    await becomes(() => engine.open, 0);
  }
});

test("encode works inside a loop while the engine writes on", async () => {
  const { model } = await loaded();
  const seen = [];
  for await (const chunk of model.generate("a", { maxTokens: 30 }))
    seen.push((await model.encode(chunk.text))[0] === chunk.tokenId);
  assert.deepEqual([seen.length, seen.every(Boolean)], [30, true]);
});

test("dispose while a text streams keeps what was taken", async () => {
  const { model, engine, writing } = await loaded();
  const chunks = model.generate("a");
  await chunks.next();
  await settled(model, writing);
  await model.dispose();
  const { done, value } = await chunks.next();
  assert.deepEqual([done, value.finishReason, value.text], [true, "abort", "A"]);
  assert.equal(model.info.gpuBytes, 0);
  await becomes(() => [engine.open, engine.freed], [0, true]);
});

test("info is there at once, and follows every answer", async () => {
  const { model, engine } = await loaded();
  assert.equal(model.info.gpuBytes, 100);
  engine.info = () => ({ id: "changed", gpuBytes: 150 });
  await model.encode("a");
  assert.deepEqual([model.info.id, model.info.gpuBytes], ["changed", 150]);
});

test("info follows the end of a text that its reader has left", async () => {
  const { model, engine } = await loaded();
  const chunks = model.generate("a", { maxTokens: 500 });
  await chunks.next();
  const { info } = engine;
  engine.info = () => ({ ...info.call(engine), variants: ["another"] });
  await chunks.return();
  await becomes(() => model.info.variants, ["another"]);
});

test("logits are handed over, not copied", async () => {
  const { model, engine } = await loaded();
  let made;
  engine.logits = async () => (made = Float32Array.of(1, 2.5, -3));
  assert.deepEqual(await model.logits([1]), Float32Array.of(1, 2.5, -3));
  assert.equal(made.buffer.byteLength, 0);
});

test("errors keep code, sentence, next step and cause", async () => {
  const { model, engine } = await loaded();
  engine.score = async () => {
    throw Object.assign(new Error("Too long.", { cause: new TypeError("inner") }), {
      code: "invalid-argument",
      hint: "Cut it.",
    });
  };
  await assert.rejects(model.score("a"), (error) => {
    assert.deepEqual(
      [error.name, error.code, error.message, error.hint],
      ["TokenFormerError", "invalid-argument", "Too long.", "Cut it."],
    );
    assert.deepEqual(
      [error.cause.message, error.cause.cause.name, error.cause.cause.message],
      ["Too long.", "TypeError", "inner"],
    );
    return true;
  });
  const unpacked = unpackError(
    structuredClone(packError(Object.assign(new Error("x"), { code: "quota", cause: "text" }))),
  );
  assert.equal(unpacked.cause.cause, "text");
  const uncopied = { config: { toString: () => "" } };
  await assert.rejects(TokenFormer.load("a/b", uncopied), { code: "invalid-argument" });
});

test("a trap in the middle of a text comes after what was written, and ends the worker", async () => {
  const { model } = await loaded("o/traps");
  const chunks = model.generate("a", { seed: 3 });
  const texts = [];
  await assert.rejects(
    async () => {
      for (;;) texts.push((await chunks.next()).value.text);
    },
    { code: "device-lost" },
  );
  assert.ok(texts.length <= 3);
  await assert.rejects(model.logits([1]), { code: "device-lost" });
  assert.ok(calls.isGone());
  await model.dispose();
  assert.equal(model.info.gpuBytes, 0);
  const again = await loaded();
  assert.equal((await again.model.complete("a", { maxTokens: 1 })).text, "A");
});

test("a worker that dies fails every call with device-lost, and the next load starts a new one", async () => {
  const first = await loaded();
  const port = await engines.get();
  const loading = new Promise((resolve) => (FakeEngine.beforeLoad = () => new Promise(() => resolve())));
  const pending = [first.model.complete("hang"), first.model.score("b"), TokenFormer.load("c/d"), TokenFormer.models()];
  const outcomes = pending.slice(0, 3).map((call) => assert.rejects(call, { code: "device-lost" }));
  await loading;
  await pending[3];
  const worker = endWorkers.all.at(-1);
  worker.onerror({ message: "Uncaught TypeError: broken" });
  await Promise.all(outcomes);
  assert.equal(worker.isTerminated, true);
  await first.model.dispose();
  assert.equal(first.model.info.gpuBytes, 0);
  FakeEngine.beforeLoad = async () => {};
  const second = await loaded();
  assert.notEqual(await engines.get(), port);
  assert.equal((await second.model.complete("a", { maxTokens: 2 })).text, "AB");
});

test("a load that finds the device lost leaves the other models alone, and later ones get another worker", async () => {
  const { model } = await loaded();
  const port = await engines.get();
  FakeEngine.beforeLoad = async () => {
    throw Object.assign(new Error("Lost."), { code: "device-lost" });
  };
  await assert.rejects(TokenFormer.load(), { code: "device-lost" });
  FakeEngine.beforeLoad = async () => {};
  assert.equal((await model.complete("a", { maxTokens: 1 })).text, "A");
  await loaded();
  assert.notEqual(await engines.get(), port);
  const worker = endWorkers.all.at(-2);
  assert.ok(!worker.isTerminated);
  await model.dispose();
  await becomes(() => worker.isTerminated, true);
});

test("a worker with nothing to do ends after a while", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const made = { engine: { info: () => ({}), dispose() {} }, watch: () => () => {} };
  const worker = fakeWorker({ random: async () => made });
  let retired = 0;
  const port = new EnginePort(worker, () => (retired += 1));
  t.mock.timers.tick(9_000);
  (await port.random({})).engine.free();
  t.mock.timers.tick(9_000);
  assert.equal(worker.isTerminated, undefined);
  t.mock.timers.tick(2_000);
  assert.deepEqual([worker.isTerminated, retired], [true, 1]);
  await assert.rejects(port.random({}), { code: "device-lost" });
});

test("a worker is used if it says that it is ready, and tells whether it has WebGPU", async () => {
  const make = (act) => {
    const worker = { postMessage: (message) => (told = message), terminate: () => (worker.isTerminated = true) };
    queueMicrotask(() => act(worker));
    return worker;
  };
  let told;
  for (const hasGpu of [true, false]) {
    const ready = await startWorker(() => make((worker) => worker.onmessage({ data: { type: "ready", hasGpu } })));
    assert.deepEqual([ready.worker.isTerminated, ready.hasGpu], [undefined, hasGpu]);
    assert.deepEqual(told, { type: "files", wasm: wasmAddresses() }, "it is told where the engine's file is");
  }
  let isQuiet = false;
  const blocked = () => make((worker) => worker.onerror({ preventDefault: () => (isQuiet = true) }));
  await assert.rejects(startWorker(blocked));
  assert.equal(isQuiet, true);
  await assert.rejects(
    startWorker(() => {
      throw new DOMException("x", "SecurityError");
    }),
    { name: "SecurityError" },
  );
});
