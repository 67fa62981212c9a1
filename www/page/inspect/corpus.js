// The texts that are searched for passages where a parameter token fires: the page's own, and those that the visitor
// adds.

import { make } from "../../lib/element/dom.js";
import { byId } from "../elements.js";
import { acceptDrops } from "../local-model.js";
import { plainText } from "../stories/plain-text.js";
import { showPassages } from "./passages.js";
import { MOST_SEARCHED } from "./study.js";

/** @typedef {import("./places.js").Place} Place */
/** @typedef {import("./study.js").Study} Study */
/** @typedef {import("./study.js").Word} Word */

/** More is not read: `MOST_SEARCHED` tokens are at most this many bytes, in every language. */
const MOST_BYTES = 16 * MOST_SEARCHED;

export class Corpus {
  /** Texts that the visitor added, by name, with their tokens once these are needed. @type {Map<string, { text: string, words: Word[] | null }>} */
  #texts = new Map();
  /** The study that the tokens belong to. @type {Study | null} */
  #study = null;
  #select = byId("corpus", HTMLSelectElement);
  #onChange;
  #onFault;

  /** @param {(name: string) => void} onChange the text of that name is searched next @param {(sentence: string) => void} onFault */
  constructor(onChange, onFault) {
    this.#onChange = onChange;
    this.#onFault = onFault;
    const input = byId("corpus-input", HTMLInputElement);
    byId("pick-corpus").addEventListener("click", () => input.click());
    input.addEventListener("change", async () => {
      await this.#take([...(input.files ?? [])]);
      input.value = ""; // the same choice again is a choice
    });
    acceptDrops(byId("drop-veil"), async (reading) => {
      const entries = await reading.catch(() => []);
      await this.#take(entries.map(({ file }) => file));
    });
    this.#select.addEventListener("change", () => onChange(this.#select.selectedOptions[0].text));
  }

  /** @param {File[]} files */
  async #take([file]) {
    if (!file) return;
    let text;
    try {
      text = plainText(await file.slice(0, MOST_BYTES).text());
    } catch {
      return this.#onFault(`${file.name} cannot be read. Choose it again.`);
    }
    if (text.trim() === "" || text.includes("\0")) {
      return this.#onFault(`${file.name} is no text.`);
    }
    if (!this.#texts.has(file.name)) this.#select.append(make("option", { value: file.name, text: file.name }));
    this.#texts.set(file.name, { text, words: null });
    this.#select.value = file.name;
    this.#onChange(file.name);
  }

  /**
   * Shows where a parameter token fires most in the text that is chosen.
   * @param {Study} study @param {Place} place @param {readonly number[]} own its activations in the page's text @param {AbortSignal} signal
   */
  async show(study, place, own, signal) {
    if (this.#study !== study) for (const one of this.#texts.values()) one.words = null;
    this.#study = study;
    const about = byId("fires-about");
    const other = this.#texts.get(this.#select.value);
    let [words, firing] = [study.words, own];
    if (other) {
      byId("passages").replaceChildren();
      about.textContent = "Searching the text …";
      try {
        words = other.words ??= await study.firstWordsOf(other.text, signal);
        firing = await study.firingIn(words, place, signal, (share) => {
          byId("searched").textContent = signal.aborted ? "" : `${Math.floor(100 * share)} %`;
        });
      } finally {
        byId("searched").textContent = "";
        if (!signal.aborted) about.textContent = "";
      }
    }
    if (signal.aborted) return;
    const { passages, fires } = showPassages(byId("passages"), words, firing);
    const cut = other && words.length === MOST_SEARCHED ? " first" : "";
    about.textContent =
      passages === 0
        ? "Nowhere here is it among the 64 strongest of its layer and table."
        : `It fires at ${fires} of the${cut} ${words.length} words, a quarter as strongly as at most or more. Marked: the word at which it fires; bold: the word that it helps to write.`;
  }
}
