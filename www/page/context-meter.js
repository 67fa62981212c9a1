// How much of the model's context the text takes.

import { byId } from "./elements.js";

/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */

/** How long the text rests before it is counted. */
const REST_MS = 400;

export class ContextMeter {
  #element;
  #words;
  #meter;
  #node;
  #used = 0;
  #total = 0;
  #timer = 0;
  /** Tokens that were written so far: those of a passage that goes on while its beginning is counted. */
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
      this.#show(this.#used + 1);
    });
    element.addEventListener("done", ({ detail: { usage } }) =>
      this.#show(usage.promptTokens + usage.completionTokens),
    );
  }

  /** @param {number} wait in milliseconds */
  #countSoon(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#count(), wait);
  }

  async #count() {
    const { model, text } = this.#element;
    if (!model) return;
    // A model without a tokenizer counts nothing.
    const writtenBefore = this.#written;
    const ids = await model.encode(text).catch(() => null);
    if (ids && this.#element.text.startsWith(text)) this.#show(Math.max(1, ids.length) + this.#written - writtenBefore);
  }

  /** @param {number} used tokens */
  #show(used) {
    const total = this.#total;
    if (!total) return;
    this.#used = used;
    this.#node.hidden = false;
    this.#words.textContent = `${used.toLocaleString("en")} of ${total.toLocaleString("en")} tokens`;
    this.#meter.setAttribute("aria-valuenow", String(used));
    this.#meter.setAttribute("aria-valuemax", String(total));
    this.#meter.setAttribute("aria-valuetext", `${used} of ${total} tokens`);
    this.#meter.style.setProperty("--share", String(Math.min(1, used / total)));
  }
}
