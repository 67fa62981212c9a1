// What can be done at the caret, if it is not at the end of the text: continue from there, or write something in between.

import { byId } from "./elements.js";

/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */

/** Events after which the caret may have moved. */
const MOVES = ["keyup", "pointerup", "focusin", "input", "token", "done"];

/** @param {TokenFormerElement} writer @param {import("./choices.js").Choices} choices */
export function offerHere(writer, choices) {
  /** Before the field was first focused, its caret has no meaning. */
  let isPlaced = false;
  const isWithin = () =>
    isPlaced && !writer.hasAttribute("token-view") && writer.selectionStart < writer.text.trimEnd().length;
  const show = () => {
    const here = byId("here");
    const hadFocus = here.contains(document.activeElement);
    here.hidden = !isWithin() || writer.state !== "idle" || choices.isOpen;
    if (here.hidden && hadFocus) writer.focus({ preventScroll: true });
  };

  writer.addEventListener("focusin", (event) => {
    isPlaced ||= event.composedPath()[0] instanceof HTMLTextAreaElement;
  });
  for (const type of MOVES) writer.addEventListener(type, () => queueMicrotask(show));
  document.addEventListener("selectionchange", show);
  new MutationObserver(show).observe(writer, { attributeFilter: ["token-view"] });
  byId("continue-here").addEventListener("click", () => act(() => choices.continueFrom(writer.selectionStart)));
  byId("write-between").addEventListener("click", () => act(() => choices.writeBetween(writer.selectionStart)));
  /** @param {() => Promise<void>} what */
  async function act(what) {
    await what();
    show();
  }
  addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.shiftKey || event.isComposing) return;
      if (event.repeat || !isWithin() || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (writer.state === "idle") act(() => choices.continueFrom(writer.selectionStart));
    },
    { capture: true },
  );
  return show;
}
