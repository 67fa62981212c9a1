// The versions of the current story: at each position the continuations, one of which is taken; the others can be
// deleted, and the one that was deleted last can be restored as long as the panel is open.

import { make } from "../lib/element/dom.js";
import { byId } from "./elements.js";
import { sliced, textOf } from "./stories/passages.js";
import { alternativesAt, deleted, placesOf, putBack, taken } from "./stories/versions.js";

/** @typedef {import("./stories/story.js").Story} Story */
/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */

/** Maximum number of positions shown, the last ones: an imported tree may have thousands. */
const MOST_PLACES = 100;
/** Code units shown of the text before a position, and of a continuation. */
const BEFORE = 40;
const AFTER = 90;

/**
 * Shows a story's versions; a press takes one.
 * @param {State} state
 * @param {Story} story
 * @param {{ told: string, gone: string | null }} [last] the last action, and the version that can be restored
 */
export function showVersions(state, story, { told, gone } = { told: "", gone: null }) {
  const places = placesOf(story).slice(-MOST_PLACES);
  const details = byId("versions", HTMLDetailsElement);
  details.hidden = places.length === 0 && gone === null;
  const summary = details.querySelector("summary");
  if (summary)
    summary.textContent = places.length === 1 ? "Versions at one place" : `Versions at ${places.length} places`;
  byId("version-list").replaceChildren(...places.map((at) => place(state, story, at)));
  byId("versions-status").textContent = told;
  const undo = byId("undo-version", HTMLButtonElement);
  undo.hidden = gone === null;
  undo.onclick = async () => {
    if (gone === null) return;
    await state.revise((story) => putBack(story, gone));
    const story = await state.currentStory();
    const isBack = placesOf(story).some((at) => alternativesAt(story, at).some(({ id }) => id === gone));
    const told = isBack ? "Restored." : "It cannot be restored: the story was opened again.";
    showVersions(state, story, { told, gone: null });
    focusOn(gone);
  };
}

/** @param {State} state @param {Story} story @param {number} at */
function place(state, story, at) {
  const before = shown(textOf(sliced(story.passages, Math.max(0, at - BEFORE), at)));
  const name = before === "" ? "At the beginning" : `After “${at > BEFORE ? "…" : ""}${before}”`;
  const ways = alternativesAt(story, at).map(({ id, passages, isTaken }) => {
    const text = shown(textOf(sliced(passages, 0, AFTER))) || "(nothing yet)";
    const way = make("button", { type: "button", className: "version-open", text, dir: "auto" });
    if (isTaken) way.setAttribute("aria-current", "true");
    way.addEventListener("click", async () => {
      await state.rework((story) => taken(story, id));
      showVersions(state, await state.currentStory());
      focusOn(id);
    });
    way.dataset.version = id;
    return make("li", { className: "version" }, way, ...(isTaken ? [] : [deleteButton(state, id, text)]));
  });
  return make("li", {}, make("p", { className: "small", text: name, dir: "auto" }), make("ul", {}, ...ways));
}

/** @param {State} state @param {string} id @param {string} text what the version begins with */
function deleteButton(state, id, text) {
  const button = make("button", { type: "button", className: "link", ariaLabel: `Delete ${text}` }, "Delete");
  button.addEventListener("click", async () => {
    await state.revise((story) => deleted(story, id));
    showVersions(state, await state.currentStory(), { told: `Deleted “${text}”.`, gone: id });
    byId("undo-version").focus();
  });
  return button;
}

/** Restores the focus: the pressed button was rebuilt at the same position in the list. @param {string} id */
function focusOn(id) {
  const same = [...byId("version-list").querySelectorAll("button")].find((one) => one.dataset.version === id);
  same?.focus();
}

/** In one line. @param {string} text */
const shown = (text) => text.replace(/\s+/gu, " ").trim();
