// Marks in the margin where the text has versions: a press shows the next one, and with the focus on the mark the arrow
// keys step through them. What was written after a version stays with it.

import { make } from "../lib/element/dom.js";
import { byId } from "./elements.js";
import { textOf } from "./stories/passages.js";
import { alternativesAt, placesOf, taken } from "./stories/versions.js";

/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */
/** @typedef {import("./stories/story.js").Story} Story */
/** @typedef {import("./stories/versions.js").Alternative} Alternative */
/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */
/** At a position in the text: its mark, and the continuations. @typedef {{ button: HTMLButtonElement, seen: HTMLElement, spoken: HTMLElement, ways: Alternative[] }} Mark */

/** Maximum number of marks, the last ones: an imported tree may have thousands. */
const MOST_MARKS = 100;
/** Minimum distance between the upper edges of two marks. */
const APART_PX = 26;
/** Code units of a version that are announced. */
const SPOKEN = 60;
/** @type {Record<string, number>} */
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export class Margin {
  #writer;
  #state;
  #isHidden;
  #node = byId("marks");
  /** By their positions. @type {Map<number, Mark>} */
  #marks = new Map();
  /** Whether the story is being read, and whether it has changed meanwhile. */
  #isAsking = false;
  #isStale = false;
  #isPlacing = false;
  /** The last step from version to version, and whether another one is waiting for it. @type {Promise<void> | null} */
  #going = null;
  #isWaiting = false;

  /** @param {TokenFormerElement} writer @param {State} state @param {() => boolean} isHidden whether the marks are hidden now */
  constructor(writer, state, isHidden) {
    this.#writer = writer;
    this.#state = state;
    this.#isHidden = isHidden;
    writer.addEventListener("input", () => this.#placeSoon());
    writer.addEventListener("done", () => this.#placeSoon());
    new ResizeObserver(() => this.#placeSoon()).observe(writer);
    new MutationObserver(() => this.#placeSoon()).observe(writer, { attributeFilter: ["token-view"] });
    document.fonts?.addEventListener("loadingdone", () => this.#placeSoon());
    this.refresh();
  }

  /** Called when the story may have other versions. */
  async refresh() {
    this.#isStale = true;
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        const story = await this.#state.peek();
        if (!this.#isStale) this.#show(story);
      }
    } finally {
      this.#isAsking = false;
    }
  }

  /** @param {Story | null} story */
  #show(story) {
    const places = story ? placesOf(story).slice(-MOST_MARKS) : [];
    for (const [at, { button }] of this.#marks) {
      if (places.includes(at)) continue;
      button.remove();
      this.#marks.delete(at);
    }
    for (const at of places) {
      const mark = this.#marks.get(at) ?? this.#make(at);
      mark.ways = alternativesAt(/** @type {Story} */ (story), at);
      const [one, all] = numbers(mark.ways);
      mark.seen.textContent = `${one || "–"}/${all}`;
      mark.spoken.textContent = one
        ? `Version ${one} of ${all}`
        : `None of ${all === 1 ? "1 version" : `${all} versions`}`;
      mark.button.title = `${all === 1 ? "1 version" : `${all} versions`} from here: press, or use the arrow keys`;
    }
    // In the order of the text, for the keyboard.
    this.#marks = new Map([...this.#marks].sort(([a], [b]) => a - b));
    const buttons = [...this.#marks.values()].map(({ button }) => button);
    buttons.forEach((button, i) => {
      if (this.#node.children[i] !== button) this.#node.insertBefore(button, this.#node.children[i] ?? null);
    });
    this.#placeSoon();
  }

  /** @param {number} at @returns {Mark} */
  #make(at) {
    const seen = make("span", { ariaHidden: "true" });
    const spoken = make("span", { className: "unseen" });
    const button = make("button", { type: "button", className: "mark" }, seen, spoken);
    const mark = { button, seen, spoken, ways: [] };
    this.#marks.set(at, mark);
    button.addEventListener("click", () => this.#go(at, 1));
    button.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.#go(at, step);
    });
    return mark;
  }

  /** One step after another, as a held key requests them; at most one waits. @param {number} at @param {number} step */
  async #go(at, step) {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    await this.#going?.catch(() => {}); // told by whoever asked for it
    this.#isWaiting = false;
    this.#going = this.#step(at, step);
    await this.#going;
  }

  /** @param {number} at @param {number} step */
  async #step(at, step) {
    if (this.#writer.state !== "idle") return;
    let told = "";
    await this.#state.rework((story) => {
      const ways = alternativesAt(story, at).filter(isSomething);
      if (ways.length === 0) return story;
      const here = ways.findIndex(({ isTaken }) => isTaken);
      const next = here < 0 && step < 0 ? ways.length - 1 : (here + step + ways.length) % ways.length;
      told = `Version ${next + 1} of ${ways.length}: ${textOf(ways[next].passages).trim().slice(0, SPOKEN)}`;
      return taken(story, ways[next].id);
    });
    await this.refresh();
    byId("choices-status").textContent = told;
  }

  #placeSoon() {
    if (this.#isPlacing) return;
    this.#isPlacing = true;
    requestAnimationFrame(() => {
      this.#isPlacing = false;
      this.#place();
    });
  }

  /** Places the marks beside the lines at which the versions begin. */
  #place() {
    const frame = this.#node.parentElement && this.#node.getBoundingClientRect();
    let least = -Infinity;
    this.#node.hidden = this.#isHidden();
    for (const [at, { button }] of this.#marks) {
      const rect = this.#writer.rectAt(at);
      button.hidden = rect === null;
      if (!rect || !frame) continue;
      const top = Math.max(least, rect.top + rect.height / 2 - frame.top);
      least = top + APART_PX;
      button.style.top = `${top}px`;
    }
  }
}

/** The taken version may be empty, at the end of the text. @param {Alternative} way */
const isSomething = ({ passages }) => passages.length > 0;

/** Which one is taken, from 1; 0 for none; and how many there are. @param {Alternative[]} ways @returns {[one: number, all: number]} */
function numbers(ways) {
  const there = ways.filter(isSomething);
  return [there.findIndex(({ isTaken }) => isTaken) + 1, there.length];
}
