// The page that runs each kernel by itself, on the visitor's GPU, and prints a table.
//
// conformance.html?run=1 starts at once; full=1 tries every size with every format, quick=1 one or two rows of every
// kernel, and kernels=keys,values only these kernels.

import { byId } from "./elements.js";
import { askForControl } from "./offline.js";
import { engineModule } from "../lib/engine/engines.js";
import { toTokenFormerError } from "../lib/errors.js";

/** @typedef {import("../tokenformer-web.js").ConformanceRow} Row */

/** Columns of the table and their widths in characters. */
const WIDTHS = /** @type {const} */ ({ kernel: 18, size: 28, format: 6, variant: 34 });

const query = new URLSearchParams(location.search);
const kernels = query.get("kernels")?.split(",").filter(Boolean) ?? [];
const button = byId("run", HTMLButtonElement);
const full = byId("full", HTMLInputElement);

/** Runs the table; it can be run again even after an error. */
async function run() {
  button.disabled = true;
  full.disabled = true;
  byId("output").textContent =
    `${line({ kernel: "Kernel", size: "Size", format: "Format", variant: "Variant" })} Error\n`;
  let rows = 0;
  const tell = (/** @type {Row} */ row) => {
    rows += 1;
    byId("output").append(`${line(row)} ${row.error.toExponential(1)} ${row.isOk ? "ok" : `WRONG: ${row.wrong}`}\n`);
    say(`${rows} rows so far.`);
  };
  try {
    const tier = full.checked ? "full" : query.get("quick") === "1" ? "quick" : "short";
    const summary = await engineModule.run((engine) => engine.conformance(tier, kernels, tell));
    const skipped = summary.skipped.map((what) => ` Not run: ${what}.`).join("");
    const verdict =
      summary.failed > 0 ? `${summary.failed} of ${summary.run} rows are wrong.` : `All ${summary.run} rows are right.`;
    say(verdict + skipped);
  } catch (error) {
    const { message, hint } = toTokenFormerError(error);
    say(`${message} ${hint}`);
  }
  button.disabled = false;
  full.disabled = false;
}

/** @param {Record<keyof typeof WIDTHS, string>} row */
function line(row) {
  const columns = /** @type {[keyof typeof WIDTHS, number][]} */ (Object.entries(WIDTHS));
  return columns.map(([name, width]) => row[name].padEnd(width)).join(" ");
}

/** @param {string} text */
function say(text) {
  byId("status").textContent = text;
}

document.querySelector(".unstarted")?.remove();
/** @type {HTMLElement} */ (document.querySelector("main")).hidden = false;
askForControl();
full.checked = query.get("full") === "1";
button.addEventListener("click", run);
if (query.get("run") === "1") run();
