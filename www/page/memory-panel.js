// What the model should know about a story besides its text: its memory, the author's note, and lore entries by name.

import { make } from "../lib/element/dom.js";
import { byId } from "./elements.js";
import { asLore, asNoteLines } from "./stories/reading.js";

/** @typedef {import("./stories/story.js").LoreEntry} LoreEntry */
/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */

/** How long a field must be unchanged before it is saved. */
const REST_MS = 400;

export class MemoryPanel {
  #state;
  #memory = byId("story-memory", HTMLTextAreaElement);
  #note = byId("story-note", HTMLTextAreaElement);
  #noteLines = byId("note-lines", HTMLInputElement);
  #list = byId("lore-list");
  #timer = 0;
  /** The save in progress. */
  #keeping = Promise.resolve();

  /** @param {State} state */
  constructor(state) {
    this.#state = state;
    const dialog = byId("memory", HTMLDialogElement);
    dialog.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#keep(), REST_MS);
    });
    dialog.addEventListener("close", () => this.settled());
    byId("add-lore").addEventListener("click", () => {
      const row = this.#row({ names: [], text: "", isAlways: false });
      this.#list.append(row);
      row.querySelector("input")?.focus();
    });
  }

  /** Shows the values of the current story. */
  async open() {
    await this.settled();
    const story = await this.#state.told();
    this.#memory.value = story?.memory ?? "";
    this.#note.value = story?.note ?? "";
    this.#noteLines.value = String(asNoteLines(story?.noteLines));
    this.#list.replaceChildren(...(story?.lore ?? []).map((entry) => this.#row(entry)));
  }

  /** Waits until what was typed is saved. */
  async settled() {
    if (this.#timer) this.#keep();
    await this.#keeping;
  }

  #keep() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const told = {
      memory: this.#memory.value,
      note: this.#note.value,
      noteLines: asNoteLines(Math.round(Number(this.#noteLines.value))),
      lore: this.#lore(),
      changedAt: Date.now(),
    };
    // Storage errors are shown with the stories; the page has the values all the same.
    this.#keeping = this.#state.tell((story) => ({ ...story, ...told })).catch(() => {});
  }

  /** The entries that are not empty. @returns {LoreEntry[]} */
  #lore() {
    const rows = Array.from(this.#list.querySelectorAll("li"));
    const entries = rows.map((row) => ({
      names: (row.querySelector("input")?.value ?? "").split(","),
      text: row.querySelector("textarea")?.value ?? "",
      isAlways: row.querySelector('input[type="checkbox"]:checked') !== null,
    }));
    return asLore(entries).filter(({ names, text }) => names.length > 0 || text.trim() !== "");
  }

  /** @param {LoreEntry} entry */
  #row({ names, text, isAlways }) {
    const remove = make("button", { type: "button", className: "link", text: "Remove" });
    remove.addEventListener("click", () => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      (next?.querySelector("input") ?? byId("add-lore")).focus();
      this.#keep();
    });
    const row = make(
      "li",
      { className: "field" },
      labelled(
        "Names, with commas between",
        make("input", { type: "text", value: names.join(", "), autocomplete: "off" }),
      ),
      labelled("What the model should know", make("textarea", { rows: 2, value: text, dir: "auto" })),
      make(
        "div",
        { className: "row lore-foot" },
        make("label", {}, make("input", { type: "checkbox", checked: isAlways }), " Always, also without the name"),
        remove,
      ),
    );
    return row;
  }
}

/** @param {string} words @param {HTMLElement} control */
function labelled(words, control) {
  return make("label", {}, make("span", { text: words }), control);
}
