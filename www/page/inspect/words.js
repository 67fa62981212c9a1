// A text as words that can be chosen, shaded by how strongly something fires at each.

import { make } from "../../lib/element/dom.js";
import { spoken } from "../../lib/element/token-words.js";

/** @typedef {import("./study.js").Word} Word */

/** How many words the arrow keys move. @type {Record<string, number>} */
const STEPS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };
const SHADES = 4;

export class WordList {
  #list;
  #onChoose;
  #chosen = -1;

  /** @param {HTMLElement} list @param {(index: number) => void} onChoose */
  constructor(list, onChoose) {
    this.#list = list;
    this.#onChoose = onChoose;
    list.addEventListener("click", ({ target }) => {
      const { index } = /** @type {HTMLElement} */ (target).dataset ?? {};
      if (index !== undefined) onChoose(Number(index));
    });
    list.addEventListener("keydown", (event) => {
      const next = this.#next(event.key);
      if (next === null) return;
      event.preventDefault();
      if (next === this.#chosen || !list.children[next]) return;
      this.#onChoose(next);
      /** @type {HTMLElement} */ (list.children[next]).focus();
    });
  }

  /** The word that a key moves to; null for other keys. @param {string} key */
  #next(key) {
    const last = this.#list.children.length - 1;
    if (key === "Home") return 1;
    if (key === "End") return last;
    if (key === "Enter" || key === " ") return this.#chosen;
    const isTurned = getComputedStyle(this.#list).direction === "rtl" && /Left|Right/.test(key);
    const step = STEPS[key];
    return step ? Math.max(1, Math.min(last, this.#chosen + (isTurned ? -step : step))) : null;
  }

  /** @param {readonly Word[]} words */
  show(words) {
    this.#chosen = -1;
    this.#list.replaceChildren(...words.map(wordButton));
  }

  /** @param {number} index */
  choose(index) {
    const before = this.#list.children[this.#chosen];
    before?.setAttribute("aria-pressed", "false");
    before?.setAttribute("tabindex", "-1");
    this.#chosen = index;
    const now = this.#list.children[index];
    now?.setAttribute("aria-pressed", "true");
    now?.setAttribute("tabindex", "0");
  }

  /** How strongly something fires at each word; null for nothing. @param {readonly number[] | null} firing */
  shade(firing) {
    const most = Math.max(1e-6, ...(firing ?? []));
    Array.from(this.#list.children).forEach((child, i) => {
      const shade = firing ? Math.round((SHADES * Math.max(0, firing[i])) / most) : 0;
      child.setAttribute("data-fires", String(shade));
    });
  }
}

/** @param {Word} word @param {number} index */
function wordButton({ text }, index) {
  const button = make("span", { text: text === "" ? "·" : text.replace(/\n/g, "⏎\n"), role: "button" });
  button.setAttribute("data-index", String(index));
  button.setAttribute("data-fires", "0");
  button.setAttribute("tabindex", "-1");
  button.setAttribute("aria-label", spoken(text));
  // Nothing precedes the first word, so nothing wrote it.
  if (index === 0) button.setAttribute("aria-disabled", "true");
  else button.setAttribute("aria-pressed", "false");
  return button;
}
