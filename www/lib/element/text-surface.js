// The shared writing surface of visitor and model: a text field that provides keyboard, input methods, selection and
// screen readers, and under it a mirror of its text, which shows who wrote what.
//
// Not contenteditable: inside a shadow root its selection works in some browsers and not in others, and pasted content
// has to be cleaned. A text field holds plain text.

import { make } from "./dom.js";
import { commonEnd, commonStart } from "./texts.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** `isMarked`: a faint line shows where it begins. @typedef {Passage & { isMarked?: boolean }} Stretch */

export class TextSurface {
  #field = make("textarea", {
    part: "prompt",
    id: "text",
    rows: 1,
    spellcheck: false,
    dir: "auto",
    placeholder: "Write a beginning",
  });
  #mirror = make("div", { part: "output", className: "mirror", dir: "auto", ariaHidden: "true" });
  #node = make("div", { className: "surface" }, this.#mirror, this.#field);
  /** The passage being written: its settled text, then spans that are still settling. @type {HTMLElement | null} */
  #passage = null;
  /** @type {Text | null} */
  #settled = null;
  /** @type {{ fresh: HTMLElement, text: string }[]} */
  #settling = [];
  /** The stretches that the mirror shows, each with its span; null during and after a generated passage. @type {(Stretch & { span: HTMLElement })[] | null} */
  #shown = [];
  /** Where the caret was, if that was the text's end when the passage began: unless moved, it goes to the end of the passage. */
  #caretWas = -1;

  /** @param {{ onInput: (text: string) => void, onUndo: () => void, onRedo: () => void }} actions */
  constructor({ onInput, onUndo, onRedo }) {
    this.#field.addEventListener("input", () => onInput(this.#field.value));
    // While an input method is composing, the field shows its own text with the method's marks.
    this.#field.addEventListener("compositionstart", () => this.#node.setAttribute("data-composing", ""));
    this.#field.addEventListener("compositionend", () => this.#node.removeAttribute("data-composing"));
    // One history for typing and writing: the browser's own does not include what a script inserts.
    this.#field.addEventListener("beforeinput", (event) => {
      if (event.inputType === "historyUndo") onUndo();
      else if (event.inputType === "historyRedo") onRedo();
      else return;
      event.preventDefault();
    });
    this.#field.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.isComposing) return;
      const key = latinKey(event);
      if (key === "z" && !event.shiftKey) onUndo();
      else if (key === "y" || key === "z") onRedo();
      else return;
      event.preventDefault();
    });
    this.#mirror.addEventListener("animationend", () => this.#settle());
  }

  get node() {
    return this.#node;
  }

  /** @param {FocusOptions} [options] */
  focus(options) {
    this.#field.focus(options);
  }

  /** Position of the caret, or the start of the selection. */
  get selectionStart() {
    return this.#field.selectionStart;
  }

  /** @param {number} place */
  set selectionStart(place) {
    this.#field.setSelectionRange(place, place);
  }

  /** The rectangle of a text position, with no width; null without layout. @param {number} place */
  rectAt(place) {
    const range = document.createRange();
    const texts = document.createTreeWalker(this.#mirror, NodeFilter.SHOW_TEXT);
    range.setStart(this.#mirror, 0);
    for (let at = 0, node = texts.nextNode(); node; node = texts.nextNode()) {
      const { length } = /** @type {Text} */ (node);
      if (length === 0) continue; // such a node is seen nowhere
      // Before the next letter, which may be on the next line, if there is one.
      range.setStart(node, Math.min(length, place - at));
      if (place - at < length) break;
      at += length;
    }
    range.collapse(true);
    const [rect] = range.getClientRects();
    if (rect || range.startOffset === 0) return rect ?? null;
    // After the end of the last line, only the last letter has a rectangle.
    range.setStart(range.startContainer, range.startOffset - 1);
    return Array.from(range.getClientRects()).at(-1) ?? null;
  }

  /**
   * Shows a text. The caret goes to its end unless `keepCaret`: after typing it stays where the visitor put it. `mark`:
   * a position shown by a faint line.
   * @param {Passage[]} passages
   * @param {{ keepCaret?: boolean, mark?: number | null }} [how]
   */
  show(passages, { keepCaret = false, mark = null } = {}) {
    const stretches = mark === null ? passages : marked(passages, mark);
    if (!this.#shown || !this.#change(stretches)) this.#showAnew(stretches);
    if (!keepCaret) this.#field.value = stretches.map(({ text }) => text).join("");
  }

  /** @param {Stretch[]} stretches */
  #showAnew(stretches) {
    this.#passage = null;
    this.#settling = [];
    this.#shown = stretches.map((stretch) => ({ ...stretch, span: spanOf(stretch) }));
    this.#mirror.replaceChildren(...this.#shown.map(({ span }) => span));
  }

  /**
   * If only one stretch has changed, as while typing, only the difference is inserted: otherwise a long text would be
   * laid out from its start for every letter. True if that was enough.
   * @param {Stretch[]} stretches
   */
  #change(stretches) {
    const shown = this.#shown ?? [];
    const isOther = (/** @type {Stretch} */ a, /** @type {Stretch} */ b) =>
      a.written !== b.written || a.isMarked !== b.isMarked;
    if (stretches.length !== shown.length || stretches.some((stretch, i) => isOther(stretch, shown[i]))) return false;
    const differing = stretches.flatMap(({ text }, i) => (text === shown[i].text ? [] : [i]));
    if (differing.length > 1) return false;
    for (const i of differing) {
      const { text: before, span } = shown[i];
      const { text } = stretches[i];
      const start = commonStart(before, text);
      const end = commonEnd(before, text, Math.min(before.length, text.length) - start);
      /** @type {Text} */ (span.firstChild).replaceData(
        start,
        before.length - start - end,
        text.slice(start, text.length - end),
      );
      shown[i].text = text;
    }
    return true;
  }

  /** Replaces the field's text by another of the same length; the caret stays where it is. @param {string} text */
  correct(text) {
    const { selectionStart, selectionEnd, selectionDirection } = this.#field;
    this.#field.value = text;
    this.#field.setSelectionRange?.(selectionStart, selectionEnd, selectionDirection);
  }

  /** Starts a passage at the end. */
  beginPassage() {
    const { value, selectionStart, selectionEnd } = this.#field;
    this.#caretWas = selectionStart === value.length && selectionEnd === value.length ? value.length : -1;
    this.#field.readOnly = true;
    this.#shown = null;
    this.#passage = spanOf({ text: "", written: true });
    this.#settled = document.createTextNode("");
    this.#passage.append(this.#settled);
    this.#passage.setAttribute("data-open", "");
    this.#mirror.append(this.#passage);
  }

  /** Adds to the passage. New text fades from the accent colour to the quieter colour of generated text. @param {string} text */
  append(text) {
    if (text === "" || !this.#passage) return;
    const follow = this.#isAtEnd();
    const fresh = make("span", { className: "fresh", text });
    this.#passage.append(fresh);
    this.#settling.push({ fresh, text });
    // Without animation (reduced motion, a hidden page) no end event comes: old spans are settled by their number.
    if (this.#settling.length > 120) this.#settle();
    this.#setValue(text);
    if (follow) this.#node.scrollTop = this.#node.scrollHeight;
  }

  endPassage() {
    this.#field.readOnly = false;
    this.#passage?.removeAttribute("data-open");
    const { value, selectionStart, selectionEnd } = this.#field;
    if (selectionStart === this.#caretWas && selectionEnd === this.#caretWas)
      this.#field.setSelectionRange?.(value.length, value.length);
    this.#caretWas = -1;
  }

  /** Spans that have settled become text, the oldest first, so that a long passage stays one text node. */
  #settle() {
    const next = this.#settling.shift();
    if (!next) return;
    this.#settled?.appendData(next.text);
    next.fresh.remove();
  }

  /** @param {string} more */
  #setValue(more) {
    const end = this.#field.value.length;
    if (this.#field.setRangeText) this.#field.setRangeText(more, end, end, "preserve");
    else this.#field.value += more;
  }

  /** Whether a scrolling surface is scrolled to its end. */
  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#node;
    return scrollHeight - scrollTop - clientHeight < 48;
  }
}

/** The pressed letter; on a keyboard without Latin letters, the one at the same position on Latin keyboards. @param {KeyboardEvent} event */
function latinKey({ key, code }) {
  return (/^[\x20-\x7f]$/.test(key) ? key : (/^Key([A-Z])$/.exec(code)?.[1] ?? key)).toLowerCase();
}

/** The stretches, split at a position. @param {Passage[]} passages @param {number} mark @returns {Stretch[]} */
function marked(passages, mark) {
  let end = 0;
  return passages.flatMap(({ text, written }) => {
    const at = mark - end;
    end += text.length;
    if (at < 0 || at >= text.length) return [{ text, written }];
    const rest = { text: text.slice(at), written, isMarked: true };
    return at === 0 ? [rest] : [{ text: text.slice(0, at), written }, rest];
  });
}

/** The span of a stretch. Its text is a single node, which can be edited in place. @param {Stretch} stretch */
function spanOf({ text, written, isMarked = false }) {
  const className = [written && "written", isMarked && "seen-from"].filter(Boolean).join(" ");
  const span = make("span", { ...(written && { part: "written" }), ...(className && { className }) });
  if (text !== "") span.append(document.createTextNode(text));
  return span;
}
