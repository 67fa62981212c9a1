// The one surface on which visitor and model write: a text field that brings the keyboard, input methods, selection
// and screen readers, and under it a mirror of its text, which shows who wrote what.
//
// Not contenteditable: inside a shadow root its selection works in one browser and not in the next, and what
// is pasted has to be cleaned. A text field holds plain text.

import { make } from "./dom.js";

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
  /** Where the passage that is being written stands: its settled text, then spans that settle. */
  #passage = null;
  #settled = null;
  #settling = [];

  /** @param {{ onInput: (text: string) => void, onUndo: () => void, onRedo: () => void }} actions */
  constructor({ onInput, onUndo, onRedo }) {
    this.#field.addEventListener("input", () => onInput(this.#field.value));
    // While an input method composes, the field shows its own text with the method's marks.
    this.#field.addEventListener("compositionstart", () => this.#node.setAttribute("data-composing", ""));
    this.#field.addEventListener("compositionend", () => this.#node.removeAttribute("data-composing"));
    // One history for typing and writing: the browser's own knows nothing of what a script put into the field.
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

  focus() {
    this.#field.focus();
  }

  /** Shows a text. The caret goes to its end unless `keepCaret`: after typing it is where the visitor put it. */
  show(stretches, { keepCaret = false } = {}) {
    this.#passage = null;
    this.#settling = [];
    this.#mirror.replaceChildren(
      ...stretches.map(({ text, written }) => (written ? writtenSpan(text) : make("span", { text }))),
    );
    if (!keepCaret) this.#field.value = stretches.map(({ text }) => text).join("");
  }

  /** A passage begins at the end. */
  beginPassage() {
    this.#field.readOnly = true;
    this.#passage = writtenSpan("");
    this.#settled = document.createTextNode("");
    this.#passage.append(this.#settled);
    this.#passage.setAttribute("data-open", "");
    this.#mirror.append(this.#passage);
  }

  /** Adds to the passage. New text settles from the accent's colour to the quieter one of what is written. */
  append(text) {
    if (text === "") return;
    const follow = this.#isAtEnd();
    const fresh = make("span", { className: "fresh", text });
    this.#passage.append(fresh);
    this.#settling.push({ fresh, text });
    // Where nothing is animated (reduced motion, a hidden page) no end comes: old spans settle by the count.
    if (this.#settling.length > 120) this.#settle();
    this.#setValue(text);
    if (follow) this.#node.scrollTop = this.#node.scrollHeight;
  }

  endPassage() {
    this.#field.readOnly = false;
    this.#passage?.removeAttribute("data-open");
  }

  /** Spans that have settled become text, the oldest first, so that a long passage stays one text node. */
  #settle() {
    const next = this.#settling.shift();
    if (!next) return;
    this.#settled.appendData(next.text);
    next.fresh.remove();
  }

  #setValue(more) {
    const end = this.#field.value.length;
    if (this.#field.setRangeText) this.#field.setRangeText(more, end, end, "preserve");
    else this.#field.value += more;
  }

  /** Whether a surface that scrolls shows its end. */
  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#node;
    return scrollHeight - scrollTop - clientHeight < 48;
  }
}

/** The letter that is pressed; on a keyboard without Latin letters the one that stands there on others. */
function latinKey({ key, code }) {
  return (/^[\x20-\x7f]$/.test(key) ? key : (/^Key([A-Z])$/.exec(code)?.[1] ?? key)).toLowerCase();
}

function writtenSpan(text) {
  return make("span", { part: "written", className: "written", text });
}
