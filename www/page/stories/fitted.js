// A story as the model reads it: with memory, lore and note, and short enough to fit the context.

import { composed, wordFrom } from "./prompt.js";

/** @typedef {import("./prompt.js").Part} Part */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {Pick<Story, "memory" | "note" | "noteLines" | "lore">} Told */
/**
 * The prompt. `keep`: how many of its first tokens stay when the context slides; `left`: how many code units of the
 * story's start it leaves out.
 * @typedef {{ prompt: string, keep: number, parts: Part[], left: number }} Fitted
 */

/**
 * Estimated tokens per code unit. The first is more than that of English prose; if it is too low, the next is tried.
 * The rate does not depend on the length: what is left out then grows with the story, and the rest stays in the KV
 * cache.
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
 * @param {number} model.maxTokens how many may be generated: at most a quarter of the context is reserved for them
 * @returns {Promise<Fitted>}
 */
export async function fitted(text, told, { encode, contextLength, maxTokens }) {
  const lengthOf = async (/** @type {string} */ some) => (some === "" ? 0 : (await encode(some)).length);
  const most = contextLength - 1 - Math.min(maxTokens, contextLength >> 2);
  // The part that stays when the context slides must be less than a quarter.
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
 * Leaves out more than needed, up to a multiple of `step` code units: otherwise each new word would shift the whole
 * prompt.
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
 * Where in the story the context began; null if unknown.
 * @param {Pick<Fitted, "parts" | "left">} read the prompt
 * @param {string} written the text generated from it
 * @param {string | null} newest the text in the context after the tokens that stay; null: it held everything
 */
export function seenFrom({ parts, left }, written, newest) {
  if (newest === null) return left;
  const whole = parts.map(({ text }) => text).join("") + written;
  // Without partial characters at its ends; its end may also be a stop text, which is not written.
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
