// The technical table of the benchmark: a column for each case.

import { make } from "../../lib/element/dom.js";
import { rate } from "../../lib/element/status.js";

/** @typedef {import("../../tokenformer.js").Spread} Spread */
/** @typedef {import("./measure.js").Told} Told */

/** @type {[title: string, of: (result: Told) => string][]} */
const ROWS = [
  ["Decode, tokens/s", ({ decodeTokensPerSecond }) => spreadInWords(decodeTokensPerSecond)],
  ["Prompt, tokens/s", ({ prefillTokensPerSecond }) => spreadInWords(prefillTokensPerSecond)],
  ["First token, ms", ({ timeToFirstTokenMs }) => spreadInWords(timeToFirstTokenMs)],
  ["Dispatches per token", ({ dispatchesPerToken }) => inWords(dispatchesPerToken || undefined)],
  ["MB read per token", ({ bytesPerToken }) => inWords(Number(bytesPerToken) / 1e6)],
  ["Share of the possible", ({ shareOfFloor }) => inWords(Number(shareOfFloor) * 100, " %")],
];

/** @param {unknown} value @param {string} [unit] */
function inWords(value, unit = "") {
  return typeof value === "number" && Number.isFinite(value) ? `${rate(value)}${unit}` : "–";
}

/** "142 (138 to 145)". @param {unknown} value */
function spreadInWords(value) {
  const { median, min, max } = /** @type {Partial<Spread>} */ (value ?? {});
  return median === undefined ? "–" : `${inWords(median)} (${inWords(min)} to ${inWords(max)})`;
}

/** A column for each result that has rates; null where there is none. @param {Told[]} results */
export function resultsTable(results) {
  const cases = results.filter(({ decodeTokensPerSecond }) => decodeTokensPerSecond);
  if (cases.length === 0) return null;
  const head = make(
    "tr",
    {},
    make("td"),
    ...cases.map(({ model, kind }) => make("th", { scope: "col", text: `${model}, ${kind}` })),
  );
  const body = ROWS.map(([title, of]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", text: title }),
      ...cases.map((result) => make("td", { text: of(result) })),
    ),
  );
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}
