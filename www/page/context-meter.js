// How much of the model's context the text takes.

import { byId } from "./elements.js";

/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */

/** How long the text must be unchanged before it is counted. */
const REST_MS = 400;

export class ContextMeter {
  #element;
  #words;
  #meter;
  #node;
  #used = 0;
  /** The model sees this many at the end, or will when it generates. */
  #seen = 0;
  #total = 0;
  #timer = 0;
  /** Tokens generated so far: includes those of a passage that continues while the text before it is counted. */
  #written = 0;

  /** @param {TokenFormerElement} element */
  constructor(element) {
    this.#element = element;
    this.#node = byId("context");
    this.#words = byId("context-words");
    this.#meter = byId("context-meter");
    element.addEventListener("load", ({ detail: model }) => {
      this.#total = model.info.contextLength; // kept: a snapshot of everything for every token would be too much
      this.#countSoon(0);
    });
    element.addEventListener("input", () => this.#countSoon(REST_MS));
    element.addEventListener("token", () => {
      this.#written += 1;
      this.#show(this.#used + 1, this.#seen + 1);
    });
    element.addEventListener("done", ({ detail: { usage } }) => {
      const used = usage.promptTokens + usage.completionTokens;
      if (used < this.#total) this.#show(used); // else what was counted meanwhile is right: the context slid
    });
  }

  /** @param {number} wait in milliseconds */
  #countSoon(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#count(), wait);
  }

  async #count() {
    const { model, text } = this.#element;
    if (!model) return;
    // A model without a tokenizer cannot count tokens.
    const writtenBefore = this.#written;
    const ids = await model.encode(text).catch(() => null);
    if (ids && this.#element.text.startsWith(text)) this.#show(Math.max(1, ids.length) + this.#written - writtenBefore);
  }

  /** @param {number} used tokens of the text @param {number} [fitting] tokens at its end that were in the context before it slid */
  #show(used, fitting = used) {
    const total = this.#total;
    if (!total) return;
    // When it slides, a full context keeps its newest half.
    const seen = this.#element.getAttribute("overflow") === "slide" && fitting >= total ? total >> 1 : fitting;
    [this.#used, this.#seen] = [used, seen];
    this.#node.hidden = false;
    const words = contextInWords({ used, seen, total });
    this.#words.textContent = words;
    this.#meter.setAttribute("aria-valuenow", String(seen));
    this.#meter.setAttribute("aria-valuemax", String(total));
    this.#meter.setAttribute("aria-valuetext", words);
    this.#meter.style.setProperty("--share", String(Math.min(1, seen / total)));
  }
}

/** "300 of 1,024 tokens", or "5,000 tokens; the model sees the last 700". @param {{ used: number, seen: number, total: number }} tokens */
export function contextInWords({ used, seen, total }) {
  const [all, last, most] = [used, seen, total].map((n) => n.toLocaleString("en"));
  return seen < used ? `${all} tokens; the model sees the last ${last}` : `${all} of ${most} tokens`;
}
