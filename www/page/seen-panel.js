// What the model sees: exactly the text in its context after the last generation.

import { byId } from "./elements.js";

const NOTHING = "The model has not written yet. What it reads appears here once it has.";

export class SeenPanel {
  /** @type {string | null} */
  #seen = null;

  /** @param {import("../tokenformer.js").TokenFormerElement} writer */
  constructor(writer) {
    // A new model has seen nothing.
    writer.addEventListener("load", () => this.show(null));
    byId("show-seen").addEventListener("click", () => {
      byId("memory", HTMLDialogElement).close();
      byId("open-seen").click();
    });
    this.show(null);
  }

  /** @param {string | null} seen the text of the ids in the context; null: none */
  show(seen) {
    this.#seen = seen;
    byId("seen-text").textContent = seen ?? "";
    byId("seen-text").hidden = seen === null;
    byId("seen-about").textContent =
      seen === null
        ? NOTHING
        : "This is all that the model had before it when it wrote its last word, and nothing else.";
  }

  /** Scrolls to its end, which the model continues. */
  open() {
    // Once it is shown: hidden elements do not scroll.
    requestAnimationFrame(() => {
      const text = byId("seen-text");
      if (this.#seen !== null) text.scrollTop = text.scrollHeight;
    });
  }
}
