// The user interface of <token-former>: the text shared by visitor and model, the controls under it, and the status. It
// is independent of models.

import { asksToWrite, make } from "./dom.js";
import { STYLES } from "./styles.js";
import { wellFormed } from "../api/inputs.js";
import { Manuscript } from "./manuscript.js";
import { progressInWords, progressShare } from "./status.js";
import { TextSurface } from "./text-surface.js";
import { TokenView } from "./token-view.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("../../tokenformer.js").Chunk & { isHealed?: boolean }} Token */
/** @typedef {"idle" | "loading" | "writing"} State */
/** @typedef {Window & typeof globalThis} PageWindow */

/**
 * The visitor's actions, and notifications.
 * @typedef {object} Actions
 * @property {() => void} onGenerate
 * @property {() => void} onStop
 * @property {() => void} onRegenerate
 * @property {(change: { typed: boolean, before: Passage[] | null }) => void} onChange `before`: what an undo, a redo or another passage replaced
 * @property {(item: import("./text-tokens.js").Item, alternative: Token) => void} onChoose
 * @property {(index: number) => void} onLook
 * @property {(at: number) => { href: string | URL, label: string } | null} linkTo a page that explains the word at a text position
 * @property {() => void} onTokens the text shown as tokens has changed
 * @property {(state: State) => void} onState
 */

/** One style sheet for all elements of a document, by window. @type {WeakMap<PageWindow, CSSStyleSheet>} */
const sheets = new WeakMap();

/** A constructed sheet needs no 'unsafe-inline' in the page's policy; it belongs to the document that created it. @param {ShadowRoot} root @param {PageWindow} window */
function adoptStyles(root, window) {
  let sheet = sheets.get(window);
  if (!sheet) {
    sheet = new window.CSSStyleSheet();
    sheet.replaceSync(STYLES);
    sheets.set(window, sheet);
  }
  root.adoptedStyleSheets = [sheet];
}

export class ElementView {
  #manuscript = new Manuscript();
  #surface;
  #tokens;
  #generate = make("button", {
    part: "button generate",
    type: "button",
    text: "Generate",
    title: "Continue the text (Ctrl+Enter)",
  });
  #stop = make("button", { part: "button stop", type: "button", className: "quiet", text: "Stop", hidden: true });
  #regenerate = make("button", {
    part: "button regenerate",
    type: "button",
    className: "plain",
    text: "Regenerate",
    title: "Replace the last passage and what follows it with another version",
  });
  #undo = make("button", {
    part: "button undo",
    type: "button",
    className: "plain",
    text: "Undo",
    title: "Undo the last change (Ctrl+Z)",
  });
  #progress = make("progress", { part: "progress", max: 1, hidden: true, ariaLabel: "Loading the model" });
  #status = make("span", { part: "status", className: "status" });
  #announcement = make("div", { className: "unseen", role: "status" });
  #error = make("div", { part: "error", className: "error", role: "alert", hidden: true });
  #root;
  /** Cancels the work scheduled for the next frame; null if there is none. @type {(() => void) | null} */
  #cancelFrame = null;
  /** @type {import("./manuscript.js").Piece[]} */
  #pending = [];
  #statusInWords = () => "";
  #showsTokens = false;
  /** @type {State} */
  #state = "idle";
  #actions;

  /** @param {ShadowRoot} root @param {Actions} actions */
  constructor(root, actions) {
    this.#actions = actions;
    this.#root = root;
    this.adopt();
    this.#surface = new TextSurface({
      onInput: (text) => {
        this.#manuscript.edit(text);
        this.#show({ keepCaret: true });
      },
      onUndo: () => this.undo(),
      onRedo: () => this.redo(),
    });
    this.#tokens = new TokenView(actions);
    this.#tokens.node.hidden = true;
    root.append(
      make("slot", { name: "heading" }),
      make(
        "div",
        { part: "sheet", className: "sheet" },
        make("label", { className: "unseen", htmlFor: "text", text: "The text, which the model continues" }),
        this.#surface.node,
        this.#tokens.node,
        make("slot", { name: "margin" }),
      ),
      make("slot", { name: "choices" }),
      // Inside the controls, which a page may keep visible: so errors stay visible too.
      make(
        "div",
        { part: "controls", className: "controls" },
        this.#progress,
        this.#error,
        make(
          "div",
          { className: "buttons" },
          this.#generate,
          this.#stop,
          this.#regenerate,
          this.#undo,
          make("slot", { name: "controls" }),
        ),
        make("div", { className: "state" }, this.#status, make("slot", { name: "status" })),
      ),
      this.#announcement,
      make("slot"),
    );
    this.#generate.addEventListener("click", () => actions.onGenerate());
    this.#stop.addEventListener("click", () => actions.onStop());
    this.#regenerate.addEventListener("click", () => actions.onRegenerate());
    this.#undo.addEventListener("click", () => this.undo());
    root.addEventListener("keydown", (/** @type {Event} */ pressed) => {
      const event = /** @type {KeyboardEvent} */ (pressed);
      if (asksToWrite(event)) {
        // Holding the key down, or pressing it again, must not restart the passage.
        if (!this.#isBusy && !event.repeat) actions.onGenerate();
      } else if (event.key === "Escape" && this.#isBusy) actions.onStop();
      else return;
      event.preventDefault();
    });
    this.#showControls();
  }

  /** The window that shows it: not always this module's, since elements can move to other documents. */
  get #window() {
    return this.#root.ownerDocument?.defaultView ?? /** @type {PageWindow} */ (globalThis);
  }

  /** Applies its styles, again in a new document. */
  adopt() {
    adoptStyles(this.#root, this.#window);
  }

  /** Focuses the text. @param {FocusOptions} [options] */
  focus(options) {
    if (!this.#showsTokens) this.#surface.focus(options);
    else if (!this.#tokens.focus(options)) this.#generate.focus(options);
  }

  get #isBusy() {
    return this.#state !== "idle";
  }

  get state() {
    return this.#state;
  }

  get isWriting() {
    return this.#state === "writing";
  }

  get manuscript() {
    return this.#manuscript;
  }

  get text() {
    return this.#manuscript.text;
  }

  /** Replaces the whole text by the visitor's. @param {string} text */
  setText(text) {
    this.#manuscript.replace([{ text, written: false }]);
    this.#showAnother();
  }

  /** Starts with stretches `{ text, written }`: undo cannot go back further. @param {Passage[]} stretches */
  begin(stretches) {
    this.#manuscript.begin(stretches);
    this.#showAnother();
  }

  /** The status belongs to the previous text, unless a model is being loaded. */
  #showAnother() {
    if (!this.#isBusy) this.showIdle("");
    this.#show();
  }

  /** Shows where the model's memory begins. @param {number | null} place */
  mark(place) {
    const before = this.#manuscript.mark;
    this.#manuscript.mark = place;
    if (this.#manuscript.mark !== before && !this.isWriting) this.#showText({ keepCaret: true });
  }

  /** Shows tokens instead of the editable text, or the other way round. @param {boolean} on */
  set showsTokens(on) {
    this.#flush();
    this.#showsTokens = on;
    this.#surface.node.hidden = on;
    this.#tokens.node.hidden = !on;
    if (on) this.#tokens.show(this.#manuscript.pieces);
    this.#actions.onTokens();
  }

  /** The token view. */
  get tokens() {
    return this.#tokens;
  }

  /** Whether tokens are shown. */
  get showsTokens() {
    return this.#showsTokens;
  }

  /** Replaces the text from `start` to `end` by stretches, or by tokens of the model; the caret goes after them. @param {number} start @param {number} end @param {import("./manuscript.js").Part[]} parts */
  splice(start, end, parts) {
    const { length } = this.text;
    this.#manuscript.splice(start, end, parts);
    this.#showAnother();
    this.#surface.selectionStart = this.text.length - length + end;
  }

  get surface() {
    return this.#surface;
  }

  undo() {
    return this.#goTo(() => this.#manuscript.undo());
  }

  redo() {
    return this.#goTo(() => this.#manuscript.redo());
  }

  /** Shows the idle state. @param {string} status */
  showIdle(status) {
    if (this.isWriting) {
      this.#flush();
      this.#manuscript.endPassage();
      this.#surface.endPassage();
    }
    this.#enter("idle");
    this.#status.textContent = status;
    this.#announcement.textContent = status;
  }

  /** Shows that a model is being loaded. */
  showLoading() {
    this.#hideError();
    this.#enter("loading");
    this.#progress.removeAttribute("value");
    this.#progress.hidden = false;
    this.#status.textContent = "Loading";
    this.#announcement.textContent = "Loading the model";
  }

  /** @param {import("../../tokenformer.js").LoadProgress} progress @param {boolean} isLocal */
  showProgress(progress, isLocal) {
    const share = progressShare(progress);
    if (share === null) this.#progress.removeAttribute("value");
    else this.#progress.value = share;
    this.#status.textContent = progressInWords(progress, isLocal);
  }

  /** Replaces lone surrogates by U+FFFD: a visitor may have pasted them, and no model can read them. */
  mend() {
    const text = wellFormed(this.text);
    if (text === this.text) return;
    this.#manuscript.edit(text);
    this.#surface.correct(text);
    this.#show({ keepCaret: true });
  }

  /** Starts a passage after the first `from` pieces of the text. True if that shortened the text, which is reported. @param {number} [from] */
  showWriting(from) {
    if (this.isWriting) this.showIdle("");
    const before = this.#manuscript.stretches;
    const { length } = this.text;
    this.#manuscript.beginPassage(from);
    const isShorter = this.text.length !== length;
    this.#show({ isTold: isShorter, before });
    this.#enter("writing");
    this.#surface.beginPassage();
    this.#status.textContent = "Reading the text";
    this.#announcement.textContent = "Writing";
    return isShorter;
  }

  /** Adds a token: to the text at once, on screen once per frame, since the engine is faster than the display. @param {Token} chunk @param {() => string} status */
  append(chunk, status) {
    this.#manuscript.append(chunk);
    this.#pending.push(...this.#manuscript.pieces.slice(-1));
    this.say(status);
  }

  /** Updates the status while writing, once per frame. @param {() => string} status */
  say(status) {
    this.#statusInWords = status;
    if (this.#cancelFrame) return;
    const window = this.#window;
    const frame = window.requestAnimationFrame(() => {
      this.#flush();
      this.#status.textContent = this.#statusInWords();
    });
    this.#cancelFrame = () => window.cancelAnimationFrame(frame);
  }

  /** Shows an error: what happened, what to do next, and the code to look it up by. @param {import("../errors.js").TokenFormerError} error */
  showError({ code, message, hint }) {
    this.showIdle("");
    this.#error.replaceChildren(
      make("p", { text: message }),
      make("p", { text: hint }),
      make("p", { className: "code", text: code }),
    );
    this.#error.hidden = false;
  }

  #hideError() {
    this.#error.hidden = true;
  }

  /** @param {() => boolean} step */
  #goTo(step) {
    const before = this.#manuscript.stretches;
    if (this.isWriting || !step()) return false;
    this.#show({ before });
    return true;
  }

  /** After every change but the model's own. */
  #show({ keepCaret = false, isTold = true, before = /** @type {Passage[] | null} */ (null) } = {}) {
    this.#hideError();
    this.#showText({ keepCaret });
    if (this.#showsTokens) this.#tokens.show(this.#manuscript.pieces);
    this.#actions.onTokens();
    this.#showControls();
    if (isTold) this.#actions.onChange({ typed: keepCaret, before });
  }

  #showText({ keepCaret = false } = {}) {
    this.#surface.show(this.#manuscript.stretches, { keepCaret, mark: this.#manuscript.mark });
  }

  #flush() {
    this.#cancelFrame?.();
    this.#cancelFrame = null;
    const pending = this.#pending;
    this.#pending = [];
    if (pending.length === 0) return;
    this.#surface.append(pending.map((piece) => piece.text).join(""));
    const first = this.#manuscript.pieces.length - pending.length;
    if (this.#showsTokens) for (const [i, piece] of pending.entries()) this.#tokens.append(piece, first + i);
  }

  #showControls() {
    const written = this.#manuscript.lastPassage >= 0;
    this.#generate.textContent = written ? "Continue" : "Generate";
    this.#regenerate.disabled = this.#isBusy || !written;
    this.#undo.disabled = this.isWriting || !this.#manuscript.canUndo;
    const focused = /** @type {ShadowRoot} */ (this.#generate.getRootNode()).activeElement;
    this.#regenerate.hidden = this.#undo.hidden = !written && !this.#manuscript.canUndo && !this.#isBusy;
    if (focused === this.#undo && this.#undo.hidden) this.#generate.focus();
  }

  /** @param {State} state */
  #enter(state) {
    const focused = /** @type {ShadowRoot} */ (this.#generate.getRootNode()).activeElement;
    const busy = state !== "idle";
    this.#state = state;
    this.#progress.hidden = true;
    this.#generate.hidden = busy;
    this.#stop.hidden = !busy;
    this.#actions.onState(state);
    this.#showControls();
    // The pressed button disappears: focus moves to the button in its position, without scrolling.
    const isStill = { preventScroll: true };
    const isGone = focused === this.#generate || focused === this.#regenerate || focused === this.#undo;
    if (isGone && busy) this.#stop.focus(isStill);
    if (focused === this.#stop && !busy) this.#generate.focus(isStill);
  }
}
