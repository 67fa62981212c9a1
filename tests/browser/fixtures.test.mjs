// Logits of small checkpoints in the browser, at every precision, against the CPU reference on the same
// dequantized tables, and against what the published code computes in float64.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { modulePage, relativeError, start } from "./harness.mjs";

/** Keys and values are rounded to f16 on both sides, after sums in another order. */
const REFERENCE_TOLERANCE = 2e-3;
/** The rounding of the weights, which are random and so as hard as can be. */
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

for (const name of ["head64", "head80", "head96", "uneven-slots"]) {
  for (const quantization of ["f16", "q8", "q4"]) {
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
          // One token at a time: every call finds all but the last in the cache.
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
