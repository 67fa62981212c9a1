// Several continuations from a position in the text, as far as they are written by now. They are versions of the story
// from their first token on, whichever is chosen.

import { plain } from "./passages.js";
import { drafted, newVersionId } from "./versions.js";

/** @typedef {import("../../tokenformer.js").AlternativeChunk} AlternativeChunk */
/** @typedef {import("../../tokenformer.js").Part} Part */
/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./story.js").Story} Story */

export class Drafts {
  #ids;
  #tokens;
  #ending;
  #amend;
  /** Something was written that is not saved yet. */
  #isAhead = false;

  /**
   * @param {object} drafts
   * @param {number} drafts.n how many
   * @param {number} drafts.at the position
   * @param {Passage[]} drafts.ending the text after the position, which stays after the chosen one
   * @param {(change: (story: Story) => Story) => void} drafts.amend changes the story's versions
   */
  constructor({ n, at, ending, amend }) {
    this.at = at;
    this.#ending = ending;
    this.#amend = amend;
    this.#ids = Array.from({ length: n }, newVersionId);
    this.#tokens = Array.from({ length: n }, () => /** @type {Part[]} */ ([]));
    this.texts = Array.from({ length: n }, () => "");
  }

  /** Adds a generated token. @param {AlternativeChunk} chunk */
  add({ index, ...token }) {
    this.#tokens[index].push({ ...token, written: true });
    this.texts[index] += token.text;
    this.#isAhead = true;
  }

  /** The tokens of one draft, as the element accepts them. @param {number} index */
  partsOf(index) {
    return this.#tokens[index];
  }

  /** Saves what is written so far in the story. */
  keep() {
    if (!this.#isAhead) return;
    this.#isAhead = false;
    const drafts = this.texts.flatMap((text, i) => {
      const passages = plain([{ text, written: true }, ...this.#ending]);
      return text === "" ? [] : [{ id: this.#ids[i], passages }];
    });
    this.#amend((story) => drafted(story, this.at, drafts));
  }
}
