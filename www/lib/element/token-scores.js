// The model's view of a text's tokens: how likely each was, including typed ones, and what it expected instead. Queried
// while the tokens are shown and no text is being generated, in small steps, since calls on a model run in order.

import { nextStep } from "./steps.js";
import { tokensOf } from "./text-tokens.js";

/** @typedef {import("../api/model.js").TokenFormer} TokenFormer */
/** @typedef {import("./manuscript.js").Piece} Piece */
/** @typedef {import("./text-tokens.js").Item} Item */
/** @typedef {import("./token-view.js").TokenView} TokenView */

/** How many alternatives are shown. */
export const ALTERNATIVES = 10;
/** How long a text must be unchanged before it is scored: readers of the context right after generation come first. */
const REST_MS = 250;
/** How long a token must be hovered before its alternatives are queried: a mouse crosses many. */
const LOOK_MS = 120;
/** Tokens per step, adjusted until a step takes about `ms`. */
const STEP = { first: 16, least: 8, most: 256, ms: 60 };

export class TokenScores {
  #view;
  #pieces;
  #before;
  #model;
  #now;
  /** What is known about the last shown text. @type {Item[]} */
  #items = [];
  /** Tokens whose alternatives are being queried. @type {Set<Item["token"]>} */
  #asked = new Set();
  /** For the last query. @type {AbortController | null} */
  #looking = null;
  /** Texts of tokens. @type {Map<number, string>} */
  #texts = new Map();
  /** The model that all of this belongs to. @type {TokenFormer | null} */
  #known = null;
  /** Ids that the model reads before the text. @type {number[]} */
  #first = [];
  /** The scoring run: another change ends it. */
  #round = 0;
  #timer = 0;
  #step = STEP.first;

  /**
   * @param {object} it
   * @param {TokenView} it.view where the tokens are shown
   * @param {() => readonly Piece[]} it.pieces the text
   * @param {(model: TokenFormer) => Promise<number[]>} it.before ids that precede every text
   * @param {() => TokenFormer | null} it.model the one that may be queried now; null: none, or tokens are not shown, or it is about to generate
   * @param {() => number} [it.now]
   */
  constructor({ view, pieces, before, model, now = () => performance.now() }) {
    this.#view = view;
    this.#pieces = pieces;
    this.#before = before;
    this.#model = model;
    this.#now = now;
  }

  /** Called after a change of the text, its display, or what the model does. Queries in progress end, a score after its step. */
  refresh() {
    this.#round += 1;
    this.#looking?.abort();
    clearTimeout(this.#timer);
    const model = this.#model();
    if (!model) return;
    const round = this.#round;
    this.#timer = setTimeout(() => this.#score(model, round), REST_MS);
  }

  /** Queries the alternatives of a token that is being looked at. @param {number} index */
  look(index) {
    setTimeout(() => {
      const model = this.#model();
      const item = this.#items[index];
      // No queries while a text is written; `#score` returns to it later.
      if (!model || !item?.token || this.#view.chosen !== index || this.#asked.has(item.token)) return;
      this.#asked.add(item.token);
      this.#looking?.abort();
      this.#looking = new AbortController();
      this.#expect(model, index, this.#looking.signal)
        .catch(() => {}) // as in `#score`
        .finally(() => this.#asked.delete(item.token));
    }, LOOK_MS);
  }

  /** @param {TokenFormer} model @param {number} round */
  async #score(model, round) {
    const isCurrent = () => this.#round === round && this.#model() === model;
    if (!isCurrent()) return;
    try {
      if (this.#known !== model) this.#texts.clear();
      const items = await tokensOf(this.#pieces(), {
        encode: (text) => model.encode(text),
        decode: (ids) => model.decode(ids),
        texts: this.#texts,
      });
      const first = await this.#before(model);
      if (!isCurrent()) return;
      const isSame = first.length === this.#first.length && first.every((id, i) => id === this.#first[i]);
      if (this.#known === model && isSame) takeOver(items, this.#items);
      this.#known = model;
      this.#first = first;
      this.#items = items;
      this.#view.showItems(items);
      const contextLength = model.info.contextLength - first.length;
      const places = items.flatMap(({ token }, index) => (token ? [index] : []));
      const text = { items, places, ids: places.map((index) => idOf(items[index])), contextLength };
      for (let next = 0; next < places.length && isCurrent(); next += 1)
        if (items[places[next]].token?.logprob === undefined)
          next = await this.#scoreFrom(next, text, model, isCurrent);
    } catch {
      // The model was released, or has no tokenizer. The tokens that it generated are shown all the same.
    }
  }

  /**
   * Scores a token and some after it. Tokens before it that are not in the KV cache are also processed in steps.
   * @param {number} next the token's index among `ids`
   * @param {{ items: Item[], places: number[], ids: number[], contextLength: number }} text `places`: where its tokens are in `items`;
   *   `contextLength`: how many of them the model can read
   * @param {TokenFormer} model
   * @param {() => boolean} isCurrent
   * @returns {Promise<number>} the last one whose score is known
   */
  async #scoreFrom(next, { items, places, ids, contextLength }, model, isCurrent) {
    const first = this.#first;
    const start = windowOf(next, contextLength);
    let to = start;
    if (first.length === 0 && next === 0) {
      this.#tell(items, places[0], null); // nothing stands before it
      to = 1;
    }
    while (to <= next) {
      const cached = commonLength(await model.context(), [...first, ...ids.slice(start)]) - first.length;
      if (!isCurrent()) break;
      // Another caller may use the model, too: tokens that it has evicted from the KV cache are processed again.
      const from = Math.min(next, Math.max(start + cached + 1, to));
      to = Math.min(from + this.#step, start + contextLength, ids.length);
      const begin = this.#now();
      const score = await model.score(ids.slice(from, to), { context: [...first, ...ids.slice(start, from)] });
      const { logprobs } = /** @type {import("../../tokenformer.js").ScoreResult} */ (score);
      this.#step = nextStep(this.#step, this.#now() - begin, STEP);
      for (let i = from; i < to; i += 1)
        if (items[places[i]].token?.logprob === undefined) this.#tell(items, places[i], logprobs[i - from]);
    }
    return to - 1;
  }

  /** @param {Item[]} items @param {number} index @param {number | null} logprob */
  #tell(items, index, logprob) {
    const { token } = items[index];
    if (token) token.logprob = logprob;
    if (items === this.#items) this.#view.update(index);
  }

  /** @param {TokenFormer} model @param {number} index @param {AbortSignal} signal */
  async #expect(model, index, signal) {
    const items = this.#items;
    const { token } = items[index];
    const before = items.slice(0, index).flatMap((item) => (item.token ? [idOf(item)] : []));
    const first = this.#first;
    if (!token || token.topLogprobs || first.length + before.length === 0) return;
    const start = windowOf(before.length, model.info.contextLength - first.length);
    // `minTokens`: not the end of the text, which would be no token with alternatives.
    const options = { maxTokens: 1, minTokens: 1, temperature: 0, logprobs: ALTERNATIVES, signal };
    for await (const { topLogprobs } of model.generate([...first, ...before.slice(start)], options))
      token.topLogprobs = topLogprobs;
    if (items === this.#items) this.#view.update(index);
  }
}

/** @param {Item} item */
const idOf = ({ token }) => /** @type {NonNullable<Item["token"]>} */ (token).tokenId;

/**
 * Where the context of a token begins: at the start of the text, or, further on, at multiples of half a context, so
 * that neighbours share it.
 * @param {number} index the token's @param {number} contextLength
 */
export function windowOf(index, contextLength) {
  if (index < contextLength) return 0;
  const half = Math.max(1, contextLength >> 1);
  return (Math.floor((index - contextLength) / half) + 1) * half;
}

/** Ranges of tokens that share a context, as [begin, end): last ones first, since a text is continued at its end. @param {number} length @param {number} contextLength @returns {[number, number][]} */
export function windowsOf(length, contextLength) {
  const half = Math.max(1, contextLength >> 1);
  /** @type {[number, number][]} */
  const windows = length > 0 ? [[0, Math.min(length, contextLength)]] : [];
  for (let begin = contextLength; begin < length; begin += half)
    windows.unshift([begin, Math.min(length, begin + half)]);
  return windows;
}

/** Length of the common prefix of two lists. @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
function commonLength(a, b) {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n += 1;
  return n;
}

/** Keeps what is known about tokens, as far as the text before them is unchanged. @param {Item[]} items @param {Item[]} before */
function takeOver(items, before) {
  const [now, then] = [items, before].map((list) => list.flatMap(({ token }) => (token ? [token] : [])));
  for (let i = 0; i < now.length && now[i].tokenId === then[i]?.tokenId; i += 1) {
    now[i].logprob ??= then[i].logprob;
    now[i].topLogprobs ??= then[i].topLogprobs;
  }
}
