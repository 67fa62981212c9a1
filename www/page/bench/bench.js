// The page that measures: a model, one large number, a line to copy.
//
// bench.html?run=1 starts at once; report=/result posts its JSON to that address, and log=/log each result as it
// arrives. Both must be of the page's own origin. target.js describes how the address names what is measured, measure.js
// what is measured. A model that would be fetched from another site waits for a press.

import { rate } from "../../lib/element/status.js";
import { toTokenFormerError } from "../../lib/errors.js";
import { byId } from "../elements.js";
import { copy } from "../copy.js";
import { errorBox } from "../error-box.js";
import { askForControl } from "../offline.js";
import { EMBEDDED } from "../published.js";
import { ownAddress } from "./address.js";
import { Choice } from "./choice.js";
import { browserInWords, deviceInWords, resultLine } from "./line.js";
import { measure } from "./measure.js";
import { resultsTable } from "./results-table.js";

/** @typedef {import("../../lib/errors.js").TokenFormerError} TokenFormerError */
/** @typedef {import("./line.js").Measured} Measured */
/** @typedef {import("./measure.js").Told} Told */

document.querySelector(".unstarted")?.remove();
askForControl();
const query = new URLSearchParams(location.search);
const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const choice = new Choice();
/** What is reported. @type {{ browser: string, results: Told[], [field: string]: unknown }} */
let told = { browser: navigator.userAgent, results: [] };
/** Stops the run. @type {AbortController | null} */
let controller = null;
/** What can be copied. @type {string[]} */
let lines = [];

/** Runs everything and shows the progress; whatever happens, it can be run again. */
async function run() {
  controller = new AbortController();
  const { signal } = controller;
  clear();
  setRunning(true);
  announce("Measuring.");
  try {
    await measure(choice.target, query, { signal, say, onRate, onMeasured, onError, add, show });
  } catch (error) {
    // An error of the page itself: those of a model are reported with the model.
    add({ error: String(error) });
    onError("", toTokenFormerError(error));
  }
  controller = null;
  setRunning(false);
  const hasFailed = byId("errors").childElementCount > 0;
  const outcome = signal.aborted ? "Stopped." : !hasFailed ? "Done." : "Ended with errors.";
  say(outcome);
  announce(lines.length > 0 ? `${outcome} ${byId("rate").textContent} tokens per second.` : outcome);
  if (query.has("report")) await post("report", byId("output").textContent);
}

function clear() {
  told = { browser: navigator.userAgent, results: [] };
  lines = [];
  byId("rate").textContent = "–";
  for (const id of ["what", "lines", "copy-status", "output"]) byId(id).textContent = "";
  byId("table").replaceChildren();
  byId("errors").replaceChildren();
  byId("copy", HTMLButtonElement).disabled = true;
  byId("result").hidden = false;
}

/** @param {boolean} isRunning */
function setRunning(isRunning) {
  const [begin, stop] = [byId("run", HTMLButtonElement), byId("stop", HTMLButtonElement)];
  const focused = document.activeElement;
  choice.isDisabled = begin.disabled = isRunning;
  stop.hidden = !isRunning;
  stop.disabled = false;
  byId("progress").hidden = !isRunning;
  if (isRunning && focused === begin) stop.focus();
  else if (!isRunning && (focused === document.body || focused === stop)) begin.focus();
}

/** @param {string} words @param {number} [share] */
function say(words, share) {
  const bar = byId("progress", HTMLProgressElement);
  if (share === undefined) bar.removeAttribute("value");
  else bar.value = share;
  // Stopping is the reason for errors after it.
  if (!controller?.signal.aborted) byId("progress-words").textContent = words;
}

/** For screen readers: the beginning and the end, not the numbers in between. @param {string} text */
function announce(text) {
  byId("status").textContent = text;
}

/** The first model's number stays. @param {number} tokensPerSecond */
function onRate(tokensPerSecond) {
  if (lines.length === 0) byId("rate").textContent = rate(tokensPerSecond);
}

/** @param {Measured} measured */
function onMeasured(measured) {
  const { label, info } = measured;
  if (lines.length === 0) {
    byId("rate").textContent = rate(measured.tokensPerSecond);
    byId("what").textContent = [
      `${label}, ${info.quantization}`,
      deviceInWords(info, navigator),
      browserInWords(navigator.userAgent),
    ].join(" · ");
  }
  lines.push(resultLine(measured, navigator, choice.address));
  byId("lines").textContent = lines.join("\n");
  byId("copy", HTMLButtonElement).disabled = false;
}

/** @param {string} label @param {TokenFormerError} error */
function onError(label, { code, message, hint }) {
  const needsGpu = code === "webgpu-unavailable" && (choice.isFromElsewhere || choice.target.kind === "shapes");
  const remedy = needsGpu ? `${hint} Or choose ${EMBEDDED.label}, which runs on the CPU.` : hint;
  const sentence = label ? `${label}: ${message}` : message;
  byId("errors").append(errorBox({ message: sentence, hint: remedy, code }));
}

/** @param {Told} result */
function add(result) {
  told.results.push(result);
  show({});
  const table = resultsTable(told.results);
  if (table) byId("table").replaceChildren(table);
  if (query.has("log")) post("log", JSON.stringify(result));
}

/** @param {object} value what is reported besides */
function show(value) {
  const { results, ...rest } = told;
  told = { ...rest, ...value, results };
  byId("output").textContent = JSON.stringify(told, null, 1);
}

/** Posts to the address of this name in the query. @param {"report" | "log"} name @param {string | null} body */
function post(name, body) {
  return fetch(ownAddress(query.get(name) ?? ""), { method: "POST", body });
}

byId("run").addEventListener("click", run);
byId("stop").addEventListener("click", () => {
  byId("stop", HTMLButtonElement).disabled = true;
  say("Stopping …");
  controller?.abort();
});
byId("copy").addEventListener("click", async () => {
  const copied = await copy(lines.join("\n"));
  if (!copied) getSelection()?.selectAllChildren(byId("lines"));
  byId("copy-status").textContent = copied
    ? "Copied."
    : "The browser does not let this page copy: copy what is selected.";
});

// A headless browser that reports to a script may have no fonts.
main.hidden = query.has("report");
try {
  for (const address of [query.get("report"), query.get("log")]) if (address !== null) ownAddress(address);
  if (query.has("run") && choice.isFromElsewhere)
    say("Press Run to begin: a link does not download a model by itself.");
  else if (query.has("run")) run();
} catch (error) {
  main.hidden = false;
  byId("run", HTMLButtonElement).disabled = true;
  onError("", toTokenFormerError(error));
  byId("output").textContent = String(error);
}
