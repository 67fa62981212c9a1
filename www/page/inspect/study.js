// A text under study: its tokens, how likely each was, what fired at each, and what the text becomes when parameter tokens
// fire more or less. Calls to a model run in order; a new question aborts the one before it.

import { nextStep as stepAfter } from "../../lib/element/steps.js";
import { tokensOf } from "../../lib/element/text-tokens.js";
import { Averages, bare, firingOf, keyOf, writesWords } from "./places.js";

/** @typedef {import("../../tokenformer.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").Inspected} Inspected */
/** @typedef {import("../../tokenformer.js").Promotes} Promotes */
/** @typedef {import("./places.js").Place} Place */
/** @typedef {import("./address.js").Change} Change */
/** A token of the text. `start`: code units of the text before it. @typedef {{ id: number, text: string, start: number }} Word */
/** How likely each token was. @typedef {{ logprobs: (number | null)[], perplexity: number }} Likelihoods */
/** The same, and what was written after some of them. @typedef {Likelihoods & { written: string }} Version */

/** How many tokens are requested for a word: as many as the engine returns. */
export const MOST_TOP = 64;
/** The same for each place, for the averages. */
const TOP = 16;
/** A longer text would cost more than it adds. */
const MOST_AVERAGED = 512;
/** About how long a step takes before the page's other questions get their turn. */
const STEP = { first: 4, most: 128, ms: 120 };
/** Tokens that are written for the comparison. */
const WRITTEN = 48;
/** Another text: tokens that may be searched, tokens of a piece, and letters of a piece that is encoded. */
export const MOST_SEARCHED = 16384;
const PIECE = 256;
const LETTERS = 2000;
/** A smaller change of a logarithm is invisible. */
const SEEN = 0.02;
/** For a text longer than the context: how many words to keep after the one that is explained. */
const AFTER = 64;

export class Study {
  /** Whether the averages cover the whole text, or as much of it as was requested. */
  isSurveyed = false;
  /** The text's tokens, as many as fit the context. @type {Word[]} */
  words = [];
  averages = new Averages();
  #model;
  #turns;
  /** @type {Map<string, Promise<Promotes>>} */
  #promotes = new Map();
  /** Likelihoods of the text, by the changes: "" for none. @type {Map<string, Likelihoods>} */
  #likelihoods = new Map();
  /** Continuations, by the word and the changes. @type {Map<string, string>} */
  #written = new Map();

  /** @param {TokenFormer} model @param {import("./turns.js").Turns} turns with the model */
  constructor(model, turns) {
    this.#model = model;
    this.#turns = turns;
  }

  /**
   * Reads a text, once. If it is longer than the context: its last part, or the part around a position.
   * @param {string} text
   * @param {number | null} [at] code units before that position
   */
  async read(text, at = null) {
    const words = await wordsOf(this.#model, text);
    const { contextLength } = this.#model.info;
    const found = indexAt(words, at);
    const end =
      found < 0
        ? words.length
        : Math.min(words.length, Math.max(contextLength, found + Math.min(AFTER, contextLength >> 1)));
    this.words = words.slice(Math.max(0, end - contextLength), end);
    return this.words;
  }

  get ids() {
    return this.words.map(({ id }) => id);
  }

  /** What fired at the position that wrote a word. @param {number} index of the word, not the first @param {AbortSignal} signal */
  fired(index, signal) {
    const [ids, asked] = [this.ids.slice(0, index), { position: index - 1, top: MOST_TOP }];
    return this.#turns.take(() => this.#model.inspect(ids, asked), signal);
  }

  /** Computes the averages, in steps between which other questions get their turn. @param {AbortSignal} signal */
  async survey(signal) {
    const ids = this.ids;
    let step = STEP.first;
    for (let at = Math.max(0, ids.length - MOST_AVERAGED); at < ids.length;) {
      const end = Math.min(ids.length, at + step);
      const position = Array.from({ length: end - at }, (_, i) => at + i);
      /** @type {[Inspected[], number]} */
      const [places, ms] = await this.#turns.take(async () => {
        const begin = performance.now();
        return [await this.#model.inspect(ids.slice(0, end), { position, top: TOP }), performance.now() - begin];
      }, signal);
      this.averages.add(places);
      step = nextStep(step, ms);
      at = end;
    }
    this.isSurveyed = true;
  }

  /** How strongly a parameter token fires at each word of this text. @param {Place} place @param {AbortSignal} signal */
  firing(place, signal) {
    return this.#firing(this.ids, place, signal);
  }

  /** @param {number[]} ids @param {Place} place @param {AbortSignal} signal */
  async #firing(ids, place, signal) {
    const position = ids.map((_, i) => i);
    const asked = { layers: [place.layer], kinds: [place.kind], top: MOST_TOP, position };
    return firingOf(await this.#turns.take(() => this.#model.inspect(ids, asked), signal), place, ids.length);
  }

  /**
   * How strongly it fires at each word of another text, which is read in pieces.
   * @param {readonly Word[]} words @param {Place} place @param {AbortSignal} signal @param {(share: number) => void} onProgress
   */
  async firingIn(words, place, signal, onProgress) {
    /** @type {number[]} */
    const firing = [];
    const piece = Math.min(PIECE, this.#model.info.contextLength);
    while (firing.length < words.length) {
      const ids = words.slice(firing.length, firing.length + piece).map(({ id }) => id);
      firing.push(...(await this.#firing(ids, place, signal)));
      onProgress(firing.length / words.length);
    }
    return firing;
  }

  /** The first tokens of another text. @param {string} text @param {AbortSignal} signal */
  async firstWordsOf(text, signal) {
    /** @type {Word[]} */
    const words = [];
    for (let at = 0; at < text.length && words.length < MOST_SEARCHED;) {
      if (signal.aborted) throw signal.reason;
      const blank = text.slice(at + LETTERS).search(/\s/);
      const end = blank < 0 ? text.length : at + LETTERS + blank;
      words.push(...(await wordsOf(this.#model, text.slice(at, end))));
      at = end;
    }
    return words.slice(0, MOST_SEARCHED);
  }

  /** What a parameter token pushes; null for a kind that does not push words. @param {Place} place @returns {Promise<Promotes | null>} */
  async promotes(place) {
    if (!writesWords(place)) return null;
    const key = keyOf(place);
    const known = this.#promotes.get(key) ?? this.#model.promotes(bare(place), { top: 10 });
    this.#promotes.set(key, known);
    known.catch(() => this.#promotes.delete(key));
    return known;
  }

  /** How likely the text is as it is. @param {AbortSignal} signal */
  likelihoods(signal) {
    return this.#turns.take(() => this.#score(""), signal);
  }

  /** The text as it is, and what the model writes after its first `from` tokens. @param {number} from @param {AbortSignal} signal */
  plain(from, signal) {
    return this.#turns.take(() => this.#version("", from), signal);
  }

  /** The same while parameter tokens fire more or less. @param {readonly Change[]} changes @param {number} from @param {AbortSignal} signal */
  changed(changes, from, signal) {
    const key = changes.map((change) => `${keyOf(change)}*${change.scale}`).join("\n");
    return this.#turns.take(async () => {
      await this.#model.ablate([...changes]);
      try {
        return await this.#version(key, from);
      } finally {
        await this.#model.ablate([]);
      }
    }, signal);
  }

  /** @param {string} key what is changed @param {number} from @returns {Promise<Version>} */
  async #version(key, from) {
    return { ...(await this.#score(key)), written: await this.#write(key, from) };
  }

  /** @param {string} key @returns {Promise<Likelihoods>} */
  async #score(key) {
    const known = this.#likelihoods.get(key);
    if (known) return known;
    const { logprobs, perplexity } = await this.#model.score(this.ids);
    const likelihoods = { logprobs, perplexity: perplexity ?? 1 };
    this.#likelihoods.set(key, likelihoods);
    return likelihoods;
  }

  /** @param {string} key @param {number} from */
  async #write(key, from) {
    const name = `${from}\n${key}`;
    const known = this.#written.get(name);
    if (known !== undefined) return known;
    // Only as much of the text as leaves room to write: if the context slid, the comparison would show another change.
    const { contextLength } = this.#model.info;
    const maxTokens = Math.min(WRITTEN, contextLength >> 1);
    const read = this.ids.slice(Math.max(0, from - (contextLength - maxTokens)), from);
    const { text } = await this.#model.complete(read, { maxTokens, temperature: 0, repetitionPenalty: 1 });
    this.#written.set(name, text);
    return text;
  }
}

/** The word that holds a place of the text; -1 for none. @param {readonly Word[]} words @param {number | null} at code units before that place */
export const indexAt = (words, at) =>
  at === null ? -1 : words.findIndex(({ start, text }) => start + text.length > at);

/** Which words a change makes less or more likely, those first that it changes most. @param {Version} plain @param {Version} changed @param {number} count */
export function mostChanged(plain, changed, count) {
  return plain.logprobs
    .flatMap((before, index) => {
      const after = changed.logprobs[index];
      const isMoved = before !== null && after !== null && Math.abs(after - before) >= SEEN;
      return isMoved ? [{ index, before, after }] : [];
    })
    .sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before))
    .slice(0, count);
}

/** The places of a text where something fires most, no two of them neighbours. @param {readonly number[]} firing @param {number} count */
export function peaks(firing, count) {
  const order = firing.map((_, i) => i).sort((a, b) => firing[b] - firing[a]);
  /** @type {number[]} */
  const found = [];
  for (const index of order) {
    if (found.length === count || !(firing[index] > 0)) break;
    if (!found.some((other) => Math.abs(other - index) < 2)) found.push(index);
  }
  return found;
}

/** @param {number} step @param {number} ms what it took @param {number} [growth] how many times as long the next may be @param {number} [most] and how long */
export function nextStep(step, ms, growth = 2, most = STEP.most) {
  return stepAfter(step, ms, { ms: STEP.ms, least: 1, most, growth });
}

/** @param {TokenFormer} model @param {string} text @returns {Promise<Word[]>} */
async function wordsOf(model, text) {
  const items = await tokensOf([{ text, run: 0, token: null }], {
    encode: (some) => model.encode(some),
    decode: (ids) => model.decode(ids),
    texts: new Map(),
  });
  let start = 0;
  return items.flatMap((item) => {
    const word = item.token ? [{ id: item.token.tokenId, text: item.text, start }] : [];
    start += item.text.length;
    return word;
  });
}
