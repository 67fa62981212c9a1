// Parameter tokens that fire more or less: a switch and a slider for each, the new continuation beside the old one, and how
// likely the text is with and without the changes.

import { make } from "../../lib/element/dom.js";
import { percent, quoted, spoken } from "../../lib/element/token-words.js";
import { byId } from "../elements.js";
import { toTokenFormerError } from "../../lib/errors.js";
import { MOST_SCALE } from "./address.js";
import { bare, inWords, keyOf } from "./places.js";
import { mostChanged } from "./study.js";

/** @typedef {import("./address.js").Change} Change */
/** @typedef {import("./places.js").Place} Place */
/** @typedef {import("./study.js").Study} Study */
/** @typedef {import("./study.js").Version} Version */

/** How long a slider rests before the model is asked, since each change makes it read the text again. */
const REST_MS = 250;
const MOST_MOVED = 6;
/** Words before one that moved. */
const BEFORE = 5;

export class Changes {
  /** @type {Change[]} */
  #changes = [];
  #onChange;
  #timer = 0;

  /** @param {() => void} onChange the text has to be written again */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  get all() {
    return this.#changes;
  }

  /** @param {Change[]} changes */
  set all(changes) {
    this.#changes = changes;
    this.#show();
  }

  /** Clears the comparison when its text is gone. */
  clear() {
    clearTimeout(this.#timer);
    for (const which of /** @type {const} */ (["plain", "changed"])) empty(which);
    byId("moved").replaceChildren();
  }

  /** @param {Place} place */
  has(place) {
    return this.#changes.some((one) => keyOf(one) === keyOf(place));
  }

  /** Switches a parameter token off. @param {Place} place */
  add(place) {
    if (!this.has(place)) this.#changes = [...this.#changes, { ...bare(place), scale: 0 }];
    this.#show();
    this.#onChange();
  }

  #show() {
    byId("without").hidden = this.#changes.length === 0;
    byId("changes").replaceChildren(...this.#changes.map((change) => this.#row(change)));
    byId("without-title").textContent = this.#changes.length > 1 ? "Without them" : "Without it";
  }

  /** @param {Change} change */
  #row(change) {
    const name = inWords(change);
    const isOn = make("input", { type: "checkbox", checked: change.scale !== 0 });
    const slider = make("input", {
      type: "range",
      min: "0",
      max: String(MOST_SCALE),
      step: "0.1",
      value: String(change.scale),
    });
    const told = make("output", { text: `× ${change.scale}` });
    const remove = make("button", { type: "button", className: "plain", text: "Remove" });
    slider.setAttribute("aria-label", `How strongly it fires: ${name}`);
    remove.setAttribute("aria-label", `Remove ${name}`);
    const set = (/** @type {number} */ scale) => {
      change.scale = scale;
      slider.value = String(change.scale);
      isOn.checked = change.scale !== 0;
      told.textContent = `× ${change.scale}`;
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(this.#onChange, REST_MS);
    };
    isOn.addEventListener("change", () => set(isOn.checked ? 1 : 0));
    slider.addEventListener("input", () => set(Number(slider.value)));
    remove.addEventListener("click", () => {
      clearTimeout(this.#timer);
      this.#changes = this.#changes.filter((one) => one !== change);
      this.#show();
      this.#onChange();
      if (this.#changes.length > 0) byId("changes").querySelector("input")?.focus();
      else byId("token-title").focus();
    });
    return make("li", {}, make("label", {}, isOn, name), slider, told, remove);
  }
}

/**
 * What the changes do to the text, beside the unchanged text; shown as results arrive.
 * @param {Study} study
 * @param {readonly Change[]} changes
 * @param {number} word the index of the word from which both texts are written again
 * @param {AbortSignal} signal
 */
export async function compare(study, changes, word, signal) {
  try {
    await compareBoth(study, changes, word, signal);
  } catch (error) {
    if (signal.aborted) return;
    const { message, hint } = toTokenFormerError(error);
    empty("changed");
    byId("moved").replaceChildren();
    byId("compare-status").textContent = `${message} ${hint}`;
  }
}

/** @type {typeof compare} */
async function compareBoth(study, changes, word, signal) {
  byId("compare-status").textContent = "Writing both …";
  byId("numbers-word").textContent = quoted(study.words[word].text, "")[0];
  const plain = await study.plain(word, signal);
  if (signal.aborted) return;
  show("plain", plain, word);
  const changed = await study.changed(changes, word, signal);
  if (signal.aborted) return;
  show("changed", changed, word);
  markDifference(plain.written, changed.written);
  byId("compare-status").textContent =
    plain.written === changed.written
      ? "Both are the same: other parameter tokens say enough. Perplexity shows what it cost."
      : "Both begin with the text before the chosen word, and take the most likely word each time.";
  byId("moved").replaceChildren(
    ...mostChanged(plain, changed, MOST_MOVED).map(({ index, before, after }) => movedRow(study, index, before, after)),
  );
}

/** @param {"plain" | "changed"} which @param {Version} version @param {number} word */
function show(which, { perplexity, logprobs, written }, word) {
  const logprob = logprobs[word];
  byId(`${which}-text`).textContent = written;
  byId(`${which}-perplexity`).textContent = perplexity.toFixed(3);
  byId(`${which}-word`).textContent = logprob === null ? "–" : percent(logprob);
}

/** @param {"plain" | "changed"} which */
function empty(which) {
  for (const part of ["text", "perplexity", "word"]) byId(`${which}-${part}`).textContent = "";
}

/** The common beginning stays unmarked. @param {string} plain @param {string} changed */
function markDifference(plain, changed) {
  let same = 0;
  while (same < changed.length && changed[same] === plain[same]) same += 1;
  if (/[\ud800-\udbff]/.test(changed[same - 1] ?? "")) same -= 1; // no character is cut
  byId("changed-text").replaceChildren(changed.slice(0, same), make("mark", { text: changed.slice(same) }));
}

/** @param {Study} study @param {number} index @param {number} before @param {number} after */
function movedRow(study, index, before, after) {
  const context = study.words.slice(Math.max(0, index - BEFORE), index);
  const { text } = study.words[index];
  return make(
    "li",
    {},
    make("span", { className: "number", text: `${percent(before)} → ${percent(after)}` }),
    make(
      "span",
      { dir: "auto" },
      context
        .map((word) => word.text)
        .join("")
        .replace(/\s+/g, " "),
      make("strong", { text: text.trim() === "" ? spoken(text) : text }),
    ),
  );
}
