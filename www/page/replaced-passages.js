// Text of the model that an undo or a regenerated passage removes stays as a version.

import { sliced, textOf } from "./stories/passages.js";
import { write } from "./stories/story.js";
import { continuedFrom } from "./stories/versions.js";

/** @typedef {import("../tokenformer.js").Passage} Passage */

/** @param {import("../tokenformer.js").TokenFormerElement} writer @param {Pick<ReturnType<typeof import("./state.js").keepState>, "hold">} state */
export function keepReplacedPassages(writer, state) {
  writer.addEventListener("input", (event) => {
    const before = /** @type {CustomEvent<Passage[] | null>} */ (event).detail;
    if (!Array.isArray(before)) return; // typed, or set
    const { text } = writer;
    // Emptying the page begins another story.
    if (text === "" || !textOf(before).startsWith(text)) return;
    if (sliced(before, text.length).some(({ written }) => written))
      state.hold(before)((story) => continuedFrom(write(story, before), text.length));
  });
}
