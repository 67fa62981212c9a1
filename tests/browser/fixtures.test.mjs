// Logits of small checkpoints in the browser, at every precision, against the CPU reference on the same
// dequantized tables, and against what the published code computes in float64.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { FULL, modulePage, relativeError, start } from "./harness.mjs";

/** Keys and values are rounded to f16 on both sides, after sums in a different order. */
const REFERENCE_TOLERANCE = 2e-3;
/** The rounding of the weights, which are random and thus as hard to round as possible. */
const PUBLISHED_TOLERANCE = { f16: 5e-3, q8: 4e-2, q4: 0.5 };

/** Natural logarithm of a token's probability. */
function logprob(logits, id) {
  const highest = Math.max(...logits);
  return logits[id] - highest - Math.log(logits.reduce((sum, x) => sum + Math.exp(x - highest), 0));
}

let world;
let page;
before(async () => {
  world = await start();
  page = await modulePage(world);
});
after(() => world?.close());

const NAMES = ["head64", "head80", "head96", "uneven-slots"];
/**
 * Every precision once, and every shape except that of gpus.test.mjs: natively, and here with the full tests, each shape is
 * run at every precision.
 */
const SHORT = ["head80-q8", "head96-f16", "uneven-slots-q4"];

for (const name of NAMES) {
  for (const quantization of ["f16", "q8", "q4"]) {
    if (!FULL && !SHORT.includes(`${name}-${quantization}`)) continue;
    test(`${name} ${quantization}`, async () => {
      const folder = `oracle/fixtures/${name}-${quantization}/`;
      const oracle = JSON.parse(readFileSync(new URL(`../../target/${folder}oracle.json`, import.meta.url), "utf8"));
      const { inputIds: ids, lengths } = oracle;
      const got = await page.evaluate(
        async ({ folder, ids, lengths }) => {
          const model = await TokenFormer.load(folder);
          const prefilled = [];
          for (const n of lengths) {
            await model.reset();
            prefilled.push(Array.from(await model.logits(ids.slice(0, n))));
          }
          await model.reset();
          // One token at a time: every call finds all except the last in the cache.
          let stepped;
          for (let n = 1; n <= ids.length; n++) stepped = Array.from(await model.logits(ids.slice(0, n)));
          const { logprobs } = await model.score(ids);
          const { quantization } = model.info;
          await model.dispose();
          return { prefilled, stepped, logprobs, quantization };
        },
        { folder: `${world.server.origin}/${folder}`, ids, lengths },
      );
      assert.equal(got.quantization, quantization);
      got.prefilled.forEach((logits, i) => {
        const error = relativeError(logits, oracle.logits[i]);
        assert.ok(error < REFERENCE_TOLERANCE, `${lengths[i]} tokens: ${error} from the reference`);
        const published = relativeError(logits, oracle.expected[i]);
        const tolerance = PUBLISHED_TOLERANCE[quantization];
        assert.ok(published < tolerance, `${lengths[i]} tokens: ${published} from the published code`);
      });
      const error = relativeError(got.stepped, oracle.logits.at(-1));
      assert.ok(error < REFERENCE_TOLERANCE, `single steps: ${error} from the reference`);
      const between = relativeError(got.stepped, got.prefilled.at(-1));
      assert.ok(between < REFERENCE_TOLERANCE, `single steps: ${between} from the prefill`);
      assert.equal(got.logprobs.length, ids.length);
      for (const [i, n] of lengths.slice(0, -1).entries()) {
        const wanted = logprob(oracle.logits[i], ids[n]);
        assert.ok(Math.abs(got.logprobs[n] - wanted) < 2e-2, `token ${n} scores ${got.logprobs[n]}, not ${wanted}`);
      }
    });
  }
}

/** If the reference's best two logits are closer than this, a different id is no error. */
const MARGIN = 0.02;
/** A software GPU takes a second and a half for each. */
const TOKENS = FULL ? 12 : 3;

test("the embedded model writes the reference's text, and disposing of it gives everything back", async () => {
  const [{ prompt, ids, margins }] = JSON.parse(
    readFileSync(new URL("../../target/oracle/greedy.json", import.meta.url), "utf8"),
  );
  const { info, tokenIds, left } = await page.evaluate(
    async ([prompt, maxTokens]) => {
      const model = await TokenFormer.load();
      const { tokenIds } = await model.complete(prompt, { temperature: 0, maxTokens });
      const { info } = model;
      await model.dispose();
      return { info, tokenIds, left: model.info.gpuBytes };
    },
    [prompt, TOKENS],
  );
  assert.equal(info.backend, "webgpu");
  assert.ok(info.gpuBytes > info.weightBytes + info.kvBytes, "weights, cache and scratch are counted");
  assert.equal(left, 0);
  const differs = tokenIds.findIndex((id, i) => id !== ids[i]);
  assert.equal(tokenIds.length, TOKENS);
  assert.ok(differs < 0 || margins[differs] < MARGIN, `${prompt}: ${tokenIds} instead of ${ids.slice(0, TOKENS)}`);
  assert.deepEqual(
    page.problems.filter((problem) => !/404/.test(problem)),
    [],
  ); // the fixtures have no tokenizer
});

for (const backend of ["webgpu", "cpu"])
  test(`several texts at once are what each is alone: ${backend}`, async () => {
    const seen = await page.evaluate(async (backend) => {
      const model = await TokenFormer.load("/oracle/fixtures/head64-q8/", { backend });
      const [prompt, options] = [[7, 5, 3], { maxTokens: 10, temperature: 0.8, logitBias: { 0: -1e4 }, logprobs: 1 }];
      const { gpuBytes } = model.info;
      const signals = [null, new AbortController()];
      const texts = model.alternatives(prompt, { n: 4, seed: 6, signals: [null, signals[1].signal], ...options });
      const chunks = [[], [], [], []];
      let next;
      while (!(next = await texts.next()).done) {
        chunks[next.value.index].push(next.value.tokenId);
        if (chunks[1].length === 2) signals[1].abort();
      }
      const held = model.info.gpuBytes - gpuBytes;
      const alone = [];
      for (const seed of [6, 7, 8, 9]) alone.push((await model.complete(prompt, { seed, ...options })).tokenIds);
      await model.dispose();
      const results = next.value.map(({ tokenIds, finishReason, seed }) => ({ tokenIds, finishReason, seed }));
      return { chunks, results, alone, held };
    }, backend);
    assert.deepEqual(
      seen.results.map(({ tokenIds }) => tokenIds),
      seen.chunks,
    );
    assert.deepEqual(
      seen.results.map(({ seed }) => seed),
      [6, 7, 8, 9],
    );
    const aborted = seen.results[1];
    assert.ok(aborted.tokenIds.length >= 2 && aborted.tokenIds.length <= 10);
    assert.equal(aborted.finishReason, aborted.tokenIds.length < 10 ? "abort" : "length");
    assert.deepEqual(aborted.tokenIds, seen.alone[1].slice(0, aborted.tokenIds.length));
    for (const i of [0, 2, 3]) assert.deepEqual(seen.results[i].tokenIds, seen.alone[i]);
    assert.ok(seen.held < 10_000, `${seen.held} bytes stay on the GPU`);
  });
