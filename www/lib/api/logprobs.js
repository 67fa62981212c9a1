// Log-probabilities in the form of OpenAI's completions: lists with one element per token.

import { aborted, invalidArgument } from "../errors.js";

/** @typedef {import("./model.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").Chunk} Chunk */
/** @typedef {import("../../tokenformer.js").CompletionLogprobs} Logprobs */
/** @typedef {import("../../tokenformer.js").TopLogprob} TopLogprob */
/** A prompt's token: the first one has no probability. @typedef {{ text: string, tokenId: number, logprob: number | null, topLogprobs: TopLogprob[] }} Scored */

/** The text of tokens that hold part of a character; a character has at most four bytes. */
const REPLACEMENT = "\uFFFD";
const MOST_BYTES = 4;
/** The table has rows without a token, which are skipped, so look at a few more than requested. */
const SPARE = 8;

/** @returns {Logprobs} */
export function emptyLogprobs() {
  return { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
}

/**
 * Adds a token. It is listed among its alternatives, likely or not, as the protocol requires.
 * @param {Logprobs} logprobs
 * @param {Chunk | Scored} token generated with logprobs, or from the prompt
 * @param {number} offset where its text begins
 * @param {number | undefined} wanted how many alternatives
 */
export function addLogprobs(logprobs, token, offset, wanted) {
  const { text, tokenId, logprob, topLogprobs } = /** @type {Scored} */ (token); // since they were asked for
  logprobs.tokens.push(text);
  logprobs.token_logprobs.push(logprob);
  logprobs.text_offset.push(offset);
  if (wanted === 0 || logprob === null) {
    logprobs.top_logprobs.push(null);
    return logprobs;
  }
  /** @type {Record<string, number>} */
  const top = {};
  for (const other of topLogprobs.slice(0, wanted)) top[other.text] ??= other.logprob;
  // Compared by id: its text in the list may include the space that the prompt ends in, and lacks what is held back.
  if (!topLogprobs.slice(0, wanted).some((other) => other.tokenId === tokenId)) top[text] ??= logprob;
  logprobs.top_logprobs.push(top);
  return logprobs;
}

/**
 * The log-probabilities of a prompt's tokens. With alternatives this costs as much as generating that many tokens: each
 * position needs the full distribution, from a step of its own. Without, one pass scores the prompt.
 * @param {Pick<TokenFormer, "decode" | "logits" | "score" | "info">} model
 * @param {number[]} ids
 * @param {number} wanted how many alternatives
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<Logprobs>}
 * @throws `invalid-argument` for ids that are out of range or do not fit the context; `aborted`
 */
export async function promptLogprobs(model, ids, wanted, signal) {
  const logprobs = emptyLogprobs();
  if (ids.length === 0) return logprobs;
  const { contextLength } = model.info;
  if (ids.length > contextLength)
    throw invalidArgument(`${ids.length} tokens do not fit the context of ${contextLength}.`, "Send a shorter prompt.");
  const scored =
    wanted === 0
      ? /** @type {import("../../tokenformer.js").ScoreResult} */ (await model.score(ids)).logprobs
      : undefined;
  const textOf = memoized((/** @type {number} */ id) => model.decode([id]));
  let offset = 0;
  let first = 0; // of the tokens whose text has not been told
  for (let at = 0; at < ids.length; at++) {
    if (signal?.aborted) throw aborted("The completion", signal.reason);
    /** @type {Scored} */
    const token = { text: "", tokenId: ids[at], logprob: scored?.[at] ?? null, topLogprobs: [] };
    if (!scored && at > 0)
      Object.assign(token, await likelihood(await model.logits(ids.slice(0, at)), ids[at], wanted, textOf));
    const text = await model.decode(ids.slice(first, at + 1));
    const isHeld = text.endsWith(REPLACEMENT) && at + 1 - first < MOST_BYTES && at + 1 < ids.length;
    if (!isHeld) {
      token.text = text;
      first = at + 1;
    }
    addLogprobs(logprobs, token, offset, wanted);
    offset += token.text.length;
  }
  return logprobs;
}

/**
 * How likely a token is according to the logits, and the tokens that are more likely, most likely first.
 * @param {Float32Array} logits
 * @param {number} tokenId
 * @param {number} wanted
 * @param {(id: number) => Promise<string>} textOf empty for ids that are no tokens
 */
async function likelihood(logits, tokenId, wanted, textOf) {
  if (tokenId >= logits.length)
    throw invalidArgument(`Token id ${tokenId} is out of range: there are ${logits.length}.`);
  const best = largest(logits, wanted + SPARE);
  const most = logits[best[0]];
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  const logprobOf = (/** @type {number} */ id) => logits[id] - most - total;
  /** @type {TopLogprob[]} */
  const topLogprobs = [];
  for (const id of best) {
    if (topLogprobs.length === wanted) break;
    const text = await textOf(id);
    if (text !== "") topLogprobs.push({ tokenId: id, text, logprob: logprobOf(id) });
  }
  return { logprob: logprobOf(tokenId), topLogprobs };
}

/** The indices of the largest values, largest first; among equals, the lowest index first. @param {Float32Array} values @param {number} count */
function largest(values, count) {
  /** @type {number[]} */
  const best = [];
  for (let i = 0; i < values.length; i++) {
    if (best.length === count && values[i] <= values[best[count - 1]]) continue;
    let place = best.length;
    while (place > 0 && values[i] > values[best[place - 1]]) place--;
    best.splice(place, 0, i);
    if (best.length > count) best.pop();
  }
  return best;
}

/**
 * @template T
 * @param {(id: number) => Promise<T>} read
 */
function memoized(read) {
  /** @type {Map<number, Promise<T>>} */
  const known = new Map();
  return (/** @type {number} */ id) => {
    const told = known.get(id) ?? read(id);
    known.set(id, told);
    return told;
  };
}
