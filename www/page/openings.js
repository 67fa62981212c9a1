// Openings that start writing at once, for visitors without a text; and the visitor's text that something else replaced.

import { byId } from "./elements.js";
import { textOf } from "./stories/passages.js";

/** @typedef {import("../tokenformer.js").Passage} Passage */
/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */

/** Characters of a text shown on its button: enough to recognise it. */
const LONGEST_PREVIEW = 80;

/** The button for the visitor's text; null where there is none. @param {Passage[] | null} passages */
export function showOwnText(passages) {
  byId("own-text").hidden = passages === null;
  if (passages) byId("own-beginning").textContent = textOf(passages).slice(0, LONGEST_PREVIEW);
}

/**
 * @param {TokenFormerElement} writer
 * @param {{ replace: (text: string) => void, bringBack: () => void }} state
 */
export function showOpenings(writer, state) {
  const buttons = Array.from(byId("examples").querySelectorAll("button"));
  const lines = new Set([writer.getAttribute("prompt"), "", ...buttons.map(({ textContent }) => textContent)]);

  /** Shown on an empty page, or one with nothing but one of the page's own openings. */
  function show() {
    byId("openings").hidden = !lines.has(writer.text);
  }
  /** @param {Event} press */
  function begin(press) {
    window.scrollTo({ top: 0 });
    // After a touch, the on-screen keyboard would cover the text.
    const isTouch = press instanceof PointerEvent && press.pointerType === "touch";
    if (!isTouch) writer.focus({ preventScroll: true });
  }
  byId("examples").addEventListener("click", (press) => {
    const button = press.target instanceof Element ? press.target.closest("button") : null;
    if (!button) return;
    state.replace(button.textContent);
    // Errors are reported by the error event.
    writer.generate().catch(() => {});
    begin(press);
  });
  byId("own-text").addEventListener("click", (press) => {
    if (!(press.target instanceof Element) || !press.target.closest("button")) return;
    state.bringBack();
    begin(press);
  });
  for (const type of ["input", "token", "done"]) writer.addEventListener(type, show);
  show();
}
