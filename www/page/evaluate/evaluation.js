// How well a model predicts texts, using its public methods: `encode`, `decode` and `score`.

import { invalidArgument } from "../../lib/errors.js";
import { placeOf, utf8Length } from "./documents.js";
import { countWords, encodePair, rollingWindows } from "./windows.js";

/** @typedef {import("./documents.js").Input} Input */
/** @typedef {import("./documents.js").Document} Document */
/** @typedef {import("./windows.js").Window} Window */
/** A loaded TokenFormer. @typedef {Pick<import("../../tokenformer.js").TokenFormer, "info" | "encode" | "decode" | "score">} Model */
/** Texts of token ids, and of sequences of them ("7,8"). @typedef {Map<number | string, string>} Known */

/**
 * Progress. The speed is that of the tokens scored so far, and the time left is an estimate.
 * @typedef {{ phase: "encode", documents: number, totalDocuments: number }} EncodeProgress
 * @typedef {{ phase: "score", documents: number, totalDocuments: number, tokens: number, totalTokens: number,
 *   tokensPerSecond: number, secondsLeft: number }} ScoreProgress
 * @typedef {{ onProgress?: (progress: EncodeProgress | ScoreProgress) => void, signal?: AbortSignal }} RunOptions
 */

/**
 * The scores of a document.
 * @typedef {object} Scored
 * @property {string} source
 * @property {number | null} line
 * @property {boolean} isWhole whether all of it was scored; the following fields cover the scored tokens
 * @property {number[]} ids
 * @property {string[]} texts
 * @property {Float64Array} logprobs
 * @property {number} bytes
 * @property {number} words
 * @property {{ from: number, to: number }[]} windows
 * @property {boolean} [isGreedy] of a pair
 * @property {number} [leftOut] of a pair: tokens of its context that did not fit
 */

/**
 * The scores of the input.
 * @typedef {object} Result
 * @property {Input["kind"]} kind
 * @property {boolean} isComplete
 * @property {number} contextLength
 * @property {number} totalDocuments
 * @property {number} totalTokens
 * @property {number} tokens
 * @property {number} seconds
 * @property {number | null} tokensPerSecond
 * @property {Scored[]} documents
 */

/**
 * A tokenized document. The scored tokens are its first ones.
 * @typedef {object} Encoded
 * @property {Document} place
 * @property {string} text
 * @property {number[]} ids
 * @property {string[]} texts of the tokens
 * @property {Window[]} windows
 * @property {number} [leftOut]
 * @property {Float64Array} logprobs
 * @property {number} scored
 * @property {boolean} isGreedy
 */

/** A window; the tokens before `at` are scored. @typedef {{ document: Encoded, window: Window, at: number }} Task */
/** A task, or part of one: tokens `at` up to `to`. @typedef {{ document: Encoded, at: number, to: number, item: { context: number[], text: number[] } }} Piece */

/** The engine computes the logits of this many positions at a time: pieces that end there cost nothing extra. */
const ROWS = 64;
/** Target duration of a batch: between two batches it can be stopped, and reports its progress. */
const BATCH_SECONDS = 0.5;
/** Maximum number of windows in a batch, or of tokens that these have. */
const MOST_WINDOWS = 8;
const MOST_ITEMS = 32;
const DECODED_AT_ONCE = 256;
/** A character has at most four bytes, but a token may end one and begin the next. */
const MOST_PARTS = 16;

/**
 * Scores all documents of `readInput`. An abort ends it between two batches, without an error, with the scores so far.
 *
 * @param {Model} model
 * @param {Pick<Input, "kind" | "documents">} input
 * @param {RunOptions & { known?: Known }} [options] `known`: of `tokenTexts`, kept for the same model at another precision
 */
export async function evaluate(model, input, { onProgress, signal, known } = {}) {
  const evaluation = new Evaluation(model, input, known);
  await evaluation.run({ onProgress, signal });
  return evaluation.result();
}

/** An evaluation whose result is available at any time, even after it failed. */
export class Evaluation {
  #model;
  #input;
  #known;
  /** Tokenized documents, in the order of the input. @type {Encoded[]} */
  #documents = [];
  /** What is still to be scored, in this order. @type {Task[]} */
  #tasks = [];
  #next = 0;
  #scored = 0;
  #seconds = 0;
  #hasBegun = false;
  #isComplete = false;

  /** @param {Model} model @param {Pick<Input, "kind" | "documents">} input @param {Known} known */
  constructor(model, { kind, documents }, known = new Map()) {
    this.#model = model;
    this.#input = { kind, documents };
    this.#known = known;
  }

  /** Tokenizes and scores. @param {RunOptions} [options] */
  async run({ onProgress = () => {}, signal } = {}) {
    if (this.#hasBegun) throw invalidArgument("An evaluation runs once.", "Make another one.");
    this.#hasBegun = true;
    await this.#encode(onProgress, signal);
    const totalTokens = this.#documents.reduce((sum, { ids }) => sum + ids.length, 0);
    let budget = ROWS;
    while (this.#next < this.#tasks.length && !signal?.aborted) {
      const seconds = await this.#scoreBatch(this.#take(budget));
      const tokensPerSecond = this.#scored / this.#seconds;
      const most = MOST_WINDOWS * this.#model.info.contextLength;
      const wanted = Math.min((budget / Math.max(seconds, 1e-3)) * BATCH_SECONDS, budget * 4, most);
      budget = Math.max(ROWS, Math.floor(wanted / ROWS) * ROWS);
      onProgress({
        phase: "score",
        documents: this.#documents.filter((d) => d.scored === d.ids.length).length,
        totalDocuments: this.#documents.length,
        tokens: this.#scored,
        totalTokens,
        tokensPerSecond,
        secondsLeft: (totalTokens - this.#scored) / tokensPerSecond,
      });
    }
    this.#isComplete = this.#next === this.#tasks.length && this.#documents.length === this.#input.documents.length;
  }

  /** The scores so far. @returns {Result} */
  result() {
    const documents = this.#documents.map(
      ({ place: { source, line }, text, ids, texts, logprobs, scored, isGreedy, leftOut, windows }) => {
        const isWhole = scored === ids.length;
        const said = isWhole ? text : texts.slice(0, scored).join("");
        const counted = { bytes: utf8Length(said), words: countWords(said) };
        const pair = this.#input.kind === "pairs" ? { isGreedy, leftOut } : {};
        const own = windows
          .map(({ from, to }) => ({ from, to: Math.min(to, scored) }))
          .filter(({ from, to }) => to > from);
        return {
          source,
          line,
          isWhole,
          ids: ids.slice(0, scored),
          texts: texts.slice(0, scored),
          logprobs: logprobs.subarray(0, scored),
          ...counted,
          windows: own,
          ...pair,
        };
      },
    );
    return {
      kind: this.#input.kind,
      isComplete: this.#isComplete,
      contextLength: this.#model.info.contextLength,
      totalDocuments: this.#input.documents.length,
      totalTokens: this.#documents.reduce((sum, { ids }) => sum + ids.length, 0),
      tokens: this.#scored,
      seconds: this.#seconds,
      tokensPerSecond: this.#seconds > 0 ? this.#scored / this.#seconds : null,
      documents,
    };
  }

  /** @param {NonNullable<RunOptions["onProgress"]>} onProgress @param {AbortSignal} [signal] */
  async #encode(onProgress, signal) {
    const { kind, documents } = this.#input;
    const { contextLength } = this.#model.info;
    const encode = (/** @type {string} */ text) => this.#model.encode(text);
    for (const [i, given] of documents.entries()) {
      if (signal?.aborted) return;
      /** @type {Pick<Encoded, "ids" | "text" | "leftOut" | "windows">} */
      let encoded;
      if (given.text === undefined) {
        const { context, ids, text, leftOut } = await encodePair(given, encode, contextLength, placeOf(given));
        encoded = { ids, text, leftOut, windows: [{ context, from: 0, to: ids.length }] };
      } else {
        const ids = await encode(given.text);
        encoded = { ids, text: given.text, windows: rollingWindows(ids, contextLength) };
      }
      const texts = await tokenTexts(this.#model, encoded.ids, this.#known);
      this.#documents.push({
        ...encoded,
        texts,
        place: given,
        logprobs: new Float64Array(encoded.ids.length),
        scored: 0,
        isGreedy: true,
      });
      onProgress({ phase: "encode", documents: i + 1, totalDocuments: documents.length });
    }
    this.#tasks = this.#documents.flatMap((document) =>
      document.windows.map((window) => ({ document, window, at: window.from })),
    );
    // The common parts of pairs are computed only once if the pairs follow each other.
    if (kind === "pairs") this.#tasks.sort(byIds);
  }

  /** The next tasks, or parts of them, with about `budget` tokens. The tokens of a pair stay together. @param {number} budget */
  #take(budget) {
    /** @type {Piece[]} */
    const batch = [];
    for (let cost = 0; cost < budget && batch.length < MOST_ITEMS && this.#next < this.#tasks.length;) {
      const task = this.#tasks[this.#next];
      const { document, window, at } = task;
      const room = this.#input.kind === "pairs" ? Infinity : Math.max(ROWS, Math.floor((budget - cost) / ROWS) * ROWS);
      const to = Math.min(window.to, at + room);
      batch.push({
        document,
        at,
        to,
        item: { context: window.context.concat(document.ids.slice(window.from, at)), text: document.ids.slice(at, to) },
      });
      cost += to - at + (at === window.from ? window.context.length : 0);
      task.at = to;
      if (to === window.to) this.#next += 1;
    }
    return batch;
  }

  /** Scores a batch; resolves to the seconds it took. @param {Piece[]} batch */
  async #scoreBatch(batch) {
    const began = performance.now();
    const scores = await this.#model.score(batch.map(({ item }) => item));
    const seconds = (performance.now() - began) / 1000;
    this.#seconds += seconds;
    scores.forEach(({ logprobs, isGreedy }, i) => {
      const { document, at, to } = batch[i];
      document.logprobs.set(/** @type {number[]} */ (logprobs), at); // none is null, since no context is empty
      document.isGreedy &&= isGreedy;
      document.scored = to;
      this.#scored += to - at;
    });
    return seconds;
  }
}

/** @param {Task} a @param {Task} b */
function byIds(a, b) {
  const order = compare(a.window.context, b.window.context);
  return order === 0 ? compare(a.document.ids, b.document.ids) : order;
}

/** Lexicographic order of two lists. @param {number[]} a @param {number[]} b */
function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/**
 * The text of every token. If several tokens form one character, the last of them has it and the others are empty.
 * @param {Pick<Model, "decode">} model
 * @param {Iterable<number>} ids
 * @param {Known} [known] is extended
 */
export async function tokenTexts(model, ids, known = new Map()) {
  const missing = [...new Set(ids)].filter((id) => !known.has(id));
  for (let at = 0; at < missing.length; at += DECODED_AT_ONCE) {
    const some = missing.slice(at, at + DECODED_AT_ONCE);
    const texts = await Promise.all(some.map((id) => model.decode([id])));
    some.forEach((id, i) => known.set(id, texts[i]));
  }
  const all = Array.from(ids);
  const texts = all.map((id) => known.get(id) ?? "");
  const isPart = (/** @type {number} */ i) => i < texts.length && isCut(texts[i]);
  for (let from = 0, end = 0; from < texts.length;) {
    if (!isPart(from)) {
      from += 1;
      continue;
    }
    // `end`: the end of a run of partial tokens, which may form many characters.
    if (end <= from) for (end = from + 1; isPart(end);) end += 1;
    const { count, text } = await firstWhole(model, all, from, end, known);
    texts.fill("", from, from + count - 1);
    texts[from + count - 1] = text;
    from += count;
  }
  return texts;
}

/**
 * The fewest tokens from `from` that form whole characters, or else all up to `end`.
 * @param {Pick<Model, "decode">} model
 * @param {number[]} ids
 * @param {number} from
 * @param {number} end
 * @param {Known} known
 */
async function firstWhole(model, ids, from, end, known) {
  for (let count = 2; count <= Math.min(MOST_PARTS, end - from); count++) {
    const some = ids.slice(from, from + count);
    const key = some.join();
    const text = known.get(key) ?? (await model.decode(some));
    known.set(key, text);
    if (!isCut(text)) return { count, text };
  }
  return { count: end - from, text: await model.decode(ids.slice(from, end)) };
}

/** Whether the text contains a partial character. @param {string} text */
function isCut(text) {
  return text.includes("\ufffd");
}
