// The words of the explanation, and of its two pictures, taken from the visitor's text.

import { byId } from "../elements.js";

/** @typedef {import("./places.js").Strength} Strength */
/** @typedef {import("./study.js").Word} Word */

/** Letters that fit a picture's box. */
const LETTERS = 14;
/** Words that a sentence quotes. */
const BEFORE = 12;
/** Parameter tokens of the first picture. */
export const PICTURED = 3;

/** @param {readonly Word[]} words @param {number} index of the one that is explained @param {readonly Strength[]} strengths `PICTURED` of them, the ones that matter most first @param {number} layers */
export function explainWith(words, index, strengths, layers) {
  const seen = (/** @type {Word} */ { text }) => (text.trim() === "" ? "␣" : text.trim());
  const before = words.slice(Math.max(0, index - BEFORE), index).map(({ text }) => text);
  fill("the-word", cut(seen(words[index])));
  fill("the-last", cut(seen(words[index - 1])));
  fill("the-words", `${index > BEFORE ? "… " : ""}${before.join("").replace(/\s+/g, " ").trim()}`);
  for (let i = 0; i < PICTURED; i += 1) {
    const one = strengths[i];
    byId(`picture-fires-${i}`, SVGTextElement).textContent = one ? one.activation.toFixed(1) : "";
    byId(`picture-value-${i}`, SVGTextElement).textContent = one ? `value ${one.slot}` : "value";
  }
  const [first] = strengths;
  if (first)
    byId("picture-caption").textContent =
      `A parameter token fires when its key fits the list; then its value counts in the sum. Here are three that fired for ${cut(seen(words[index]))}; the first is of layer ${first.layer}, ${first.kind}.`;
  byId("picture-last-layer", SVGTextElement).textContent = `layer ${layers - 1}`;
}

/** @param {string} name of a class @param {string} text */
function fill(name, text) {
  for (const element of document.querySelectorAll(`.${name}`)) element.textContent = text;
}

/** @param {string} text */
function cut(text) {
  const letters = Array.from(text);
  return letters.length > LETTERS ? `${letters.slice(0, LETTERS - 1).join("")}…` : text;
}
