// A text that is looked at: its tokens, how likely each was, what fired at each, and what it becomes when parameter tokens
// fire more or less. Calls on a model go in order; whoever asks for something else aborts what was asked before.

import { tokensOf } from "../../lib/element/text-tokens.js";
import { Averages, bare, firingOf, keyOf, writesWords } from "./places.js";

/** @typedef {import("../../tokenformer.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").Inspected} Inspected */
/** @typedef {import("../../tokenformer.js").Promotes} Promotes */
/** @typedef {import("./places.js").Place} Place */
/** @typedef {import("./address.js").Change} Change */
/** A token of the text. `start`: code units of the text before it. @typedef {{ id: number, text: string, start: number }} Word */
/** A text, how likely each of its tokens was, and what was written after `from` of them. @typedef {{ logprobs: (number | null)[], perplexity: number, written: string }} Version */

/** What is asked of a word: as much as the engine tells. */
export const MOST_TOP = 64;
/** Of each place, for the averages. */
const TOP = 16;
/** More of a text costs more than it tells. */
const MOST_AVERAGED = 512;
/** How long a step takes about, after which the page's other questions have their turn. */
const STEP = { first: 4, most: 128, ms: 120 };
/** Tokens that are written to be compared. */
const WRITTEN = 48;
/** What may be searched of another text, and the tokens of a piece of it. */
export const MOST_SEARCHED = 16384;
const PIECE = 256;

export class Study {
  /** Whether the averages are those of the whole text, or of as much of it as is asked for. */
  isSurveyed = false;
  /** The text's tokens, as many of its last ones as fit the context. @type {Word[]} */
  words = [];
  averages = new Averages();
  #model;
  #turns;
  /** @type {Map<string, Promise<Promotes>>} */
  #promotes = new Map();
  /** @type {Map<number, Version>} */
  #plain = new Map();

  /** @param {TokenFormer} model @param {import("./turns.js").Turns} turns with the model */
  constructor(model, turns) {
    this.#model = model;
    this.#turns = turns;
  }

  /** Reads a text. @param {string} text */
  async read(text) {
    const words = await wordsOf(this.#model, text);
    this.words = words.slice(-this.#model.info.contextLength);
    this.averages = new Averages();
    this.isSurveyed = false;
    this.#plain.clear();
    return this.words;
  }

  get ids() {
    return this.words.map(({ id }) => id);
  }

  /** What fired where a word was written. @param {number} index of the word, not the first @param {number} [top] */
  fired(index, top = MOST_TOP) {
    return this.#turns.take(() => this.#model.inspect(this.ids.slice(0, index), { position: index - 1, top }));
  }

  /**
   * Finds out what fires on average, the last words first, in steps that let others ask meanwhile.
   * @param {(places: Inspected[], ms: number) => void} onStep
   * @param {AbortSignal} signal
   */
  async survey(onStep, signal) {
    const ids = this.ids;
    const first = Math.max(0, ids.length - MOST_AVERAGED);
    let step = STEP.first;
    for (let at = first; at < ids.length && !signal.aborted;) {
      const end = Math.min(ids.length, at + step);
      const position = Array.from({ length: end - at }, (_, i) => at + i);
      /** @type {[Inspected[], number]} */
      const [places, ms] = await this.#turns.take(async () => {
        const begin = performance.now();
        return [await this.#model.inspect(ids.slice(0, end), { position, top: TOP }), performance.now() - begin];
      });
      if (signal.aborted) return;
      this.averages.add(places);
      step = nextStep(step, ms);
      at = end;
      onStep(places, ms);
    }
    this.isSurveyed = !signal.aborted;
  }

  /** How strongly a parameter token fires at each word of this text. @param {Place} place */
  async firing(place) {
    return this.#firing(this.ids, place);
  }

  /** @param {number[]} ids @param {Place} place */
  async #firing(ids, place) {
    const position = ids.map((_, i) => i);
    const asked = { layers: [place.layer], kinds: [place.kind], top: MOST_TOP, position };
    return firingOf(await this.#turns.take(() => this.#model.inspect(ids, asked)), place, ids.length);
  }

  /**
   * How strongly it fires at each word of another text, which is read in pieces.
   * @param {readonly Word[]} words @param {Place} place @param {AbortSignal} signal @param {(share: number) => void} onProgress
   */
  async firingIn(words, place, signal, onProgress) {
    /** @type {number[]} */
    const firing = [];
    const piece = Math.min(PIECE, this.#model.info.contextLength);
    while (firing.length < words.length && !signal.aborted) {
      const part = words.slice(firing.length, firing.length + piece);
      firing.push(
        ...(await this.#firing(
          part.map(({ id }) => id),
          place,
        )),
      );
      onProgress(firing.length / words.length);
    }
    return firing;
  }

  /** The tokens of another text, the first of a long one. @param {string} text */
  async wordsOf(text) {
    return (await wordsOf(this.#model, text)).slice(0, MOST_SEARCHED);
  }

  /** What a parameter token pushes; null for a kind that pushes no words. @param {Place} place @returns {Promise<Promotes | null>} */
  async promotes(place) {
    if (!writesWords(place)) return null;
    const key = keyOf(place);
    const known = this.#promotes.get(key) ?? this.#model.promotes(bare(place), { top: 10 });
    this.#promotes.set(key, known);
    known.catch(() => this.#promotes.delete(key));
    return known;
  }

  /** Another pack takes part, or none: what was written before counts no more. */
  forget() {
    this.#plain.clear();
    this.#promotes.clear();
  }

  /** The text as it is, and what the model writes after its first `from` tokens. @param {number} from */
  async plain(from) {
    const known = this.#plain.get(from) ?? (await this.#turns.take(() => this.#version(from)));
    this.#plain.set(from, known);
    return known;
  }

  /** The same while parameter tokens fire more or less. @param {readonly Change[]} changes @param {number} from */
  changed(changes, from) {
    return this.#turns.take(async () => {
      await this.#model.ablate([...changes]);
      try {
        return await this.#version(from);
      } finally {
        await this.#model.ablate([]);
      }
    });
  }

  /** @param {number} from @returns {Promise<Version>} */
  async #version(from) {
    const ids = this.ids;
    const { logprobs, perplexity } = await this.#model.score(ids);
    // As much of the text as leaves room: a context that slides would show another change.
    const { contextLength } = this.#model.info;
    const maxTokens = Math.min(WRITTEN, contextLength >> 1);
    const read = ids.slice(Math.max(0, from - (contextLength - maxTokens)), from);
    const { text } = await this.#model.complete(read, { maxTokens, temperature: 0, repetitionPenalty: 1 });
    return { logprobs, perplexity: perplexity ?? 1, written: text };
  }
}

/** Which words a change makes less or more likely, those first that it changes most. @param {Version} plain @param {Version} changed @param {number} count */
export function mostChanged(plain, changed, count) {
  return plain.logprobs
    .flatMap((before, index) => {
      const after = changed.logprobs[index];
      return before === null || after === null ? [] : [{ index, before, after }];
    })
    .sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before))
    .slice(0, count);
}

/** The places of a text where something fires most, none of which is a neighbour of another. @param {readonly number[]} firing @param {number} count */
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

/** @param {number} step @param {number} ms what it took @param {number} [most] how many times as long the next may be */
export function nextStep(step, ms, most = 2) {
  const factor = Math.min(most, Math.max(0.5, STEP.ms / Math.max(1, ms)));
  return Math.round(Math.min(STEP.most, Math.max(1, step * factor)));
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
