// Thousands of texts and dozens of loads: the memory that they took is freed. Sizes are compared with those after
// everything has run once, since caches, compiled code and the module's memory grow until then.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enginePage, FULL, start } from "./harness.mjs";

/** A software GPU takes half an hour: only with scripts/test --full. */
const BACKENDS = FULL ? ["cpu", "webgpu"] : ["cpu"];
const GENERATIONS = FULL ? 2000 : 500;
const LOADS = 50;
/** How many of every hundred texts are aborted; and after how many texts the page loads its model again. */
const ABORTED = 20;
const RELOAD_EVERY = FULL ? 400 : 100;

let world;
let folder;
before(async () => {
  world = await start();
  folder = `${world.server.origin}/oracle/fixtures/head64-q4/`;
});
after(() => world?.close());

/** Bytes of JavaScript's heap after garbage collection. */
async function heap(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

const sizes = async (page) => ({
  ...(await page.evaluate(() => ({ gpu: model.info.gpuBytes, wasm: model.info.wasmHeapBytes }))),
  heap: await heap(page),
});

/** Texts with random options, some of them aborted; the same numbers give the same texts. */
const generate = (page, backend, from, count) =>
  page.evaluate(
    async ([folder, backend, from, count, aborted, reloadEvery]) => {
      let state = from * 2654435761 + 12345;
      const random = (below) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
      };
      globalThis.model ??= await TokenFormer.load(folder, { backend });
      for (let i = from; i < from + count; i += 1) {
        if (i > 0 && i % reloadEvery === 0) {
          await model.dispose();
          globalThis.model = await TokenFormer.load(folder, { backend });
        }
        const { contextLength, config } = model.info;
        const prompt = Array.from({ length: 1 + random(Math.min(40, contextLength - 1)) }, () =>
          random(config.padded_vocab_size),
        );
        const controller = new AbortController();
        const options = {
          maxTokens: 1 + random(6),
          temperature: [0, 0.7, 1.3][random(3)],
          topK: [0, 1, 40][random(3)],
          topP: [1, 0.9][random(2)],
          minP: [0, 0.05][random(2)],
          repetitionPenalty: [1, 1.3][random(2)],
          presencePenalty: [0, 0.5][random(2)],
          frequencyPenalty: [0, 0.5][random(2)],
          logprobs: random(8) === 0 ? 2 : 0,
          seed: random(1e6),
          logitBias: { 0: -1000 },
          signal: controller.signal,
        };
        const abortAt = random(100) < aborted ? 1 + random(3) : Infinity;
        let taken = 0;
        for await (const chunk of model.generate(prompt, options)) {
          if (!(chunk.tokenId > 0 && chunk.tokenId < config.padded_vocab_size))
            throw new Error(`token ${chunk.tokenId}`);
          if ((taken += 1) === abortAt) controller.abort();
        }
        if (random(10) === 0) await model.logits(prompt);
        if (random(10) === 0) await model.reset();
      }
    },
    [folder, backend, from, count, ABORTED, RELOAD_EVERY],
  );

for (const backend of BACKENDS)
  test(`${GENERATIONS} texts with random options, aborts and reloads end with the memory of their start: ${backend}`, async (t) => {
    const page = await enginePage(world, "main");
    const step = 100;
    for (let i = 0; i <= RELOAD_EVERY; i += step) await generate(page, backend, i, step); // everything once, a reload included
    const before = await sizes(page);
    for (let i = RELOAD_EVERY + step; i < GENERATIONS; i += step) await generate(page, backend, i, step);
    const after = await sizes(page);
    t.diagnostic(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
    assert.equal(after.gpu, before.gpu);
    assert.equal(after.wasm, before.wasm);
    assert.ok(after.heap < before.heap + 2e6, `JavaScript's heap grew from ${before.heap} to ${after.heap} bytes`);
    await page.evaluate(() => model.dispose());
    assert.equal(await page.evaluate(() => model.info.gpuBytes), 0);
    assert.deepEqual(
      page.problems.filter((p) => !/404/.test(p)),
      [],
    ); // the folder has no tokenizer
    await page.context().close();
  });

for (const backend of BACKENDS)
  test(`${LOADS} times loaded and disposed of, nothing is left: ${backend}`, async (t) => {
    const page = await enginePage(world, "main");
    const seen = [];
    for (let i = 0; i < LOADS; i += 1) {
      const left = await page.evaluate(
        async ([folder, backend]) => {
          globalThis.model = await TokenFormer.load(folder, { backend });
          await model.complete([1, 2, 3], { maxTokens: 2 });
          await model.dispose();
          return model.info.gpuBytes;
        },
        [folder, backend],
      );
      assert.equal(left, 0);
      seen.push(await sizes(page));
    }
    const [early, late] = [seen[9], seen.at(-1)];
    t.diagnostic(`after 10 ${JSON.stringify(early)}, after ${LOADS} ${JSON.stringify(late)}`);
    assert.equal(late.wasm, early.wasm);
    assert.ok(late.heap < early.heap + 2e6, `JavaScript's heap grew from ${early.heap} to ${late.heap} bytes`);
    await page.context().close();
  });
