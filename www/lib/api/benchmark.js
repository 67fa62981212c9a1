// How fast a model is: prompts of arbitrary tokens, measured the same way for every caller.

/** Token 0 would end a text. */
export const NO_END = Object.freeze({ 0: -1e4 });

/** Median, minimum and maximum of some numbers. @param {number[]} values */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1] };
}

/** `count` token ids, spread over the vocabulary. @param {number} count @param {number} vocabulary */
export function arbitraryIds(count, vocabulary) {
  let state = 1;
  return Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return 1 + (state % (vocabulary - 1));
  });
}

/** @typedef {import("../../tokenformer.js").Usage} Usage */

/**
 * Runs `complete` once to warm up and `runs` times to measure, and calls `onProgress` after each.
 * @param {(ids: number[], options: object) => Promise<{ usage: Usage }>} complete
 * @param {() => Promise<void>} reset
 * @param {number} vocabulary
 * @param {import("./options.js").CheckedBenchmarkOptions} options
 */
export async function measure(complete, reset, vocabulary, options) {
  const { promptTokens, maxTokens, runs, temperature, topP, onProgress } = options;
  const ids = arbitraryIds(promptTokens, vocabulary);
  /** @type {Usage[]} */
  const usages = [];
  for (let run = 0; run <= runs; run++) {
    await reset();
    const { usage } = await complete(ids, { maxTokens, temperature, topP, seed: run, logitBias: NO_END });
    if (run > 0) usages.push(usage);
    const measured = run > 0 ? usages : [usage];
    const { median } = spread(measured.map(({ decodeTokensPerSecond }) => Number(decodeTokensPerSecond)));
    onProgress?.({ run, runs, decodeTokensPerSecond: median });
  }
  const of = (/** @type {"decodeTokensPerSecond" | "prefillTokensPerSecond" | "timeToFirstTokenMs"} */ field) =>
    spread(usages.map((usage) => Number(usage[field])));
  return {
    decodeTokensPerSecond: of("decodeTokensPerSecond"),
    prefillTokensPerSecond: of("prefillTokensPerSecond"),
    timeToFirstTokenMs: of("timeToFirstTokenMs"),
  };
}
