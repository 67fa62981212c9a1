// From log-probabilities to the reported numbers: the LM Evaluation Harness's metrics, with standard errors.

/** @typedef {import("./evaluation.js").Result} Result */
/** @typedef {import("./evaluation.js").Scored} Scored */
/** A number with its standard error; null if unknown. @typedef {{ value: number | null, error: number | null }} Measure */
/** One unit of a ratio: its numerator and its denominator. @typedef {{ value: number, size: number }} Unit */
/**
 * The tokens of a document that two results have both scored: the first of them, or all.
 * @typedef {{ document: Scored, other: Scored, tokens: number, isWhole: boolean }} Common
 */
/** @typedef {ReturnType<typeof metrics>} Metrics */
/** @typedef {NonNullable<ReturnType<typeof difference>>} Difference */

/**
 * Σ numerators / Σ denominators over units, with the standard error of a ratio: null for fewer than two units.
 * @param {Unit[]} units
 * @returns {Measure}
 */
export function ratio(units) {
  const n = units.length;
  const size = units.reduce((sum, unit) => sum + unit.size, 0);
  if (!(size > 0)) return { value: null, error: null };
  const value = units.reduce((sum, unit) => sum + unit.value, 0) / size;
  if (n < 2) return { value, error: null };
  // With equal sizes this is the standard error of a mean.
  const squares = units.reduce((sum, unit) => sum + (unit.value - value * unit.size) ** 2, 0);
  return { value, error: Math.sqrt((n / (n - 1)) * squares) / size };
}

/** exp of a ratio; the error to first order. @param {Measure} ratio @returns {Measure} */
function exponential({ value, error }) {
  return value === null
    ? { value, error }
    : { value: Math.exp(value), error: error === null ? null : Math.exp(value) * error };
}

/** Natural logarithm of the probability of all scored tokens of a document, or of those from one index to another. @param {Pick<Scored, "logprobs">} document */
export function logprobOf({ logprobs }, from = 0, to = logprobs.length) {
  let sum = 0;
  for (let i = from; i < to; i++) sum += logprobs[i];
  return sum;
}

/**
 * An evaluation's metrics, each as `{ value, error }`, null if unknown: perplexities per token, per word (of texts) and
 * per continuation (of pairs), bits per byte, and the share of pairs whose continuation is the most likely one, token
 * by token. Errors are over documents or pairs.
 * @param {Pick<Result, "kind" | "documents">} result
 */
export function metrics({ kind, documents }) {
  const scored = documents.filter(({ logprobs }) => logprobs.length > 0);
  const whole = scored.filter(({ isWhole }) => isWhole);
  const per = (/** @type {Scored[]} */ list, /** @type {(document: Scored) => number} */ size) =>
    ratio(list.map((document) => ({ value: -logprobOf(document), size: size(document) })));
  const perByte = per(scored, ({ bytes }) => bytes);
  const isPairs = kind === "pairs";
  /** @type {Measure} */
  const none = { value: null, error: null };
  return {
    tokenPerplexity: exponential(per(scored, ({ logprobs }) => logprobs.length)),
    bitsPerByte: scaled(perByte, 1 / Math.LN2),
    wordPerplexity: isPairs ? none : exponential(per(scored, ({ words }) => words)),
    pairPerplexity: isPairs ? exponential(per(whole, () => 1)) : none,
    accuracy: isPairs ? ratio(whole.map(({ isGreedy }) => ({ value: Number(isGreedy), size: 1 }))) : none,
  };
}

/** @param {Measure} measure @param {number} by @returns {Measure} */
function scaled({ value, error }, by) {
  return { value: value === null ? null : value * by, error: error === null ? null : error * by };
}

/**
 * How a result differs from another for the same input: `{ units, count, perplexity, bitsPerByte, accuracy }`, where
 * perplexity is relative to the other's (0.01: 1 % more). Only what both have scored counts, and errors are those of
 * paired differences: over documents or pairs, or over the windows of a single document. Null if they have nothing in
 * common.
 * @param {Pick<Result, "kind" | "contextLength" | "documents">} result
 * @param {Pick<Result, "contextLength" | "documents">} reference
 */
export function difference(result, reference) {
  /** @type {Common[]} */
  const common = [];
  for (const [i, document] of result.documents.entries()) {
    const other = reference.documents[i];
    const tokens = other ? Math.min(document.logprobs.length, other.logprobs.length) : 0;
    if (tokens > 0) common.push({ document, other, tokens, isWhole: document.isWhole && other.isWhole });
  }
  if (common.length === 0) return null;
  const whole = common.filter(({ isWhole }) => isWhole);
  const overDocuments = whole.length > 1 || result.kind === "pairs";
  // With a different window length every token has another context: these are not pairs.
  const hasSameWindows = result.contextLength === reference.contextLength;
  const units = overDocuments
    ? whole.map(({ document, other, tokens }) => unit(document, other, 0, tokens))
    : hasSameWindows
      ? common.flatMap(windowsOf)
      : common.map(({ document, other, tokens }) => unit(document, other, 0, tokens));
  if (units.length === 0) return null;
  const perToken = ratio(units);
  if (!hasSameWindows && !overDocuments) perToken.error = null;
  const sizes = common.map(({ document, tokens }) => ({
    tokens,
    bytes: (document.bytes * tokens) / document.logprobs.length,
  }));
  const sum = (/** @type {"tokens" | "bytes"} */ field) => sizes.reduce((total, size) => total + size[field], 0);
  const accuracies =
    result.kind === "pairs"
      ? whole.map(({ document, other }) => ({ value: Number(document.isGreedy) - Number(other.isGreedy), size: 1 }))
      : [];
  const { value, error } = exponential(perToken);
  return {
    units: result.kind === "pairs" ? "pairs" : overDocuments ? "documents" : "windows",
    count: units.length,
    hasSameWindows,
    perplexity: { value: value === null ? null : value - 1, error },
    bitsPerByte: scaled(perToken, sum("tokens") / sum("bytes") / Math.LN2),
    accuracy: ratio(accuracies),
  };
}

/** @param {Scored} document @param {Scored} other @param {number} from @param {number} to @returns {Unit} */
function unit(document, other, from, to) {
  return { value: logprobOf(other, from, to) - logprobOf(document, from, to), size: to - from };
}

/** The windows of a document that both have, cut to the tokens that both have scored. @param {Common} common */
function windowsOf({ document, other, tokens }) {
  return document.windows
    .map(({ from, to }) => ({ from, to: Math.min(to, tokens) }))
    .filter(({ from, to }) => to > from)
    .map(({ from, to }) => unit(document, other, from, to));
}

/** @type {(string | undefined)[]} */
const PRECISIONS = ["q4", "q8", "f16"];

/**
 * The index of the most precise run with scores, the reference for comparisons; -1 if there is none.
 * @param {{ quantization?: string, result?: Pick<Result, "tokens"> | null }[]} runs
 */
export function mostPrecise(runs) {
  let best = -1;
  runs.forEach(({ quantization, result }, i) => {
    if (!result || !(result.tokens > 0)) return;
    if (best < 0 || PRECISIONS.indexOf(quantization) > PRECISIONS.indexOf(runs[best].quantization)) best = i;
  });
  return best;
}
