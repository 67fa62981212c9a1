// Which of several texts an ending follows best: the one after which the model finds the ending most likely.

/** Tokens of the ending that count: later ones say little about how well its start fits. */
const MOST_TOKENS = 256;
/** Code units that nearly every token stays below. */
const MOST_UNITS = 8;

/**
 * The indices of `texts`, starting with the one after which `ending` is most likely.
 * @param {Pick<import("../../lib/api/model.js").TokenFormer, "encode" | "score" | "info">} model
 * @param {readonly string[]} texts
 * @param {string} ending
 * @returns {Promise<number[]>}
 */
export async function orderedByEnding(model, texts, ending) {
  const { contextLength } = model.info;
  const most = Math.min(MOST_TOKENS, contextLength >> 1);
  const ids = (await model.encode(ending.slice(0, most * MOST_UNITS))).slice(0, most);
  const room = contextLength - ids.length;
  const items = [];
  for (const text of texts) {
    const context = (await model.encode(text.slice(-room * MOST_UNITS))).slice(-room);
    items.push({ text: ids, context });
  }
  const results = /** @type {{ logprobs: (number | null)[] }[]} */ (await model.score(items));
  const sums = results.map(({ logprobs }) => logprobs.reduce((/** @type {number} */ sum, one) => sum + (one ?? 0), 0));
  return sums.map((_, i) => i).sort((a, b) => sums[b] - sums[a] || a - b);
}
