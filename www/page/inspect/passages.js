// The passages of a text where a parameter token fires most.

import { make } from "../../lib/element/dom.js";
import { visible } from "../../lib/element/token-words.js";
import { peaks } from "./study.js";

/** @typedef {import("./study.js").Word} Word */

const PASSAGES = 8;
/** Words that are shown before and after. */
const BEFORE = 8;
const AFTER = 4;

/**
 * A passage for each place: the last word that was read when it fired, and the word that it helped to write.
 * @param {HTMLElement} list
 * @param {readonly Word[]} words
 * @param {readonly number[]} firing
 */
export function showPassages(list, words, firing) {
  const most = Math.max(1e-6, ...firing);
  const text = (/** @type {number} */ from, /** @type {number} */ to) =>
    words
      .slice(Math.max(0, from), Math.max(0, to))
      .map((word) => word.text)
      .join("")
      .replace(/\s+/g, " ");
  const rows = peaks(firing, PASSAGES).map((at) => {
    const next = words[at + 1]?.text ?? "";
    return make(
      "li",
      {},
      make("span", { className: "number", text: firing[at].toFixed(1) }),
      make(
        "span",
        { dir: "auto" },
        text(at - BEFORE, at),
        make("mark", { text: words[at].text.trim() === "" ? visible(words[at].text) : words[at].text }),
        make("strong", { text: next.trim() === "" ? visible(next) : next }),
        text(at + 2, at + 2 + AFTER),
      ),
    );
  });
  list.replaceChildren(...rows);
  const fires = firing.filter((one) => one > most / 4).length;
  return { passages: rows.length, fires };
}
