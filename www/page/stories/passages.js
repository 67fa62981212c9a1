// Passages: a text as stretches with one author each. Positions are in UTF-16 code units, like those of strings.

import { commonStart } from "../../lib/element/texts.js";
import { plainText } from "./plain-text.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */

/** @param {readonly Passage[]} passages */
export function textOf(passages) {
  return passages.map(({ text }) => text).join("");
}

/** The fewest passages that show who wrote what; none without text. @param {readonly Passage[]} passages @returns {Passage[]} */
export function merged(passages) {
  /** @type {Passage[]} */
  const few = [];
  for (const { text, written } of passages) {
    const last = few.at(-1);
    if (text === "") continue;
    if (last && last.written === written) last.text += text;
    else few.push({ text, written });
  }
  return few;
}

/** As few as possible, with their texts as a text field holds them. @param {readonly Passage[]} passages */
export function plain(passages) {
  return merged(merged(passages).map(({ text, written }) => ({ text: plainText(text), written })));
}

/** The passages between two positions. @param {readonly Passage[]} passages @param {number} from @param {number} to */
export function sliced(passages, from, to = Infinity) {
  let at = 0;
  const cut = passages.map(({ text, written }) => {
    const begin = at;
    at += text.length;
    return { text: text.slice(Math.max(0, from - begin), Math.max(0, to - begin)), written };
  });
  return merged(cut);
}

/** Length of the common start of two texts by the same authors, in code units. @param {readonly Passage[]} a @param {readonly Passage[]} b */
export function sameStart(a, b) {
  const [one, other] = [merged(a), merged(b)];
  let start = 0;
  for (let i = 0; i < Math.min(one.length, other.length); i += 1) {
    if (one[i].written !== other[i].written) break;
    const same = commonStart(one[i].text, other[i].text);
    start += same;
    if (same < one[i].text.length || same < other[i].text.length) break;
  }
  return placeIn(textOf(one), start);
}

/** Concatenates passages. @param {readonly (readonly Passage[])[]} parts */
export function joined(...parts) {
  return merged(parts.flat());
}

/** @param {readonly Passage[]} a @param {readonly Passage[]} b */
export function areSame(a, b) {
  const [one, other] = [merged(a), merged(b)];
  return (
    one.length === other.length &&
    one.every(({ text, written }, i) => text === other[i].text && written === other[i].written)
  );
}

/** The position nearest to `at` that is in the text, and between two characters. @param {string} text @param {number} at */
export function placeIn(text, at) {
  const place = Math.min(text.length, Math.max(0, Math.trunc(at) || 0));
  const isWithin = /[\ud800-\udbff]/.test(text[place - 1] ?? "") && /[\udc00-\udfff]/.test(text[place] ?? "");
  return isWithin ? place - 1 : place;
}
