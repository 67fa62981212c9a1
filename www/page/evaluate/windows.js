// How a text or a pair is cut into windows: the same as in the LM Evaluation Harness, so that its numbers are
// reproduced. Its functions: get_rolling_token_windows, make_disjoint_window, TemplateLM._encode_pair.

import { invalidArgument } from "../../lib/errors.js";

/** <|endoftext|>, the prefix of every text. */
export const PREFIX = 0;

/** What Python's `str.isspace` and `\s` treat as blank: not quite the same as in JavaScript. */
const BLANK = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const BLANKS = new RegExp(`${BLANK}+`);

/** Counts words like the harness, `len(re.split(r"\s+", text))`: blanks at either end add one. @param {string} text */
export function countWords(text) {
  return text.split(BLANKS).length;
}

/** A pair as given. @typedef {{ context: string, continuation: string }} Pair */
/** Tokens `from` up to `to` of a document, which are scored after `context`. @typedef {{ context: number[], from: number, to: number }} Window */

/**
 * Windows that score every token of a document once. The context of the first is the prefix alone; that of each later
 * one is the token before it; the last, which may have fewer tokens left, gets more context, so that it fills the
 * context length.
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

/** Splits context and continuation: blanks at the context's end belong to the continuation. @param {Pair} pair @returns {Pair} */
export function splitPair({ context, continuation }) {
  const kept = context.replace(new RegExp(`${BLANK}+$`), "");
  return { context: kept, continuation: context.slice(kept.length) + continuation };
}

/**
 * The token ids of a pair, tokenized as a whole and split where the context ends. If it is too long, the start of the
 * context is dropped.
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
    // The prefix is not scored, even if it is written out.
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
