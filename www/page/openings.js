// First lines that write at once, for whoever has none; and the visitor's text that something else has taken the place of.

import { byId } from "./elements.js";
import { textOf } from "./stories/passages.js";

/** @typedef {import("../tokenformer.js").Passage} Passage */
/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */

/** Characters of a text that its button shows: enough to know it by. */
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

  /** They are for an empty page, and one with nothing on it but a line of the page's own. */
  function show() {
    byId("openings").hidden = !lines.has(writer.text);
  }
  /** @param {Event} press */
  function begin(press) {
    window.scrollTo({ top: 0 });
    // A finger's press would have the keyboard come up over what is written.
    const isTouch = press instanceof PointerEvent && press.pointerType === "touch";
    if (!isTouch) writer.focus({ preventScroll: true });
  }
  byId("examples").addEventListener("click", (press) => {
    const button = press.target instanceof Element ? press.target.closest("button") : null;
    if (!button) return;
    state.replace(button.textContent);
    // What goes wrong is told by the error event.
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
