// The evaluation page: a text, a model, and one run after another for its precisions.
//
// evaluate.html?model=OWNER/NAME&quantization=q4,q8 selects these; nothing starts by itself.

import { make } from "../../lib/element/dom.js";
import { toTokenFormerError } from "../../lib/errors.js";
import { Evaluation } from "./evaluation.js";
import { countInWords, placeOf } from "./documents.js";
import { isLocalFolder } from "../../lib/api/names.js";
import { progressInWords, progressShare, rate } from "../../lib/element/status.js";
import { TokenFormer } from "../../tokenformer.js";
import { TextInput } from "./text-input.js";
import { ModelChoice } from "./model-choice.js";
import { byId } from "../elements.js";
import { copy } from "../copy.js";
import { errorBox } from "../error-box.js";
import { acceptLocalModels } from "../local-model.js";
import { askForControl, registerWorker } from "../offline.js";
import { Plot } from "./plot.js";
import { compared, notesOf, report, resultTable } from "./results.js";
import { layOut, likelihoodInWords, mostSurprising, summaryInWords, textBefore, visible } from "./series.js";

/** @typedef {import("../../lib/errors.js").TokenFormerError} TokenFormerError */
/** @typedef {import("./documents.js").Input} Input */
/** @typedef {import("./evaluation.js").Known} Known */
/** @typedef {import("./model-choice.js").Chosen} Chosen */
/** @typedef {import("./results.js").Run} Run */
/** What went wrong, and at which precision, if any. @typedef {{ label: string, error: TokenFormerError }} Failure */
/** The input, and the signal that ends the evaluation. @typedef {{ input: Input, signal: AbortSignal, known: Known }} Task */

const TOP = 10;
const CHARACTERS_IN_TABLE = 48;
/** Errors that every precision of a model would run into. */
const HOPELESS = [
  "model-not-found",
  "unauthorized",
  "rate-limited",
  "unsupported-checkpoint",
  "invalid-config",
  "webgpu-unavailable",
];

document.querySelector(".unstarted")?.remove();
askForControl();
const model = new ModelChoice();
registerWorker(); // it reads the files of a model of this computer
const takeModel = acceptLocalModels((name) => model.choose(name), { drops: false });
const texts = new TextInput({ takeModel });
const plot = new Plot(byId("plot"));

/** Of the last evaluation, or the one in progress. @type {Run[]} */
let runs = [];
/** Its input; null before the first. @type {Input | null} */
let input = null;
/** Aborts the evaluation in progress. @type {AbortController | null} */
let controller = null;

async function start() {
  /** @type {Chosen} */
  let chosen;
  try {
    chosen = model.read();
  } catch (error) {
    return showErrors([{ label: "", error: toTokenFormerError(error) }]);
  }
  const given = texts.read();
  if (!given) return byId("text").focus();
  if (chosen.precisions.length === 0) return tell("Choose a precision.");
  controller = new AbortController();
  const { signal } = controller;
  runs = [];
  input = given;
  /** @type {Failure | null} */
  let failure = null;
  try {
    setRunning(true);
    byId("results").hidden = byId("plot-section").hidden = true;
    showErrors([]);
    await evaluateAll(chosen, { input: given, signal, known: new Map() });
  } catch (error) {
    // Errors of the page itself: a model's errors are shown with its run.
    failure = { label: "", error: toTokenFormerError(error) };
    showErrors([...failuresOf(runs), failure]);
  } finally {
    controller = null;
    setRunning(false);
  }
  tell(signal.aborted ? "Stopped." : failure || runs.some(({ error }) => error) ? "Ended with errors." : "Done.");
}

/** One run after another, until it is stopped or the next would fail the same way. @param {Chosen} chosen @param {Task} task */
async function evaluateAll(chosen, task) {
  for (const [i, quantization] of chosen.precisions.entries()) {
    /** @type {Run} */
    const run = { label: quantization ?? "as published", info: null, result: null, error: null };
    // The option "as published" meant this precision.
    if (runs.some(({ info }) => info?.quantization === quantization)) continue;
    runs.push(run);
    const count = chosen.precisions.length > 1 ? ` (${i + 1} of ${chosen.precisions.length})` : "";
    await evaluateAt(run, { ...chosen.options, quantization }, chosen.name, count, task);
    showResults(task.input);
    if (task.signal.aborted || HOPELESS.includes(run.error?.code ?? "")) break;
  }
}

/**
 * Runs one precision, from loading to freeing it: only one of them takes up memory at a time.
 * @param {Run} run
 * @param {import("../../tokenformer.js").LoadOptions} options
 * @param {string | undefined} name
 * @param {string} count which run it is, in words
 * @param {Task} task
 */
async function evaluateAt(run, options, name, count, { input, signal, known }) {
  const title = () => `${run.info || options.quantization ? run.label : "the model"}${count}`;
  let loaded = null;
  let evaluation = null;
  announce(`Loading ${title()}`);
  showProgress(null, `Loading ${title()}`);
  try {
    loaded = await TokenFormer.load(name, {
      ...options,
      signal,
      onProgress: (progress) =>
        showProgress(progressShare(progress), `Loading ${title()}. ${progressInWords(progress, isLocalFolder(name))}`),
    });
    run.info = loaded.info;
    run.label = run.info.quantization;
    announce(`Scoring ${title()}`);
    showProgress(null, `Scoring ${title()}: reading the text`);
    evaluation = new Evaluation(loaded, input, known);
    await evaluation.run({
      signal,
      onProgress: (progress) => showProgress(...scoringInWords(title(), input.kind, progress)),
    });
  } catch (error) {
    if (!signal.aborted) run.error = toTokenFormerError(error);
  }
  if (loaded) {
    run.result = evaluation?.result() ?? null;
    run.info = loaded.info; // notes may have come
    await loaded.dispose().catch((error) => (run.error ??= toTokenFormerError(error)));
  }
}

/**
 * An evaluation's progress, as a fraction and in words.
 * @param {string} title
 * @param {Input["kind"]} kind
 * @param {import("./evaluation.js").EncodeProgress | import("./evaluation.js").ScoreProgress} progress
 * @returns {[share: number, words: string]}
 */
function scoringInWords(title, kind, progress) {
  const { documents, totalDocuments } = progress;
  const ofAll = `${documents.toLocaleString("en")} of ${documentsInWords(totalDocuments, kind)}`;
  if (progress.phase === "encode") return [documents / totalDocuments, `Scoring ${title}: reading ${ofAll}`];
  const { tokens, totalTokens, tokensPerSecond, secondsLeft } = progress;
  const amount =
    totalDocuments > 1 ? ofAll : `${tokens.toLocaleString("en")} of ${countInWords(totalTokens, "token", "tokens")}`;
  const left =
    secondsLeft < 3
      ? ""
      : secondsLeft < 90
        ? `, about ${Math.round(secondsLeft)} s left`
        : `, about ${Math.round(secondsLeft / 60)} min left`;
  return [tokens / totalTokens, `Scoring ${title}: ${amount}, ${rate(tokensPerSecond)} tokens/s${left}`];
}

/** "1 document", "50 pairs". @param {number} count @param {Input["kind"]} kind */
function documentsInWords(count, kind) {
  return kind === "pairs" ? countInWords(count, "pair", "pairs") : countInWords(count, "document", "documents");
}

/** @param {boolean} isRunning */
function setRunning(isRunning) {
  const [begin, stop] = [byId("start", HTMLButtonElement), byId("stop", HTMLButtonElement)];
  texts.isDisabled = model.isDisabled = begin.disabled = isRunning;
  stop.hidden = !isRunning;
  stop.disabled = false;
  byId("progress").hidden = !isRunning;
  const focused = document.activeElement;
  if (isRunning) stop.focus();
  else if (focused === document.body || focused === stop) begin.focus();
}

/** @param {number | null} share null if unknown @param {string} words */
function showProgress(share, words) {
  const bar = byId("progress", HTMLProgressElement);
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
  // After a stop, the status already says so.
  if (!controller?.signal.aborted) byId("progress-words").textContent = words;
}

/** For screen readers: the steps, not every number in between. @param {string} text */
function announce(text) {
  byId("status").textContent = text;
}

/** @param {string} text */
function tell(text) {
  byId("progress-words").textContent = text;
  announce(text);
}

/** @param {Run[]} all @returns {Failure[]} */
function failuresOf(all) {
  return all.flatMap(({ label, error }) => (error ? [{ label, error }] : []));
}

/** @param {Failure[]} failed */
function showErrors(failed) {
  byId("errors").replaceChildren(
    ...failed.map(({ label, error }) =>
      errorBox({ message: label ? `${label}: ${error.message}` : error.message, hint: error.hint, code: error.code }),
    ),
  );
}

/** @param {Input} given */
function showResults(given) {
  const { documents, kind } = given;
  showErrors(failuresOf(runs));
  const table = compared(runs);
  const scored = runs.flatMap(({ label, result }) => (result && result.tokens > 0 ? [{ label, result }] : []));
  byId("results").hidden = byId("plot-section").hidden = scored.length === 0;
  byId("results-title").textContent = `Results: ${model.label}, ${documentsInWords(documents.length, kind)}`;
  byId("table").replaceChildren(resultTable(table, kind));
  byId("results-note").textContent = notesOf(table, kind);
  byId("results-status").textContent = "";
  if (scored.length > 0) showPlot(scored, given);
}

/** @param {{ label: string, result: import("./evaluation.js").Result }[]} scored @param {Input} given */
function showPlot(scored, { documents, kind }) {
  const layout = layOut(scored, documents, (document) => (documents.length > 1 ? placeOf(document) : ""));
  const keys = layout.series.map(({ label }, i) => make("li", { className: `key series-${i}`, text: label }));
  byId("legend").replaceChildren(...keys);
  const view = byId("view", HTMLSelectElement);
  const before = view.value;
  byId("view-label").hidden = scored.length < 2;
  const views = [
    ["", "bits of each token"],
    ...(scored.length < 2 ? [] : layout.series.map(({ label }, i) => [String(i), `difference to ${label}`])),
  ];
  view.replaceChildren(...views.map(([value, text]) => make("option", { value, text })));
  // Adding a run must not change what is being viewed.
  if (views.some(([value]) => value === before)) view.value = before;
  const show = () => {
    const reference = view.value === "" ? null : Number(view.value);
    keys.forEach((key, i) => (key.hidden = i === reference));
    plot.show(layout, reference);
  };
  view.onchange = show;
  show();
  byId("plot-summary").textContent = summaryInWords(layout, kind);
  byId("top").replaceChildren(topTable(layout));
}

/** @param {import("./series.js").Layout} layout */
function topTable(layout) {
  const head = make(
    "tr",
    {},
    ...["Token, after what it follows", ...layout.series.map(({ label }) => `${label}, bits`)].map((text) =>
      make("th", { scope: "col", text }),
    ),
  );
  const rows = mostSurprising(layout, TOP).map((index) => {
    const go = make("button", {
      type: "button",
      className: "link",
      text: visible(layout.texts[index]),
      title: "Show it in the plot",
    });
    go.addEventListener("click", () => plot.goTo(index));
    return make(
      "tr",
      {},
      make(
        "th",
        { scope: "row" },
        textBefore(layout, index, CHARACTERS_IN_TABLE),
        /^\s/.test(layout.texts[index]) ? " " : "",
        go,
      ),
      ...layout.series.map(({ bits }) =>
        Number.isNaN(bits[index])
          ? make("td", { text: "–" })
          : make(
              "td",
              {},
              bits[index].toFixed(2),
              make("span", { className: "small", text: likelihoodInWords(bits[index]) }),
            ),
      ),
    );
  });
  return make("table", { className: "top" }, make("thead", {}, head), make("tbody", {}, ...rows));
}

const json = () => (input ? JSON.stringify(report(compared(runs), input), null, 1) : "");

byId("start").addEventListener("click", start);
byId("stop").addEventListener("click", () => {
  controller?.abort();
  byId("stop", HTMLButtonElement).disabled = true;
  tell("Stopping …");
});
byId("copy-results").addEventListener("click", async () => {
  const copied = await copy(json());
  byId("results-status").textContent = copied ? "Copied." : "The browser does not let this page copy: save it instead.";
});
byId("save-results").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([json()], { type: "application/json" }));
  make("a", { href: url, download: "evaluation.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
});
