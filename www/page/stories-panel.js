// The list of stories: search, open, rename, duplicate, delete with undo, and a new one.

import { make } from "../lib/element/dom.js";
import { byId } from "./elements.js";
import { matches } from "./stories/library.js";
import { showVersions } from "./versions-list.js";
import { asTitle, copied, LONGEST_TITLE, newStory, renamed, titleOf, wordsOf } from "./stories/story.js";

/** @typedef {import("./stories/library.js").Library} Library */
/** @typedef {import("./stories/story.js").Story} Story */
/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */

export class StoriesPanel {
  #state;
  #library;
  #onOpened;
  /** As last read. @type {Story[]} */
  #stories = [];
  /** The story that is being renamed. @type {string | null} */
  #renaming = null;
  /** The story that was deleted last, and whether it was on the page. @type {{ story: Story, wasHere: boolean } | null} */
  #deleted = null;

  /** @param {State} state @param {Library} library @param {(told: string) => void} onOpened */
  constructor(state, library, onOpened) {
    this.#state = state;
    this.#library = library;
    this.#onOpened = onOpened;
    byId("search-stories").addEventListener("input", () => this.#show());
    byId("new-story").addEventListener("click", () => this.#begin());
    byId("undo-delete").addEventListener("click", () => this.#undoDelete());
    const title = byId("story-title", HTMLInputElement);
    title.addEventListener("change", () => this.#state.revise((story) => renamed(story, title.value)));
  }

  /** Shows the current list. */
  async open() {
    this.#renaming = this.#deleted = null;
    byId("undo-delete").hidden = true;
    for (const id of ["story-status", "file-status"]) byId(id).textContent = "";
    byId("search-stories", HTMLInputElement).value = "";
    const story = await this.#state.currentStory();
    showVersions(this.#state, story);
    const title = byId("story-title", HTMLInputElement);
    title.value = story.title ?? "";
    title.placeholder = titleOf({ ...story, title: null });
    title.disabled = this.#state.storyId === null; // the page's own text is nobody's story
    await this.#read();
  }

  /** Shows a storage error; "" for none. @param {string} sentence */
  showFault(sentence) {
    if (!this.#deleted) byId("library-status").textContent = sentence;
  }

  /** Something was changed, maybe in another tab. */
  showChange() {
    if (byId("stories", HTMLDialogElement).open && this.#renaming === null) this.#read();
  }

  async #read() {
    this.#stories = (await this.#library.list()) ?? [];
    if (this.#renaming === null) this.#show();
  }

  #show() {
    const words = byId("search-stories", HTMLInputElement).value;
    const found = this.#stories.filter((story) => matches(story, words));
    const focused = document.activeElement?.getAttribute("data-act") ?? "";
    byId("story-list").replaceChildren(...found.map((story) => this.#row(story)));
    // The list is rebuilt under the visitor's hands when another tab writes: restore the focus.
    if (focused) this.#focus(focused);
    if (found.length === 0 && words.trim() !== "") byId("library-status").textContent = "No story has these words.";
    else if (!this.#deleted && this.#stories.length > 0) byId("library-status").textContent = "";
  }

  /** @param {Story} story */
  #row(story) {
    const { id } = story;
    const title = titleOf(story);
    if (this.#renaming === id) return make("li", {}, this.#renameForm(story));
    const act = (/** @type {string} */ name, /** @type {() => void} */ what) => {
      const button = make("button", { type: "button", className: "link", ariaLabel: `${name} ${title}` }, name);
      button.setAttribute("data-act", `${name} ${id}`);
      button.addEventListener("click", what);
      return button;
    };
    const open = make(
      "button",
      { type: "button", className: "story-open" },
      make("strong", { text: title, dir: "auto" }),
    );
    const words = wordsOf(story);
    open.append(
      make("span", {
        text: `${words.toLocaleString("en")} ${words === 1 ? "word" : "words"}, ${when(story.changedAt)}`,
      }),
    );
    open.setAttribute("data-act", `Open ${id}`);
    if (this.#state.storyId === id) open.setAttribute("aria-current", "true");
    open.addEventListener("click", () => this.#open(id));
    return make(
      "li",
      {},
      open,
      make(
        "div",
        { className: "story-acts" },
        act("Rename", () => this.#rename(id)),
        act("Duplicate", () => this.#library.add(copied(story))),
        act("Delete", () => this.#delete(story)),
      ),
    );
  }

  /** @param {Story} story */
  #renameForm(story) {
    const input = make("input", {
      type: "text",
      value: titleOf(story),
      maxLength: LONGEST_TITLE,
      ariaLabel: "New title",
    });
    const form = make(
      "form",
      { className: "row" },
      input,
      make("button", { type: "submit", className: "plain" }, "Rename"),
    );
    const end = () => {
      this.#renaming = null;
      this.#show();
      this.#focus(`Rename ${story.id}`);
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      await this.#retitle(story.id, input.value);
      this.#renaming = null;
      await this.#read();
      this.#focus(`Rename ${story.id}`);
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // not the panel
      end();
    });
    return form;
  }

  /** @param {string} id @param {string} title */
  async #retitle(id, title) {
    if (this.#state.storyId === id) {
      await this.#state.revise((story) => renamed(story, title));
      byId("story-title", HTMLInputElement).value = asTitle(title) ?? "";
    } else await this.#library.change(id, (story) => renamed(story, title));
  }

  /** @param {string} id */
  #rename(id) {
    this.#renaming = id;
    this.#show();
    const input = byId("story-list").querySelector("input");
    input?.focus();
    input?.select();
  }

  /** @param {string} id */
  async #open(id) {
    const there = await this.#library.get(id);
    if (!there) return this.#read();
    if (this.#state.storyId !== id) await this.#state.openStory(there.story, { mark: there.mark, isOwn: true });
    this.#close("");
  }

  async #begin() {
    await this.#state.openStory(newStory(), { mark: null, isOwn: true });
    this.#close("");
  }

  /** @param {Story} story */
  async #delete(story) {
    const wasHere = this.#state.storyId === story.id;
    // Undo must bring back the last words as well, and nothing may be saved after the deletion.
    if (wasHere) await this.#state.openStory(newStory(), { mark: null, isOwn: true });
    const whole = (await this.#library.get(story.id))?.story ?? story;
    if (!(await this.#library.remove(story.id))) return;
    this.#state.forget(story.id);
    this.#deleted = { story: whole, wasHere };
    byId("library-status").textContent = `Deleted “${titleOf(story)}”.`;
    byId("undo-delete").hidden = false;
    await this.#read();
    byId("undo-delete").focus();
  }

  async #undoDelete() {
    const { story, wasHere } = this.#deleted ?? {};
    if (!story || !(await this.#library.add(story))) return;
    this.#deleted = null;
    byId("undo-delete").hidden = true;
    byId("library-status").textContent = "It is back.";
    const there = wasHere ? await this.#library.get(story.id) : null;
    if (there) await this.#state.openStory(there.story, { mark: there.mark, isOwn: true });
    await this.#read();
    this.#focus(`Open ${story.id}`);
  }

  /** @param {string} act */
  #focus(act) {
    const buttons = byId("story-list").querySelectorAll("button");
    Array.from(buttons)
      .find((button) => button.getAttribute("data-act") === act)
      ?.focus();
  }

  /** @param {string} told */
  #close(told) {
    byId("stories", HTMLDialogElement).close();
    this.#onOpened(told);
  }
}

/** A time in words: for today, the time of day. @param {number} time */
function when(time) {
  const [date, now] = [new Date(time), new Date()];
  const isToday = date.toDateString() === now.toDateString();
  return isToday
    ? date.toLocaleTimeString("en", { timeStyle: "short" })
    : date.toLocaleDateString("en", { dateStyle: "medium" });
}
