// Choices: the model writes several continuations side by side, each on a card below the text, and one of them is
// chosen. The others stay as versions at that position, as far as they are written.

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

/** Delay before generated text is saved in the story. */
const KEEP_MS = 500;
/** Number of passages written towards an ending if the visitor did not ask for several: a single one has no best. */
const WAYS_TO_ENDING = 3;
/** Maximum tokens of a passage between two texts. */
const MOST_BETWEEN = 64;

export class Choices {
  #writer;
  #state;
  #cards;
  /** The choices on offer. @type {{ drafts: Drafts, text: string, n: number } | null} */
  #open = null;
  /** Identifies the last request: earlier ones are obsolete. */
  #asked = {};
  #timer = 0;
  #onChange;
  #onWritten;

  /**
   * @param {TokenFormerElement} writer
   * @param {State} state
   * @param {object} told
   * @param {() => void} told.onChange cards have appeared or disappeared
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
    // Typing, or opening another story, dismisses the cards.
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

  /** Same as the button that continues the text. */
  continue() {
    if (waysOf(this.#writer) > 1) return this.#offer();
    this.close();
    this.#writer.generate().catch(() => {}); // told by the error event
  }

  /** Continues from a position: the text after it becomes a version. @param {number} at */
  async continueFrom(at) {
    if (await this.#cut(at)) this.continue();
  }

  /** Several passages between a position and the text after it, which stays: first the one that this text follows best. @param {number} at */
  async writeBetween(at) {
    const ways = waysOf(this.#writer);
    const tokens = Number(this.#writer.getAttribute("max-tokens") ?? MOST_BETWEEN);
    const length = { maxTokens: Math.min(tokens, MOST_BETWEEN), finishSentence: true };
    await this.#offer({ n: ways > 1 ? ways : WAYS_TO_ENDING, place: at, length });
  }

  /** Rewrites the last passage, in several ways. @param {number} start */
  async #writeAnew(start) {
    if (await this.#cut(start)) await this.#offer();
  }

  /** Cuts the text at a position, and makes the rest a version. False if something else was requested meanwhile. @param {number} at */
  async #cut(at) {
    this.close();
    const asked = (this.#asked = {});
    this.#state.hold(this.#writer.passages);
    await this.#state.rework((story) => continuedFrom(story, at));
    return this.#asked === asked;
  }

  /** @param {{ n?: number, place?: number | null, length?: { maxTokens?: number, finishSentence?: boolean } }} [how] `place`: the position; by default the end of the text */
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
      // The context holds the text that all of them continue, whichever is chosen.
      this.#onWritten({ text: "", usage: results[0].usage });
      if (this.#open?.drafts !== drafts) return;
      this.#keep();
      this.#tell(`${n} are written. Choose one.`);
      if (ending.length > 0 && results.some(({ finishReason }) => finishReason !== "abort"))
        await this.#sort(drafts, before, textOf(ending));
    } catch {
      // Reported by the error event. What was written before that can still be chosen.
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

  /** The cards grow below the text: scroll their top into the upper half of the window. */
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

  /** Removes the cards; their texts stay as versions. */
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

  /** The focused card is gone. After a touch the keyboard must not open. @param {Event} event */
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

/** Whether a key press belongs to a field other than the text's. @param {Event} event @param {HTMLElement} writer */
function isOtherField(event, writer) {
  const [target] = event.composedPath();
  return (
    target instanceof Element && target.matches("input, select, textarea") && target.getRootNode() !== writer.shadowRoot
  );
}
