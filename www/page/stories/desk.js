// Which story the text on the page is. What is typed does not say so: a text that is undone, emptied or put back belongs to
// the story that it was.

import { commonStart } from "../../lib/element/texts.js";
import { sheetOfText } from "./sheets.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./sheets.js").KeptSheet} KeptSheet */
/** @typedef {import("./sheets.js").Sheet} Sheet */
/** @typedef {ReturnType<typeof import("./sheets.js").sheetsOf>} Sheets */

export class Desk {
  #sheets;
  /** The sheet of the text that is there; null for a text that is nobody's yet. @type {Sheet | null} */
  #sheet = null;
  /** The last text of each sheet of this visit, the newest last. @type {Map<Sheet, string>} */
  #texts = new Map();

  /** @param {Sheets} sheets */
  constructor(sheets) {
    this.#sheets = sheets;
  }

  get sheet() {
    return this.#sheet;
  }

  /** Another text is there: of a sheet, or nobody's. @param {Sheet | null} sheet @param {string} text */
  put(sheet, text) {
    this.#sheet = sheet;
    if (sheet) this.#note(sheet, text);
  }

  /** The sheet of a text that was remembered. @param {Passage[]} passages @param {Sheet | KeptSheet | null | undefined} kept */
  remembered(passages, kept) {
    if (kept && "change" in kept) return kept;
    return this.#sheets.from(kept ?? sheetOfText(passages), passages);
  }

  /** Takes over a text that was remembered, in case that it did not come into the library. @param {Passage[]} passages @param {Sheet | KeptSheet | null | undefined} kept */
  adopt(passages, kept) {
    if (!kept || !("change" in kept)) this.#sheets.adopt(kept ?? sheetOfText(passages), passages);
  }

  /**
   * The text of the visitor's that is there now, which is kept.
   * @param {Passage[]} passages
   * @param {string} text theirs
   * @param {object} page
   * @param {string} page.brought the text that was put here last and is not the visitor's
   * @param {Record<string, string | null>} page.attributes
   * @param {boolean} [page.isClaimed] whether it is a story for its versions, whatever it says
   */
  keep(passages, text, { brought, attributes, isClaimed = false }) {
    // Whoever empties the page begins anew; what was there stays in the library. A story that began without text goes on.
    if (text === "" && !isClaimed) {
      if (this.#sheet && this.#texts.get(this.#sheet) !== "") this.#sheet = null;
      return;
    }
    this.#sheet = this.#turnedTo(text, brought) ?? this.#sheets.begin();
    this.#note(this.#sheet, text);
    this.#sheet.change(passages, attributes);
  }

  /** The sheet of this visit to which a text belongs: the one that is there, unless an undo has led to another. @param {string} text @param {string} brought */
  #turnedTo(text, brought) {
    const here = this.#sheet && this.#texts.get(this.#sheet);
    const inCommon = here ? commonStart(here, text) : 0;
    const isCloser = (/** @type {string} */ other) => other.length > inCommon && text.startsWith(other);
    const newestFirst = [...this.#texts].reverse();
    const other = newestFirst.find(([sheet, last]) => sheet !== this.#sheet && isCloser(last));
    if (other) return other[0];
    return isCloser(brought) ? null : this.#sheet;
  }

  /** @param {Sheet} sheet @param {string} text */
  #note(sheet, text) {
    this.#texts.delete(sheet);
    this.#texts.set(sheet, text);
  }
}
