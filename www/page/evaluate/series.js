// From results to what a plot draws: one number for each token, for each of some thousand columns, and in words.

/**
 * All documents one after the other: `{ length, texts, starts, series }`. `starts` are `{ at, label, before }` of every
 * document; a series is `{ label, bits }`, where a token that was not scored is NaN.
 *
 * @param {{ label: string, result: object }[]} runs of one input
 * @param {object[]} documents of the input
 * @param {(document: object) => string} nameOf
 */
export function layOut(runs, documents, nameOf) {
  const texts = [];
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

/** The document that a token is of. */
export function startOf({ starts }, index) {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle].at <= index) low = middle;
    else high = middle - 1;
  }
  return starts[low];
}

/** Least and greatest of the tokens `from` to `to` in each of `columns`; NaN where there is none. */
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

/** Sums of values and of how many there are, up to each index. */
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

/** The mean of the `width` values around an index, which has fewer at the ends; NaN for none. */
export function meanAround({ sum, count }, index, width) {
  const from = Math.max(0, index - (width >> 1));
  const to = Math.min(sum.length - 1, from + width);
  const n = count[to] - count[from];
  return n > 0 ? (sum[to] - sum[from]) / n : NaN;
}

/** How many tokens a running mean takes, for so many that are shown: a round number. */
export function meanWidth(shown) {
  const wanted = Math.max(5, shown / 30);
  const step = 10 ** Math.floor(Math.log10(wanted));
  return Math.round(wanted / step) * step;
}

/** Indices of the tokens with the largest mean over all series that have them. */
export function mostSurprising({ length, series }, count) {
  const found = [];
  for (let i = 0; i < length; i++) {
    const bits = meanOf(series, i);
    if (!(bits > (found.length < count ? -Infinity : found.at(-1).bits))) continue;
    const place = found.findIndex((other) => other.bits < bits);
    found.splice(place < 0 ? found.length : place, 0, { index: i, bits });
    if (found.length > count) found.pop();
  }
  return found.map(({ index }) => index);
}

function meanOf(series, i) {
  const values = series.map(({ bits }) => bits[i]).filter((value) => !Number.isNaN(value));
  return values.length > 0 ? values.reduce((a, b) => a + b) / values.length : NaN;
}

/** What a text is with its blanks seen: a token may be nothing else. */
export function visible(text) {
  if (text === "") return "part of a character";
  return /^\s+$/.test(text)
    ? text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥")
    : text.replaceAll("\n", "⏎");
}

/** The last characters before a token, of its own document. */
export function textBefore(layout, index, characters) {
  const { at, before } = startOf(layout, index);
  let text = "";
  for (let i = index - 1; i >= at && text.length < characters; i--) text = layout.texts[i] + text;
  const all = text.length < characters ? before + text : text;
  if (all.length <= characters) return all;
  return `…${all.slice(-characters).toWellFormed?.() ?? all.slice(-characters)}`;
}

/** How likely a token of so many bits was: "11 %", "1 in 40,900". */
export function likelihoodInWords(bits) {
  const percent = 100 * 2 ** -bits;
  if (percent < 0.1) return `1 in ${(100 / percent).toLocaleString("en", { maximumSignificantDigits: 3 })}`;
  return `${percent >= 10 ? percent.toFixed(0) : percent.toPrecision(2)} %`;
}

/** "3.18 bits (11 %)". */
export function bitsInWords(bits) {
  return Number.isNaN(bits) ? "not scored" : `${bits.toFixed(2)} bits (${likelihoodInWords(bits)})`;
}

/** For those who do not see the plot, and for all others. `unit`: "texts" or "pairs". */
export function summaryInWords({ length, series, starts }, unit) {
  const parts = series.map(({ label, bits }) => {
    const { sum, count } = sums(bits);
    const scored = Array.from(bits.filter((value) => !Number.isNaN(value))).sort((a, b) => a - b);
    if (scored.length === 0) return `${label}: none scored`;
    const share = (below) => Math.round((100 * scored.filter((value) => value < below).length) / scored.length);
    return `${label}: ${(sum.at(-1) / count.at(-1)).toFixed(2)} bits on average, half of them below ${scored[scored.length >> 1].toFixed(2)}, ${share(1)} % below 1, the greatest ${scored.at(-1).toFixed(1)}`;
  });
  const documents = starts.length > 1 ? ` of ${starts.length.toLocaleString("en")} ${unit}` : "";
  return `${length.toLocaleString("en")} ${length === 1 ? "token" : "tokens"}${documents}. ${parts.join(". ")}.`;
}
