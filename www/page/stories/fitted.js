// A story as a model is to read it: with memory, lore and note, and so long that it fits the context.

import { composed, wordFrom } from "./prompt.js";

/** @typedef {import("./prompt.js").Part} Part */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {Pick<Story, "memory" | "note" | "noteLines" | "lore">} Told */
/**
 * What is read. `keep`: how many of its first tokens stay where the text slides; `left`: how many code units of the story's
 * beginning are not in it.
 * @typedef {{ prompt: string, keep: number, parts: Part[], left: number }} Fitted
 */

/**
 * Tokens per code unit, as they are guessed. The first is more than that of English prose; where it is too few, the next is
 * tried. One rate for every length: what is left out then grows with the story, and the rest stays in the KV cache.
 */
const RATES = [0.28, 0.4, 0.6, 1, 2, 4];

/** Whether there is anything besides the text. @param {Told} told */
export const tellsAnything = ({ memory, note, lore }) => memory !== "" || note !== "" || lore.some(({ text }) => text);

/**
 * @param {string} text the story's
 * @param {Told} told
 * @param {object} model
 * @param {(text: string) => Promise<ArrayLike<number>>} model.encode
 * @param {number} model.contextLength in tokens
 * @param {number} model.maxTokens how many are to be written: at most a quarter of the context is left free for them
 * @returns {Promise<Fitted>}
 */
export async function fitted(text, told, { encode, contextLength, maxTokens }) {
  const lengthOf = async (/** @type {string} */ some) => (some === "" ? 0 : (await encode(some)).length);
  const most = contextLength - 1 - Math.min(maxTokens, contextLength >> 2);
  // What stays where the text slides must be less than a quarter.
  const mostTold = Math.ceil(contextLength / 4) - 1;
  for (const rate of RATES) {
    const { parts, left } = cutInSteps(text, told, { rate, most, mostTold, step: contextLength });
    const prompt = parts.map((part) => part.text).join("");
    const first = parts.filter(({ kind }) => kind === "memory" || kind === "lore");
    const keep = await lengthOf(first.map((part) => part.text).join(""));
    const fits = keep <= mostTold && (await lengthOf(prompt)) <= most;
    if (fits || rate === RATES.at(-1)) return { prompt, keep: Math.min(keep, mostTold), parts, left };
  }
  throw new Error("There is a last rate.");
}

/**
 * Leaves out more than it must, up to a multiple of `step` code units: were it as much as it must, each word that is written
 * would move all that is read.
 * @param {string} text
 * @param {Told} told
 * @param {{ rate: number, most: number, mostTold: number, step: number }} room
 */
function cutInSteps(text, told, { rate, most, mostTold, step }) {
  const of = (/** @type {string} */ story) =>
    composed(
      { ...told, passages: story === "" ? [] : [{ text: story, written: false }] },
      { budget: most, told: mostTold, count: (some) => some.length * rate },
    );
  const whole = of(text);
  if (whole.left === 0) return whole;
  const least = Math.ceil(whole.left / step) * step;
  if (least >= text.length) return whole;
  const cut = wordFrom(text, least);
  const { parts, left } = of(text.slice(cut));
  return { parts, left: cut + left };
}

/**
 * Where in the story begins what the context held; null where that cannot be told.
 * @param {Pick<Fitted, "parts" | "left">} read what was read
 * @param {string} written what was written then
 * @param {string | null} newest the text of what the context held after the tokens that stay; null: it held everything
 */
export function seenFrom({ parts, left }, written, newest) {
  if (newest === null) return left;
  const whole = parts.map(({ text }) => text).join("") + written;
  // Without the halves of characters at its ends; and its end may be a stop text, which is not written.
  const seen = newest.replace(/^\uFFFD+|\uFFFD+$/gu, "");
  const at = Math.max(whole.lastIndexOf(seen), whole.lastIndexOf(seen.slice(0, seen.length >> 1)));
  if (at < 0) return null;
  let [end, place] = [0, left];
  for (const { kind, text } of parts) {
    const isHere = at < end + text.length;
    if (kind === "story") {
      if (isHere) return place + at - end;
      place += text.length;
    } else if (isHere) return place;
    end += text.length;
  }
  return place + at - end;
}
