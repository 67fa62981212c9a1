// Loading: from a sub-path, from another origin, and what goes wrong.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enginePage, FULL, modulePage, onMainThread, start } from "./harness.mjs";

let world;
before(async () => {
  world = await start({ webgpu: FULL });
});
after(() => world?.close());

test("the module works from another origin with nothing but Access-Control-Allow-Origin", async () => {
  const page = await modulePage(world, world.other.origin);
  const { text, thread } = await page.evaluate(async () => {
    const model = await TokenFormer.load();
    const { thread } = model.info;
    const { text } = await model.complete("Once upon a time", { maxTokens: 3, temperature: 0 });
    await model.dispose();
    return { text, thread };
  });
  assert.equal(thread, "worker");
  assert.ok(text.length > 0);
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("a browser of before AbortSignal.any loads, and aborts, all the same", async () => {
  const page = await enginePage(world, "main", () => delete AbortSignal.any);
  const seen = await page.evaluate(async (folder) => {
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    const aborted = await failure(() => TokenFormer.load(folder, { signal: controller.signal, onProgress }));
    const model = await TokenFormer.load(folder);
    const { length } = await model.logits([1]);
    await model.dispose();
    return { has: "any" in AbortSignal, aborted: aborted.code, length };
  }, `${world.server.origin}/oracle/fixtures/head64-q8/`);
  assert.deepEqual([seen.has, seen.aborted, seen.length > 0], [false, "aborted", true]);
  await page.context().close();
});

test("bad options are refused before anything is requested", async () => {
  const page = await modulePage(world);
  const before = world.requests.length;
  const failures = await page.evaluate(async () => {
    const bad = [
      ["not a name", {}],
      ["owner/name", { quantization: "q5" }],
      ["owner/name", { contextLength: 0 }],
      ["owner/name", { contextLength: "2048" }],
      ["owner/name", { backend: "gpu" }],
      ["owner/name", { cache: 1 }],
      ["owner/name", { nonsense: true }],
      ["owner/name", { endpoint: "ftp://x" }],
      [".hidden/name", {}],
      [42, {}],
    ];
    const failures = [];
    for (const [name, options] of bad) failures.push(await failure(() => TokenFormer.load(name, options)));
    return failures;
  });
  for (const f of failures) assert.deepEqual([f?.isOurs, f?.code], [true, "invalid-argument"], JSON.stringify(f));
  for (const [i, name] of [
    [1, "quantization"],
    [2, "contextLength"],
    [4, "backend"],
    [6, "nonsense"],
  ]) {
    assert.match(failures[i].message, new RegExp(name));
  }
  assert.equal(world.requests.length, before);
  await page.close();
});

test("missing models, wrong precisions and aborts are told apart", async () => {
  const page = await modulePage(world);
  const failures = await page.evaluate(async (origin) => {
    const q8 = `${origin}/oracle/fixtures/head64-q8/`;
    const controller = new AbortController();
    const abortSoon = { signal: controller.signal, onProgress: () => controller.abort() };
    const calls = [
      () => TokenFormer.load(`${origin}/nothing/here/`),
      () => TokenFormer.load(q8, { quantization: "q4" }),
      () => TokenFormer.load(q8, { contextLength: 100_000 }),
      () => TokenFormer.load(q8, { config: { num_layers: 4 } }),
      () => TokenFormer.load(q8, { signal: AbortSignal.abort() }),
      () => TokenFormer.load(q8, abortSoon),
      () => TokenFormer.load(q8).then((m) => m.complete("text without a tokenizer")),
      () => TokenFormer.load("owner/name", { endpoint: "http://127.0.0.1:1" }),
    ];
    const failures = [];
    for (const call of calls) failures.push(await failure(call));
    return failures;
  }, world.server.origin);
  assert.deepEqual(
    failures.map((f) => f?.code),
    [
      "model-not-found",
      "invalid-argument",
      "invalid-argument",
      "invalid-config",
      "aborted",
      "aborted",
      "invalid-config",
      "network",
    ],
    JSON.stringify(failures, null, 1),
  );
  assert.ok(failures.every((f) => f.isOurs));
  await page.close();
});

test("a full context ends the text", async () => {
  const page = await modulePage(world);
  const { result, noRoom } = await page.evaluate(async (origin) => {
    const model = await TokenFormer.load(`${origin}/oracle/fixtures/uneven-slots-q4/`, { contextLength: 12 });
    const options = { maxTokens: 50, seed: 3, logitBias: { 0: -1000 } };
    const result = await model.complete([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], options);
    const noRoom = await failure(() => model.complete(Array(12).fill(1)));
    await model.dispose();
    return { result, noRoom };
  }, world.server.origin);
  assert.deepEqual([result.finishReason, result.tokenIds.length, result.text], ["context", 2, ""]);
  assert.equal(noRoom.code, "invalid-argument");
  await page.close();
});

test("who wants WebGPU and has none is told what to do", async () => {
  const context = await world.browser.newContext();
  await onMainThread(context);
  const page = await modulePage(world, undefined, context);
  const failed = await page.evaluate(async (origin) => {
    Object.defineProperty(navigator, "gpu", { value: undefined, configurable: true });
    return failure(() => TokenFormer.load(`${origin}/oracle/fixtures/head64-q4/`, { backend: "webgpu" }));
  }, world.server.origin);
  assert.equal(failed?.code, "webgpu-unavailable");
  assert.match(failed.hint, /browser|Chrome/);
  await context.close();
});
