// Decides which story the text on the page belongs to. The text alone does not say so: after an undo, clearing the
// page, or restoring a text, it still belongs to its story.

import { commonStart } from "../../lib/element/texts.js";
import { sheetOfText } from "./sheets.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./sheets.js").KeptSheet} KeptSheet */
/** @typedef {import("./sheets.js").Sheet} Sheet */
/** @typedef {ReturnType<typeof import("./sheets.js").sheetsOf>} Sheets */

export class Desk {
  #sheets;
  /** The sheet of the current text; null if it belongs to no one yet. @type {Sheet | null} */
  #sheet = null;
  /** The last text of each sheet of this visit, newest last. @type {Map<Sheet, string>} */
  #texts = new Map();

  /** @param {Sheets} sheets */
  constructor(sheets) {
    this.#sheets = sheets;
  }

  get sheet() {
    return this.#sheet;
  }

  /** Another text is on the page: from a sheet, or without one. @param {Sheet | null} sheet @param {string} text */
  put(sheet, text) {
    this.#sheet = sheet;
    if (sheet) this.#note(sheet, text);
  }

  /** The sheet of a restored text. @param {Passage[]} passages @param {Sheet | KeptSheet | null | undefined} kept */
  remembered(passages, kept) {
    if (kept && "change" in kept) return kept;
    return this.#sheets.from(kept ?? sheetOfText(passages), passages);
  }

  /** Saves a restored text, in case it did not reach the library. @param {Passage[]} passages @param {Sheet | KeptSheet | null | undefined} kept */
  adopt(passages, kept) {
    if (!kept || !("change" in kept)) this.#sheets.adopt(kept ?? sheetOfText(passages), passages);
  }

  /**
   * Saves the visitor's current text.
   * @param {Passage[]} passages
   * @param {string} text its text
   * @param {object} page
   * @param {string} page.brought the last text put here that is not the visitor's
   * @param {Record<string, string | null>} page.attributes
   * @param {boolean} [page.isClaimed] whether it counts as a story because of its versions, whatever its text
   */
  keep(passages, text, { brought, attributes, isClaimed = false }) {
    // Emptying the page starts a new story; the old one stays in the library. A story that started without text continues.
    if (text === "" && !isClaimed) {
      if (this.#sheet && this.#texts.get(this.#sheet) !== "") this.#sheet = null;
      return;
    }
    this.#sheet = this.#turnedTo(text, brought) ?? this.#sheets.begin();
    this.#note(this.#sheet, text);
    this.#sheet.change(passages, attributes);
  }

  /** The sheet of this visit that a text belongs to: the current one, unless an undo has led back to another. @param {string} text @param {string} brought */
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
