// The text that visitor and model share: who wrote what, in which tokens, and its history. It holds what a text field
// would: lines of any input end in "\n" alone, so that typed text can be compared with the current text.

import { asInField, commonEnd, commonStart } from "./texts.js";

/** Keyboard changes that follow each other within this time are undone together. */
const TYPING_MS = 1000;
/** Maximum number of undo steps. */
const HISTORY = 200;
/** The surrogate halves of a character beyond U+FFFF, which must stay together. */
const HIGH = /[\ud800-\udbff]/;
const LOW = /[\udc00-\udfff]/;

/** @typedef {import("../../tokenformer.js").Passage} Passage */

/**
 * A stretch of text with one author.
 * @typedef {object} Piece
 * @property {string} text may be empty: a token may be half a character
 * @property {number} run the generation that wrote it; 0: the visitor
 * @property {{ tokenId: number, logprob?: number, topLogprobs?: import("../../tokenformer.js").TopLogprob[], isHealed?: boolean } | null} token `isHealed`: the
 *   space that it begins with is the one before it
 */

/** The argument of `splice`: a stretch, or a token of the model. @typedef {Passage & Partial<NonNullable<Piece["token"]>>} Part */

export class Manuscript {
  /** @type {Piece[]} */
  #pieces = [];
  /** @type {Piece[][]} */
  #past = [];
  /** @type {Piece[][]} */
  #future = [];
  #runs = 0;
  /** The pieces' text, once computed; null after a change. @type {string | null} */
  #text = "";
  /** The passage's last chunk of text, as received. */
  #given = "";
  #typedAt = -Infinity;
  /** @type {number | null} */
  #mark = null;
  #now;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  get text() {
    return (this.#text ??= this.#pieces.map((piece) => piece.text).join(""));
  }

  /** @param {Piece[]} pieces */
  #put(pieces) {
    const mark = this.#mark;
    const before = mark === null ? "" : this.text.slice(0, mark);
    this.#pieces = pieces;
    this.#text = null;
    // If the text before it changed, its position is unknown.
    if (mark !== null && !(this.text.length > mark && this.text.startsWith(before))) this.#mark = null;
  }

  /** A position in the text; null: none. It moves with the text around it. @returns {number | null} */
  get mark() {
    return this.#mark;
  }

  /** @param {number | null} place */
  set mark(place) {
    this.#mark = place !== null && place > 0 && place < this.text.length ? place : null;
  }

  /** @returns {readonly Piece[]} */
  get pieces() {
    return this.#pieces;
  }

  /** The text in the fewest stretches that show who wrote what: `{ text, written }`. */
  get stretches() {
    return merged(this.#pieces.map(({ text, run }) => ({ text, written: run > 0 })));
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** Where the model's newest remaining passage begins, as an index of `pieces`; -1 if there is none. */
  get lastPassage() {
    const newest = this.#pieces.reduce((run, piece) => Math.max(run, piece.run), 0);
    return newest === 0 ? -1 : this.#pieces.findIndex((piece) => piece.run === newest);
  }

  /** @param {number} index */
  textBefore(index) {
    return this.#pieces
      .slice(0, index)
      .map((piece) => piece.text)
      .join("");
  }

  /** Splits a piece in two, which are no longer tokens; returns the index of the second one. @param {number} index @param {number} offset code units of the first one */
  cutAt(index, offset) {
    const piece = this.#pieces[index];
    if (!piece || offset <= 0) return index;
    const halves = [piece.text.slice(0, offset), piece.text.slice(offset)].map((text) => ({
      ...piece,
      text,
      token: null,
    }));
    this.#pieces = [...this.#pieces.slice(0, index), ...halves, ...this.#pieces.slice(index + 1)];
    return index + 1;
  }

  /** Whether it consists of these stretches. @param {Passage[]} stretches */
  consistsOf(stretches) {
    const others = merged(asInFields(stretches));
    const own = this.stretches;
    return others.length === own.length && own.every((one, i) => isSameStretch(one, others[i]));
  }

  /** Starts with these stretches: undo cannot go back further. @param {Passage[]} stretches */
  begin(stretches) {
    this.#put(this.#piecesOf(stretches));
    this.#past = [];
    this.#future = [];
    this.#typedAt = -Infinity;
  }

  /** Replaces everything by other stretches. @param {Passage[]} stretches */
  replace(stretches) {
    const pieces = this.#piecesOf(stretches);
    if (this.#isSame(pieces)) return;
    this.#record();
    this.#put(pieces);
  }

  /** @param {Passage[]} stretches @returns {Piece[]} */
  #piecesOf(stretches) {
    return asInFields(stretches).map(({ text, written }) => ({ text, run: written ? ++this.#runs : 0, token: null }));
  }

  /** Takes over the visitor's edit. Text before and after the change keeps its author. @param {string} edited */
  edit(edited) {
    const before = this.text;
    const text = asInField(edited);
    if (text === before) return;
    const now = this.#now();
    if (now - this.#typedAt > TYPING_MS) this.#record();
    this.#typedAt = now;
    let start = commonStart(before, text);
    if (start > 0 && HIGH.test(text[start - 1])) start -= 1;
    let end = commonEnd(before, text, Math.min(before.length, text.length) - start);
    if (end > 0 && LOW.test(text[text.length - end])) end -= 1;
    const typed = text.slice(start, text.length - end);
    const mark = this.#mark;
    this.#put([
      ...this.#cut(0, start),
      ...(typed ? [{ text: typed, run: 0, token: null }] : []),
      ...this.#cut(before.length - end, before.length),
    ]);
    if (mark === null) return;
    const isBehind = mark >= before.length - end;
    this.mark = isBehind ? mark + text.length - before.length : Math.min(mark, start);
  }

  /**
   * Replaces the text from `start` to `end` by stretches, or by tokens of the model. Consecutive generated stretches
   * form one passage.
   * @param {number} start
   * @param {number} end
   * @param {Part[]} parts
   */
  splice(start, end, parts) {
    const { length } = this.text;
    const isSame = parts.length === 0 && start === end;
    if (isSame) return;
    this.#record();
    let isOpen = false;
    let given = "";
    const between = parts.map(({ text, written, ...token }) => {
      if (written && !isOpen) this.#runs += 1;
      isOpen = written;
      const plain = asInField(text, given);
      if (text !== "") given = text;
      return { text: plain, run: written ? this.#runs : 0, token: tokenOf(token) };
    });
    const kept = between.filter(({ text, token }) => text !== "" || token);
    this.#put([...this.#cut(0, start), ...kept, ...this.#cut(end, length)]);
  }

  /** Starts a passage of the model, after the first `from` pieces. */
  beginPassage(from = this.#pieces.length) {
    this.#record();
    this.#put(this.#pieces.slice(0, from));
    this.#runs += 1;
    this.#given = "";
  }

  /** Appends a token to the passage. @param {{ text: string } & NonNullable<Piece["token"]>} chunk */
  append({ text: given, ...token }) {
    const text = asInField(given, this.#given);
    if (given !== "") this.#given = given;
    this.#pieces.push({ text, run: this.#runs, token });
    this.#text = null;
  }

  /** Ends the passage. An empty one leaves no trace in the history. */
  endPassage() {
    const last = this.#past.at(-1);
    if (last && this.#isSame(last)) this.#past.pop();
  }

  undo() {
    return this.#step(this.#past, this.#future);
  }

  redo() {
    return this.#step(this.#future, this.#past);
  }

  /** @param {Piece[][]} from @param {Piece[][]} to */
  #step(from, to) {
    const pieces = from.pop();
    if (!pieces) return false;
    to.push(this.#pieces);
    this.#put(pieces);
    this.#typedAt = -Infinity;
    return true;
  }

  #record() {
    this.#past.push(this.#pieces.slice());
    if (this.#past.length > HISTORY) this.#past.shift();
    this.#future = [];
    this.#typedAt = -Infinity;
  }

  /** @param {Piece[]} pieces */
  #isSame(pieces) {
    return (
      pieces.length === this.#pieces.length &&
      pieces.every(({ text, run }, i) => text === this.#pieces[i].text && run > 0 === this.#pieces[i].run > 0)
    );
  }

  /** The pieces between two positions in the text. Half a token is text of the same author and no longer a token. @param {number} start @param {number} end */
  #cut(start, end) {
    /** @type {Piece[]} */
    const cut = [];
    let at = 0;
    for (const piece of this.#pieces) {
      const next = at + piece.text.length;
      const text = piece.text.slice(Math.max(0, start - at), Math.max(0, end - at));
      if (text === piece.text && at >= start && next <= end) cut.push(piece);
      else if (text) cut.push({ ...piece, text, token: null });
      at = next;
    }
    return cut;
  }
}

/** The data of a token, if it is one. @param {Partial<NonNullable<Piece["token"]>>} part @returns {Piece["token"]} */
function tokenOf({ tokenId, ...known }) {
  return tokenId === undefined ? null : { tokenId, ...known };
}

/** Stretches with their texts as a text field holds them; those without text are left out. @param {Passage[]} stretches */
function asInFields(stretches) {
  return stretches
    .map(({ text, written }, i) => ({ text: asInField(text, stretches[i - 1]?.text), written }))
    .filter(({ text }) => text !== "");
}

/** The fewest stretches that show who wrote what. @param {Passage[]} stretches */
function merged(stretches) {
  /** @type {Passage[]} */
  const few = [];
  for (const { text, written } of stretches) {
    const last = few.at(-1);
    if (last && last.written === written) last.text += text;
    else if (text !== "") few.push({ text, written });
  }
  return few;
}

/** @param {Passage} a @param {Passage} b */
function isSameStretch(a, b) {
  return a.written === b.written && a.text === b.text;
}
