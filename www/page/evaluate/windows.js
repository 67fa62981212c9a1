// What is asked of a model for a text or a pair: the windows and the cuts of the LM Evaluation Harness, so that its numbers
// come out. Its functions: get_rolling_token_windows, make_disjoint_window, TemplateLM._encode_pair.

import { invalidArgument } from "../../lib/errors.js";

/** <|endoftext|>, which a text begins after. */
export const PREFIX = 0;

/** What Python's `str.isspace` and its `\s` take for a blank: not quite what JavaScript does. */
const BLANK = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const BLANKS = new RegExp(`${BLANK}+`);

/** As the harness counts words, `len(re.split(r"\s+", text))`: blanks at either end make one more. @param {string} text */
export function countWords(text) {
  return text.split(BLANKS).length;
}

/** A pair as it is given. @typedef {{ context: string, continuation: string }} Pair */
/** Tokens `from` up to `to` of a document, which are scored after `context`. @typedef {{ context: number[], from: number, to: number }} Window */

/**
 * Windows that score every token of a document once. The first follows the prefix alone; each later one the token before
 * it; the last, which may have fewer tokens left, more of what came before, so that it is as long as the context.
 *
 * @param {number[]} ids
 * @param {number} contextLength at least 2
 * @returns {Window[]}
 */
export function rollingWindows(ids, contextLength, prefix = PREFIX) {
  const most = contextLength - 1;
  if (!(most >= 1))
    throw invalidArgument(
      `A context of ${contextLength} has no room for a token and what it follows.`,
      "It takes 2 at least.",
    );
  if (ids.length === 0) return [];
  const windows = [{ context: [prefix], from: 0, to: Math.min(most, ids.length) }];
  for (let from = windows[0].to; from < ids.length;) {
    const to = Math.min(from + most, ids.length);
    windows.push({ context: ids.slice(to - most - 1, from), from, to });
    from = to;
  }
  return windows;
}

/** Where context and continuation part: blanks at the context's end belong to the continuation. @param {Pair} pair @returns {Pair} */
export function splitPair({ context, continuation }) {
  const kept = context.replace(new RegExp(`${BLANK}+$`), "");
  return { context: kept, continuation: context.slice(kept.length) + continuation };
}

/**
 * The token ids of a pair, the whole encoded at once and cut where the context ends. What does not fit is left out of
 * the context's beginning.
 *
 * @param {Pair} pair
 * @param {(text: string) => Promise<number[]>} encode
 * @param {number} contextLength
 * @returns {Promise<{ context: number[], ids: number[], text: string, leftOut: number }>} `text`: what is scored
 */
export async function encodePair(pair, encode, contextLength, where = "The pair", prefix = PREFIX) {
  const { context: before, continuation } = splitPair(pair);
  const whole = await encode(before + continuation);
  let context = before === "" ? [] : await encode(before);
  let ids = whole.slice(context.length);
  if (context.length === 0) {
    // The prefix is not scored, also where it is written out.
    if (ids[0] === prefix) ids = ids.slice(1);
    context = [prefix];
  }
  if (ids.length === 0) {
    throw invalidArgument(
      `${where}: nothing is left to score, since the continuation is one token with the context's end.`,
      "Cut the pair at the end of a word.",
    );
  }
  const room = contextLength - ids.length;
  if (room < 1) {
    throw invalidArgument(
      `${where}: the continuation has ${ids.length} tokens, and ${contextLength - 1} are the most that fit the context.`,
      "Give it as a text, which is scored in windows.",
    );
  }
  const leftOut = Math.max(0, context.length - room);
  return { context: context.slice(leftOut), ids, text: continuation, leftOut };
}
