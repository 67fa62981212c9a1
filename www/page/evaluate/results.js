// What was measured, as a table with a column for each precision, and as JSON.

import { make } from "../../lib/element/dom.js";
import { difference, logprobOf, metrics, mostPrecise } from "./metrics.js";
import { adapterInWords, rate } from "../../lib/element/status.js";
import { size } from "../published.js";

/** A number with so many decimals as mean something: "34.32", "1,204". */
export function number(value) {
  if (value === null) return "–";
  const magnitude = Math.abs(value);
  const decimals = magnitude >= 1000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 10 ? 2 : magnitude >= 1 ? 3 : 4;
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** `["34.32", "± 1.20"]`, with as many decimals for both; without a spread it is "". */
export function withError({ value, error }, unit = "", { sign = false, scale = 1, decimals } = {}) {
  if (value === null) return ["–", ""];
  const places = decimals ?? number(value * scale).split(".")[1]?.length ?? 0;
  const digits = { minimumFractionDigits: places, maximumFractionDigits: places };
  const text = (value * scale)
    .toLocaleString("en", { ...digits, signDisplay: sign ? "exceptZero" : "auto" })
    .replace("-", "−");
  return [`${text}${unit}`, error === null ? "" : `± ${(error * scale).toLocaleString("en", digits)}`];
}

/** "CPU, in a worker", "nvidia ampere, in a worker". */
export function placeOfRun({ backend, adapter, thread }) {
  const where = backend === "cpu" ? "CPU" : adapterInWords(adapter) || "a GPU";
  return `${where}, ${thread === "worker" ? "in a worker" : "in the page's thread"}`;
}

/**
 * What each run gives, next to what it differs from: `{ label, quantization, info, result, metrics, difference }`.
 * @param {{ label: string, info: object, result: object }[]} runs
 */
export function compared(runs) {
  const list = runs.map((run) => ({ ...run, quantization: run.info?.quantization }));
  const reference = mostPrecise(list);
  return list.map((run, i) => ({
    ...run,
    metrics: run.result ? metrics(run.result) : null,
    isReference: i === reference,
    reference: reference >= 0 ? list[reference].label : null,
    difference: run.result && i !== reference && reference >= 0 ? difference(run.result, list[reference].result) : null,
  }));
}

/** The table, of what `compared` gives. */
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
      ...runs.map((run) => make("td", {}, ...contentOf(run.metrics ? cell(run) : "–"))),
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

/** A text, or one with its spread. */
function contentOf(cell) {
  const [text, spread] = [cell].flat();
  return spread ? [text, " ", make("span", { className: "spread", text: spread })] : [text];
}

function stateOf({ result, error }) {
  if (error) return result?.tokens > 0 ? "failed: a part of it" : "failed";
  if (result?.isComplete) return "";
  return result?.tokens > 0 ? "stopped: a part of it" : "stopped";
}

function rowsOf(runs, kind) {
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
    ["Ran on", ({ info }) => placeOfRun(info)],
    ["Context", ({ result }) => `${whole(result.contextLength)} tokens`],
    ["Weights", ({ info }) => size(info.weightBytes)],
  );
  return rows;
}

const whole = (value) => value.toLocaleString("en");

const UNITS = { documents: ["document", "documents"], pairs: ["pair", "pairs"], windows: ["window", "windows"] };

/** What a reader of the table should know: what the errors are over, and what is not comparable. */
export function notesOf(runs, kind) {
  const notes = [];
  const measured = runs.filter(({ metrics }) => metrics);
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
  const differences = measured.map(({ difference }) => difference).filter(Boolean);
  const least = Math.min(...differences.map(({ count }) => count));
  if (differences.length > 0) {
    const { units } = differences[0];
    notes.push(
      least > 1
        ? `That of a difference is over the differences of ${whole(least)} ${UNITS[units][1]}.`
        : `One ${UNITS[units][0]} tells nothing of how much a difference may vary.`,
    );
  }
  if (differences.some(({ hasSameWindows }) => !hasSameWindows))
    notes.push(
      "The contexts are of different lengths, which makes a difference of its own: set one that all precisions have room for.",
    );
  if (measured.some(({ result }) => !result.isComplete))
    notes.push("Of a part, only what both have scored is compared.");
  const cut = Math.max(
    0,
    ...measured.map(({ result }) => result.documents.filter(({ leftOut }) => leftOut > 0).length),
  );
  if (cut > 0)
    notes.push(
      `${whole(cut)} ${UNITS.pairs[cut === 1 ? 0 : 1]} had more context than there is room for: its beginning is left out.`,
    );
  return notes.join(" ");
}

/** Everything that was measured, document by document, to be kept. */
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
