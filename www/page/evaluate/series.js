// From results to what a plot draws: one number for each token, for each of about a thousand columns, and in words.

/** @typedef {import("./documents.js").Document} Document */
/** A run's bits for each token, NaN if it was not scored. @typedef {{ label: string, bits: Float64Array }} Series */
/** Where a document begins; `index`: in the input, `before`: the context of a pair. @typedef {{ at: number, index: number, label: string, before: string }} Start */
/** Numbers, one for each token. @typedef {Float64Array | number[]} Values */
/** Running sums of values and of their count, up to each index. @typedef {{ sum: Float64Array, count: Float64Array }} Sums */

/**
 * All documents one after another.
 * @typedef {object} Layout
 * @property {number} length in tokens
 * @property {string[]} texts of the tokens
 * @property {Start[]} starts
 * @property {Series[]} series
 */

/**
 * @param {{ label: string, result: Pick<import("./evaluation.js").Result, "documents"> }[]} runs of one input
 * @param {Document[]} documents of the input
 * @param {(document: Document) => string} nameOf
 * @returns {Layout}
 */
export function layOut(runs, documents, nameOf) {
  /** @type {string[]} */
  const texts = [];
  /** @type {Start[]} */
  const starts = [];
  for (const [i, document] of documents.entries()) {
    const longest = runs
      .map(({ result }) => result.documents[i]?.texts ?? [])
      .reduce((a, b) => (b.length > a.length ? b : a), []);
    if (longest.length === 0) continue;
    starts.push({ at: texts.length, index: i, label: nameOf(document), before: document.context ?? "" });
    for (const text of longest) texts.push(text);
  }
  const series = runs.map(({ label, result }) => {
    const bits = new Float64Array(texts.length).fill(NaN);
    for (const { at, index } of starts)
      result.documents[index]?.logprobs.forEach((logprob, k) => (bits[at + k] = -logprob / Math.LN2));
    return { label, bits };
  });
  return { length: texts.length, texts, starts, series };
}

/** The document that a token belongs to. @param {Pick<Layout, "starts">} layout @param {number} index */
export function startOf({ starts }, index) {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle].at <= index) low = middle;
    else high = middle - 1;
  }
  return starts[low];
}

/**
 * Minimum and maximum of the tokens `from` to `to` in each of `columns`; NaN if there is none.
 * @param {Values} values
 * @param {number} from
 * @param {number} to
 * @param {number} columns
 */
export function envelope(values, from, to, columns) {
  const least = new Float64Array(columns).fill(NaN);
  const greatest = new Float64Array(columns).fill(NaN);
  for (let i = from; i < to; i++) {
    const value = values[i];
    if (Number.isNaN(value)) continue;
    const column = Math.min(columns - 1, Math.floor(((i - from) * columns) / (to - from)));
    if (!(least[column] <= value)) least[column] = value;
    if (!(greatest[column] >= value)) greatest[column] = value;
  }
  return { least, greatest };
}

/** @param {Values} values NaN where there is none @returns {Sums} */
export function sums(values) {
  const sum = new Float64Array(values.length + 1);
  const count = new Float64Array(values.length + 1);
  for (let i = 0; i < values.length; i++) {
    const isThere = !Number.isNaN(values[i]);
    sum[i + 1] = sum[i] + (isThere ? values[i] : 0);
    count[i + 1] = count[i] + Number(isThere);
  }
  return { sum, count };
}

/** The mean of the `width` values around an index, fewer at the ends; NaN for none. @param {Sums} sums @param {number} index @param {number} width */
export function meanAround({ sum, count }, index, width) {
  const from = Math.max(0, index - (width >> 1));
  const to = Math.min(sum.length - 1, from + width);
  const n = count[to] - count[from];
  return n > 0 ? (sum[to] - sum[from]) / n : NaN;
}

/** How many tokens a running mean covers when `shown` are visible: a round number. @param {number} shown */
export function meanWidth(shown) {
  const wanted = Math.max(5, shown / 30);
  const step = 10 ** Math.floor(Math.log10(wanted));
  return Math.round(wanted / step) * step;
}

/** Indices of the tokens with the largest mean over all series that have them. @param {Layout} layout @param {number} count */
export function mostSurprising({ length, series }, count) {
  /** @type {{ index: number, bits: number }[]} */
  const found = [];
  for (let i = 0; i < length; i++) {
    const bits = meanOf(series, i);
    if (!(bits > (found[count - 1]?.bits ?? -Infinity))) continue;
    const place = found.findIndex((other) => other.bits < bits);
    found.splice(place < 0 ? found.length : place, 0, { index: i, bits });
    if (found.length > count) found.pop();
  }
  return found.map(({ index }) => index);
}

/** @param {Series[]} series @param {number} i */
function meanOf(series, i) {
  const values = series.map(({ bits }) => bits[i]).filter((value) => !Number.isNaN(value));
  return values.length > 0 ? values.reduce((a, b) => a + b) / values.length : NaN;
}

/** A text with its blanks made visible: a token may be nothing else. @param {string} text */
export function visible(text) {
  if (text === "") return "part of a character";
  return /^\s+$/.test(text)
    ? text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥")
    : text.replaceAll("\n", "⏎");
}

/** The last characters before a token, from its own document. @param {Layout} layout @param {number} index @param {number} characters */
export function textBefore(layout, index, characters) {
  const { at, before } = startOf(layout, index);
  let text = "";
  for (let i = index - 1; i >= at && text.length < characters; i--) text = layout.texts[i] + text;
  const all = text.length < characters ? before + text : text;
  if (all.length <= characters) return all;
  return `…${all.slice(-characters).toWellFormed?.() ?? all.slice(-characters)}`;
}

/** The probability of a token with this many bits: "11 %", "1 in 40,900". @param {number} bits */
export function likelihoodInWords(bits) {
  const percent = 100 * 2 ** -bits;
  if (percent < 0.1) return `1 in ${(100 / percent).toLocaleString("en", { maximumSignificantDigits: 3 })}`;
  return `${percent >= 10 ? percent.toFixed(0) : percent.toPrecision(2)} %`;
}

/** "3.18 bits (11 %)". @param {number} bits */
export function bitsInWords(bits) {
  return Number.isNaN(bits) ? "not scored" : `${bits.toFixed(2)} bits (${likelihoodInWords(bits)})`;
}

/** A summary in words, also for those who do not see the plot. @param {Layout} layout @param {import("./documents.js").Kind} unit */
export function summaryInWords({ length, series, starts }, unit) {
  const parts = series.map(({ label, bits }) => {
    const scored = bits.filter((value) => !Number.isNaN(value)).sort();
    const count = scored.length;
    if (count === 0) return `${label}: none scored`;
    const mean = scored.reduce((a, b) => a + b) / count;
    const share = (/** @type {number} */ below) =>
      Math.round((100 * scored.filter((value) => value < below).length) / count);
    return `${label}: ${mean.toFixed(2)} bits on average, half of them below ${scored[count >> 1].toFixed(2)}, ${share(1)} % below 1, the greatest ${scored[count - 1].toFixed(1)}`;
  });
  const documents = starts.length > 1 ? ` of ${starts.length.toLocaleString("en")} ${unit}` : "";
  return `${length.toLocaleString("en")} ${length === 1 ? "token" : "tokens"}${documents}. ${parts.join(". ")}.`;
}
