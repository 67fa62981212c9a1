// The measurements, as a table with a column for each precision, and as JSON.

import { make } from "../../lib/element/dom.js";
import { difference, logprobOf, metrics, mostPrecise } from "./metrics.js";
import { adapterInWords, rate } from "../../lib/element/status.js";
import { size } from "../published.js";

/** @typedef {import("../../tokenformer.js").ModelInfo} ModelInfo */
/** @typedef {import("../../lib/errors.js").TokenFormerError} TokenFormerError */
/** @typedef {import("./documents.js").Kind} Kind */
/** @typedef {import("./evaluation.js").Result} Result */
/** @typedef {import("./metrics.js").Difference} Difference */
/** @typedef {import("./metrics.js").Measure} Measure */
/** @typedef {import("./metrics.js").Metrics} Metrics */

/**
 * One precision: what was loaded, its result and what went wrong.
 * @typedef {{ label: string, info: ModelInfo | null, result: Result | null, error: TokenFormerError | null }} Run
 */

/**
 * A run with its difference from the run labelled `reference`.
 * @typedef {Run & { quantization?: ModelInfo["quantization"], metrics: Metrics | null, isReference: boolean,
 *   reference: string | null, difference: Difference | null }} Compared
 */

/** @typedef {Compared & { result: Result, metrics: Metrics }} Measured */
/** A text, or a text with its spread. @typedef {string | [text: string, spread: string]} Cell */
/** A row of the table: its name, and its cell for a run. @typedef {[name: string, cell: (run: Measured) => Cell]} TableRow */

/** A number with its significant decimals: "34.32", "1,204". @param {number | null} value */
export function number(value) {
  if (value === null) return "–";
  const magnitude = Math.abs(value);
  const decimals = magnitude >= 1000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 10 ? 2 : magnitude >= 1 ? 3 : 4;
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/**
 * `["34.32", "± 1.20"]`, with the same number of decimals for both; the spread is "" if unknown.
 * @param {Measure} measure
 * @param {string} unit
 * @param {{ sign?: boolean, scale?: number, decimals?: number }} [how]
 * @returns {[text: string, spread: string]}
 */
export function withError({ value, error }, unit = "", { sign = false, scale = 1, decimals } = {}) {
  if (value === null) return ["–", ""];
  const places = decimals ?? number(value * scale).split(".")[1]?.length ?? 0;
  const digits = { minimumFractionDigits: places, maximumFractionDigits: places };
  const text = (value * scale)
    .toLocaleString("en", { ...digits, signDisplay: sign ? "exceptZero" : "auto" })
    .replace("-", "−");
  return [`${text}${unit}`, error === null ? "" : `± ${(error * scale).toLocaleString("en", digits)}`];
}

/** "CPU, in a worker", "nvidia ampere, in a worker". @param {Pick<ModelInfo, "backend" | "adapter" | "thread">} info */
export function placeOfRun({ backend, adapter, thread }) {
  const where = backend === "cpu" ? "CPU" : adapterInWords(adapter) || "a GPU";
  return `${where}, ${thread === "worker" ? "in a worker" : "in the page's thread"}`;
}

/** Each run with its difference from the reference. @param {Run[]} runs @returns {Compared[]} */
export function compared(runs) {
  const list = runs.map((run) => ({ ...run, quantization: run.info?.quantization }));
  const best = mostPrecise(list);
  const reference = best >= 0 ? list[best] : null;
  return list.map((run) => ({
    ...run,
    metrics: run.result ? metrics(run.result) : null,
    isReference: run === reference,
    reference: reference?.label ?? null,
    difference: run.result && reference?.result && run !== reference ? difference(run.result, reference.result) : null,
  }));
}

/** @type {(run: Compared) => run is Measured} */
const isMeasured = (run) => run.result !== null && run.metrics !== null;

/** @param {Compared[]} runs @param {Kind} kind */
export function resultTable(runs, kind) {
  const columns = runs.map((run) =>
    make(
      "th",
      { scope: "col" },
      make("span", { text: run.label }),
      make("span", { className: "small", text: stateOf(run) }),
    ),
  );
  const head = make("tr", {}, make("td"), ...columns);
  const rows = rowsOf(runs, kind).map(([name, cell]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", text: name }),
      ...runs.map((run) => make("td", {}, ...contentOf(isMeasured(run) ? cell(run) : "–"))),
    ),
  );
  return make(
    "table",
    { className: "results" },
    make("caption", { className: "unseen", text: "What was measured, at each precision" }),
    make("thead", {}, head),
    make("tbody", {}, ...rows),
  );
}

/** @param {Cell} cell */
function contentOf(cell) {
  const [text, spread] = [cell].flat();
  return spread ? [text, " ", make("span", { className: "spread", text: spread })] : [text];
}

/** @param {Run} run */
function stateOf({ result, error }) {
  const part = result && result.tokens > 0 ? ": a part of it" : "";
  if (error) return `failed${part}`;
  return result?.isComplete ? "" : `stopped${part}`;
}

/** @param {Compared[]} runs @param {Kind} kind */
function rowsOf(runs, kind) {
  /** @type {TableRow[]} */
  const rows = [
    [
      "Tokens scored",
      ({ result }) =>
        result.isComplete ? whole(result.tokens) : `${whole(result.tokens)} of ${whole(result.totalTokens)}`,
    ],
    ["Perplexity", ({ metrics }) => withError(metrics.tokenPerplexity)],
    ["Bits per byte", ({ metrics }) => withError(metrics.bitsPerByte, "", { decimals: 4 })],
  ];
  if (kind === "pairs") {
    rows.splice(1, 0, ["Accuracy", ({ metrics }) => withError(metrics.accuracy, " %", { scale: 100, decimals: 1 })]);
    rows.push(["Perplexity of a continuation", ({ metrics }) => withError(metrics.pairPerplexity)]);
  } else {
    rows.push(["Word perplexity", ({ metrics }) => withError(metrics.wordPerplexity)]);
  }
  if (runs.filter(({ metrics }) => metrics).length > 1) {
    const against = runs.find(({ isReference }) => isReference)?.label ?? "";
    /** @type {(write: (difference: Difference) => Cell) => (run: Measured) => Cell} */
    const differing = (write) => (run) =>
      run.isReference ? "reference" : run.difference ? write(run.difference) : "–";
    if (kind === "pairs")
      rows.push([
        `Accuracy against ${against}`,
        differing(({ accuracy }) => withError(accuracy, " points", { sign: true, scale: 100, decimals: 1 })),
      ]);
    rows.push(
      [
        `Perplexity against ${against}`,
        differing(({ perplexity }) => withError(perplexity, " %", { sign: true, scale: 100, decimals: 2 })),
      ],
      [
        `Bits per byte against ${against}`,
        differing(({ bitsPerByte }) => withError(bitsPerByte, "", { sign: true, decimals: 5 })),
      ],
    );
  }
  rows.push(
    ["Speed", ({ result }) => (result.tokensPerSecond === null ? "–" : `${rate(result.tokensPerSecond)} tokens/s`)],
    ["Ran on", ({ info }) => (info ? placeOfRun(info) : "–")],
    ["Context", ({ result }) => `${whole(result.contextLength)} tokens`],
    ["Weights", ({ info }) => (info ? size(info.weightBytes) : "–")],
  );
  return rows;
}

/** @param {number} value */
const whole = (value) => value.toLocaleString("en");

/** Singular and plural, by the unit of a difference. @type {Record<string, [one: string, many: string]>} */
const UNITS = { documents: ["document", "documents"], pairs: ["pair", "pairs"], windows: ["window", "windows"] };

/** Notes for readers of the table: what the errors are over, and what is not comparable. @param {Compared[]} runs @param {Kind} kind */
export function notesOf(runs, kind) {
  const notes = [];
  const measured = runs.filter(isMeasured);
  const documents = Math.max(
    0,
    ...measured.map(({ result }) => result.documents.filter(({ logprobs }) => logprobs.length > 0).length),
  );
  const unit = kind === "pairs" ? "pairs" : "documents";
  notes.push(
    documents > 1
      ? `± is one standard error over the ${whole(documents)} ${unit}.`
      : `A single ${UNITS[unit][0]} has no standard error.`,
  );
  const differences = measured.map(({ difference }) => difference).filter((one) => one !== null);
  const least = Math.min(...differences.map(({ count }) => count));
  if (differences.length > 0) {
    const { units } = differences[0];
    notes.push(
      least > 1
        ? `That of a difference is over the differences of ${whole(least)} ${UNITS[units][1]}.`
        : `One ${UNITS[units][0]} says nothing about how much a difference may vary.`,
    );
  }
  if (differences.some(({ hasSameWindows }) => !hasSameWindows))
    notes.push(
      "The contexts are of different lengths, which makes a difference of its own: set one that all precisions have room for.",
    );
  if (measured.some(({ result }) => !result.isComplete)) notes.push("Only what both have scored is compared.");
  const cut = Math.max(
    0,
    ...measured.map(({ result }) => result.documents.filter(({ leftOut = 0 }) => leftOut > 0).length),
  );
  if (cut > 0)
    notes.push(
      `${whole(cut)} ${UNITS.pairs[cut === 1 ? 0 : 1]} had more context than there is room for: its beginning is left out.`,
    );
  return notes.join(" ");
}

/** All measurements, document by document, for saving. @param {Compared[]} runs @param {import("./documents.js").Input} input */
export function report(runs, input) {
  return {
    format: "tokenformer-web evaluation 1",
    date: new Date().toISOString(),
    browser: globalThis.navigator?.userAgent ?? "",
    input: { kind: input.kind, documents: input.documents.length, bytes: input.bytes, leftOut: input.leftOut },
    runs: runs.map(({ label, info, result, error, metrics, isReference, reference, difference }) => ({
      label,
      ...(info && {
        model: info.id,
        revision: info.revision,
        quantization: info.quantization,
        backend: info.backend,
        thread: info.thread,
        adapter: info.adapter,
        variants: info.variants,
        notes: info.notes,
        weightBytes: info.weightBytes,
      }),
      ...(error && { error: { code: error.code, message: error.message, hint: error.hint } }),
      ...(result && {
        isComplete: result.isComplete,
        contextLength: result.contextLength,
        tokens: result.tokens,
        seconds: result.seconds,
        tokensPerSecond: result.tokensPerSecond,
        metrics,
        isReference,
        ...(difference && { difference: { against: reference, ...difference } }),
        documents: result.documents.map((document) => ({
          source: document.source,
          line: document.line,
          isWhole: document.isWhole,
          tokens: document.logprobs.length,
          bytes: document.bytes,
          words: document.words,
          logprob: logprobOf(document),
          ...(input.kind === "pairs" && { isGreedy: document.isGreedy, contextTokensLeftOut: document.leftOut }),
        })),
      }),
    })),
  };
}
