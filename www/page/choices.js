// Choices: the model writes several ways to go on side by side, each on a card below the text, and one of them is taken. The
// others stay as versions at that place, as far as they are written.

import { byId } from "./elements.js";
import { sliced, textOf } from "./stories/passages.js";
import { plainText } from "./stories/plain-text.js";
import { continuedFrom } from "./stories/versions.js";
import { Cards } from "./choice-cards.js";
import { Drafts } from "./stories/drafts.js";
import { orderedByEnding } from "./stories/endings.js";
import { waysOf } from "./ways.js";

/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */
/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */

/** How long what is written waits until the story keeps it. */
const KEEP_MS = 500;
/** Where nobody asks for several, so many are written towards an ending: the best of one would be none. */
const WAYS_TO_ENDING = 3;
/** Tokens of what is written between two places. */
const MOST_BETWEEN = 64;

export class Choices {
  #writer;
  #state;
  #cards;
  /** What is offered now. @type {{ drafts: Drafts, text: string, n: number } | null} */
  #open = null;
  /** The last thing that was asked for: what was asked before is over. */
  #asked = {};
  #timer = 0;
  #onChange;
  #onWritten;

  /**
   * @param {TokenFormerElement} writer
   * @param {State} state
   * @param {object} told
   * @param {() => void} told.onChange cards have come or gone
   * @param {(result: Pick<import("../tokenformer.js").GenerateResult, "text" | "usage">) => void} told.onWritten all are written
   */
  constructor(writer, state, { onChange, onWritten }) {
    this.#writer = writer;
    this.#state = state;
    this.#onChange = onChange;
    this.#onWritten = onWritten;
    this.#cards = new Cards(byId("choice-list"), (index, event) => this.#take(index, event));
    byId("leave-choices").addEventListener("click", (event) => this.#leave(event));
    writer.addEventListener("beforegenerate", (event) => {
      if (waysOf(writer) === 1) return void this.close();
      event.preventDefault();
      if (event.detail.call === "regenerate") this.#writeAnew(event.detail.start);
      else this.#offer();
    });
    writer.addEventListener("alternative", ({ detail }) => {
      const open = this.#open;
      if (!open) return;
      open.drafts.add(detail);
      this.#cards.show(open.drafts.texts);
      this.#timer ||= setTimeout(() => this.#keep(), KEEP_MS);
    });
    // Whoever types, or opens another story, goes on without.
    writer.addEventListener("input", () => {
      if (this.#open && this.#open.text !== writer.text) this.close();
    });
    addEventListener("keydown", (event) => this.#press(event), { capture: true });
    addEventListener("pagehide", () => this.#keep());
    document.addEventListener("visibilitychange", () => document.hidden && this.#keep());
  }

  get isOpen() {
    return this.#open !== null;
  }

  /** As the button that continues the text. */
  continue() {
    if (waysOf(this.#writer) > 1) return this.#offer();
    this.close();
    this.#writer.generate().catch(() => {}); // told by the error event
  }

  /** Goes on from a place: what follows it becomes a version. @param {number} at */
  async continueFrom(at) {
    if (await this.#cut(at)) this.continue();
  }

  /** Several passages between a place and what follows it, which stays: first the one that it follows best. @param {number} at */
  async writeBetween(at) {
    const ways = waysOf(this.#writer);
    const tokens = Number(this.#writer.getAttribute("max-tokens") ?? MOST_BETWEEN);
    const length = { maxTokens: Math.min(tokens, MOST_BETWEEN), finishSentence: true };
    await this.#offer({ n: ways > 1 ? ways : WAYS_TO_ENDING, place: at, length });
  }

  /** The last passage, in several ways. @param {number} start */
  async #writeAnew(start) {
    if (await this.#cut(start)) await this.#offer();
  }

  /** The text up to a place, and the rest a version. Whether nothing else was asked for meanwhile. @param {number} at */
  async #cut(at) {
    this.close();
    const asked = (this.#asked = {});
    this.#state.hold(this.#writer.passages);
    await this.#state.rework((story) => continuedFrom(story, at));
    return this.#asked === asked;
  }

  /** @param {{ n?: number, place?: number | null, length?: { maxTokens?: number, finishSentence?: boolean } }} [how] `place`: where; else at the text's end */
  async #offer({ n = waysOf(this.#writer), place = null, length = {} } = {}) {
    const writer = this.#writer;
    this.close();
    const asked = (this.#asked = {});
    try {
      await writer.load(); // the visitor may write meanwhile
      if (this.#asked !== asked) return;
      const { passages, text } = writer;
      const at = place ?? text.length;
      const ending = sliced(passages, at);
      const drafts = new Drafts({ n, at, ending, amend: this.#state.hold(passages) });
      this.#open = { drafts, text, n };
      this.#show(n, ending.length > 0);
      const before = plainText(text.slice(0, at));
      const results = await writer.alternatives({ n, prompt: before, ...length });
      // The context holds what all of them continue, whichever is taken.
      this.#onWritten({ text: "", usage: results[0].usage });
      if (this.#open?.drafts !== drafts) return;
      this.#keep();
      this.#tell(`${n} are written. Choose one.`);
      if (ending.length > 0 && results.some(({ finishReason }) => finishReason !== "abort"))
        await this.#sort(drafts, before, textOf(ending));
    } catch {
      // Told by the error event. What was written before can be taken all the same.
      if (this.#asked === asked && this.#open && this.#open.drafts.texts.every((text) => text === "")) this.close();
    }
  }

  /** @param {Drafts} drafts @param {string} before @param {string} ending */
  async #sort(drafts, before, ending) {
    const { model } = this.#writer;
    if (!model) return;
    this.#tell("Comparing how well your ending follows.");
    const order = await orderedByEnding(
      model,
      drafts.texts.map((text) => before + text),
      ending,
    );
    if (this.#open?.drafts !== drafts) return;
    this.#cards.sort(order, "Your ending follows best");
    this.#tell("Ordered: your ending follows the first one best.");
  }

  /** @param {number} n @param {boolean} isBetween */
  #show(n, isBetween) {
    byId("choices-words").textContent = isBetween
      ? "Each leads to your ending, which stays."
      : "Choose a continuation.";
    byId("choices-keys").textContent = `Keys 1 to ${n} take one, Esc takes none.`;
    this.#cards.open(n);
    byId("choices").hidden = false;
    this.#tell(`Writing ${n} continuations. Keys 1 to ${n} take one, Escape none.`);
    this.#onChange();
    this.#bringIntoSight();
  }

  /** The cards grow below the text: their beginning is to be in the window's upper half. */
  #bringIntoSight() {
    const { top } = byId("choices").getBoundingClientRect();
    if (top > innerHeight / 2) scrollBy({ top: top - innerHeight / 3, behavior: "instant" });
  }

  /** @param {string} sentence */
  #tell(sentence) {
    byId("choices-status").textContent = sentence;
  }

  #keep() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#open?.drafts.keep();
  }

  /** @param {number} index @param {Event} event */
  #take(index, event) {
    const { drafts } = this.#open ?? {};
    if (!drafts || !drafts.texts[index]) return;
    const { at } = drafts;
    const parts = drafts.partsOf(index);
    this.close();
    this.#writer.splice(at, at, parts);
    this.#tell("Taken. The others are versions.");
    this.#giveFocus(event);
  }

  /** @param {Event} event */
  #leave(event) {
    this.close();
    this.#tell("The text stays as it is. What was written is kept as versions.");
    this.#giveFocus(event);
  }

  /** The cards go, and what is written on them stays as versions. */
  close() {
    this.#asked = {};
    if (!this.#open) return;
    this.#keep();
    this.#open = null;
    this.#cards.close();
    byId("choices").hidden = true;
    if (this.#writer.state === "writing") this.#writer.stop();
    this.#tell("");
    this.#onChange();
  }

  /** The card that had it is gone. Who took it by a finger does not want a keyboard. @param {Event} event */
  #giveFocus(event) {
    const isTouch = "pointerType" in event && event.pointerType === "touch";
    const button = this.#writer.shadowRoot?.querySelector("[part~=generate]");
    if (isTouch && button instanceof HTMLElement) button.focus({ preventScroll: true });
    else this.#writer.focus({ preventScroll: true });
    const { bottom } = this.#writer.getBoundingClientRect();
    if (bottom < innerHeight / 2) this.#writer.scrollIntoView({ block: "end", behavior: "instant" });
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (!this.#open || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || isOtherField(event, this.#writer)) return;
    const index = /^[1-9]$/.test(event.key) ? this.#cards.at(Number(event.key)) : -1;
    if (event.key === "Escape") this.#leave(event);
    else if (index >= 0) this.#take(index, event);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}

/** Whether a key is meant for a field that is not the text's. @param {Event} event @param {HTMLElement} writer */
function isOtherField(event, writer) {
  const [target] = event.composedPath();
  return (
    target instanceof Element && target.matches("input, select, textarea") && target.getRootNode() !== writer.shadowRoot
  );
}
