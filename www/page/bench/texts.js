// Speed of the ways of writing that `benchmark()` does not cover: several texts at once, and each sampler alone.

import { arbitraryIds, NO_END, spread } from "../../lib/api/benchmark.js";

/** @typedef {import("../../tokenformer.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */
/** @typedef {{ promptTokens: number, maxTokens: number, runs: number }} Base */

/** Options with one sampler each, beside a plain draw. @type {Record<string, GenerateOptions>} */
export const SAMPLERS = {
  greedy: { temperature: 0 },
  "draw of all": { temperature: 0.8, topP: 1 },
  xtc: { temperature: 0.8, topP: 1, xtc: { probability: 1, threshold: 0.1 } },
  topNSigma: { temperature: 0.8, topP: 1, topNSigma: 1 },
  penaltyRange: { temperature: 0, frequencyPenalty: 0.2, penaltyRange: 64 },
  dry: { temperature: 0, dry: { multiplier: 0.8 } },
};

/**
 * Tokens per second of all texts together, from the first token of each to its last.
 * @param {TokenFormer} model
 * @param {Base & { n: number }} options
 */
export async function measureSeveral(model, { promptTokens, maxTokens, runs, n }) {
  const ids = arbitraryIds(promptTokens, model.info.config.padded_vocab_size);
  const [rates, firsts] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
  // Waits until the kernels for so many texts are compiled and tried; the first texts would be written without them.
  await model.kernelTimes({ several: n });
  for (let run = 0; run <= runs; run++) {
    await model.reset();
    const options = { n, maxTokens, temperature: 0.8, topP: 0.95, seed: run * n, logitBias: NO_END };
    const texts = model.alternatives(ids, options);
    let next;
    while (!(next = await texts.next()).done);
    const usages = next.value.map(({ usage }) => usage);
    if (run === 0) continue;
    rates.push(usages.reduce((sum, { decodeTokensPerSecond }) => sum + Number(decodeTokensPerSecond), 0));
    firsts.push(Number(usages[0].timeToFirstTokenMs));
  }
  return { decodeTokensPerSecond: spread(rates), timeToFirstTokenMs: spread(firsts) };
}

/**
 * @param {TokenFormer} model
 * @param {Base & { options: GenerateOptions }} options
 */
export async function measureSampler(model, { promptTokens, maxTokens, runs, options }) {
  const ids = arbitraryIds(promptTokens, model.info.config.padded_vocab_size);
  const rates = [];
  for (let run = 0; run <= runs; run++) {
    await model.reset();
    const { usage } = await model.complete(ids, { maxTokens, seed: run, logitBias: NO_END, ...options });
    if (run > 0) rates.push(Number(usage.decodeTokensPerSecond));
  }
  return { decodeTokensPerSecond: spread(rates) };
}
