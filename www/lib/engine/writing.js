// What an engine generates, one text or several at once, for its reader: the page's side of write-ahead.js.

import { randomSeed } from "../seeds.js";

/** @typedef {import("../../tokenformer.js").Chunk} Chunk */
/** @typedef {import("../../tokenformer.js").GenerateResult} GenerateResult */
/**
 * A message from the engine's side: `kept` answers an abort.
 * @template C, R
 * @typedef {{ chunks: C[], result?: R, error?: unknown, kept?: number }} Told
 */
/** Calls to the engine's side. @typedef {{ allow(count: number): void, close(taken: number): void, abortOne(index: number): void, free(): void }} Calls */
/** Several texts at once. @typedef {Writing<import("../../tokenformer.js").AlternativeChunk, GenerateResult[]>} SeveralWriting */

/**
 * @template [C=Chunk] a chunk
 * @template [R=GenerateResult] the return value at the end
 */
export class Writing {
  #calls;
  /** Chunks that have arrived and were not taken. @type {C[]} */
  #chunks = [];
  #taken = 0;
  #pace;
  #allowed;
  /** Set once the end has arrived; with neither field, it was closed before. @type {{ result?: R, error?: unknown } | null} */
  #end = null;
  /** The reader has aborted, and the engine's side has not reported yet what counts. */
  #isClosing = false;
  #isFreed = false;
  #wake = () => {};

  /** @param {Calls} calls @param {import("./write-ahead.js").Pace} pace */
  constructor(calls, pace) {
    this.#calls = calls;
    this.#pace = pace;
    this.#allowed = pace.first;
  }

  /** The return value, once the last chunk was taken; null before. @returns {R | null} */
  get result() {
    return (this.#chunks.length === 0 && this.#end?.result) || null;
  }

  /** True if `next` no longer needs the engine. */
  get ended() {
    return this.#isFreed;
  }

  /** The next chunk; undefined after the last one. Must not be called concurrently. @returns {Promise<C | undefined>} */
  async next() {
    if (!this.#end && this.#allowed <= this.#taken) this.#allow(this.#taken + 1);
    while (this.#isClosing || (this.#chunks.length === 0 && !this.#end)) await this.#news();
    if (this.#chunks.length > 0) return this.#take();
    if (this.#end?.error !== undefined) throw this.#end.error;
    this.#free();
    return undefined;
  }

  /** Ends it: a single text with the chunks that were taken, several with all that were generated. */
  abort() {
    const isEnded = this.#end && this.#chunks.length === 0;
    if (this.#isClosing || this.#isFreed || isEnded) return;
    this.#isClosing = true;
    this.#calls.close(this.#taken);
  }

  /** Ends one of several texts, keeping what was generated. @param {number} index */
  abortOne(index) {
    if (!this.#isClosing && !this.#end) this.#calls.abortOne(index);
  }

  /** Aborts, and keeps what still arrives for later calls of `next`. */
  async finish() {
    this.abort();
    while (this.#isClosing || !this.#end) await this.#news();
    if (this.#end.error !== undefined) throw this.#end.error;
    this.#free();
  }

  /** Frees the engine's side, whether the text has ended or not. */
  close() {
    this.abort();
    this.#free();
  }

  /** Receives a message from the engine's side. @param {Told<C, R>} told */
  receive({ chunks, kept, result, error }) {
    if (kept !== undefined) {
      this.#isClosing = false;
      this.#chunks.length = Math.min(this.#chunks.length, kept - this.#taken);
    }
    this.#chunks.push(...chunks);
    if (error) this.#end = { error };
    else if (result) this.#end = { result };
    this.#wake();
  }

  /** The engine is gone. @param {unknown} error */
  fail(error) {
    this.#isClosing = false;
    this.#end = { error };
    this.#wake();
  }

  #news() {
    return new Promise((resolve) => (this.#wake = () => resolve(undefined)));
  }

  #take() {
    this.#taken += 1;
    const { first, most } = this.#pace;
    const ahead = Math.min(Math.max(this.#taken, first), most);
    // Sent when half of the allowance is used up, so that generation need not stop and wait for the message.
    if (!this.#end && ahead > 0 && this.#allowed - this.#taken <= ahead / 2) this.#allow(this.#taken + ahead);
    return this.#chunks.shift();
  }

  /** @param {number} count */
  #allow(count) {
    this.#allowed = count;
    this.#calls.allow(count);
  }

  #free() {
    if (this.#isFreed) return;
    this.#isFreed = true;
    this.#isClosing = false;
    this.#end ??= {};
    this.#calls.free();
    this.#wake();
  }
}

/** The result of a call that was aborted before the engine saw it. @param {number} [seed] @returns {GenerateResult} */
export function nothingWritten(seed = randomSeed()) {
  return {
    text: "",
    tokenIds: [],
    finishReason: "abort",
    seed,
    usage: {
      promptTokens: 0,
      completionTokens: 0,
      cachedPromptTokens: 0,
      droppedPromptTokens: 0,
      slides: 0,
      timeToFirstTokenMs: null,
      prefillTokensPerSecond: null,
      decodeTokensPerSecond: null,
    },
  };
}
