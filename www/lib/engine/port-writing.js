// A text that is written in the worker, for its reader in this thread: the class `Generation` of src/api, elsewhere.

import { FIRST_ALLOWANCE } from "./write-ahead.js";

/** Chunks that may lie here untaken: as many as were taken already, so that an eager reader never waits. */
const MOST_AHEAD = 128;

export class PortWriting {
  #calls;
  /** Chunks that have come and were not taken. */
  #chunks = [];
  #taken = 0;
  #allowed = FIRST_ALLOWANCE;
  /** { result } or { error }, once it has come. */
  #end = null;
  /** The reader has aborted, and the worker has not said yet what counts. */
  #isClosing = false;
  #wake = () => {};

  /** @param {{ allow(count: number): void, close(taken: number): void, free(): void }} calls what the worker can be told */
  constructor(calls) {
    this.#calls = calls;
  }

  /** The next chunk, or undefined at the end. */
  async next() {
    while (this.#isClosing || (this.#chunks.length === 0 && !this.#end)) {
      await new Promise((resolve) => (this.#wake = resolve));
    }
    if (this.#chunks.length > 0) return this.#take();
    if (this.#end.error) throw this.#end.error;
    return undefined;
  }

  /** The whole, after the end. */
  result() {
    return this.#end.result;
  }

  /** Ends it with the chunks that were taken. */
  abort() {
    const isEnded = this.#end && this.#chunks.length === 0;
    if (this.#isClosing || isEnded) return;
    this.#isClosing = true;
    this.#calls.close(this.#taken);
  }

  free() {
    this.#calls.free();
  }

  /** What the worker told. */
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

  /** The worker is gone. */
  fail(error) {
    this.#isClosing = false;
    this.#end = { error };
    this.#wake();
  }

  #take() {
    this.#taken += 1;
    const ahead = Math.min(Math.max(this.#taken, FIRST_ALLOWANCE), MOST_AHEAD);
    // Told when half of it is used up, so that the writer need not stop for the message.
    if (!this.#end && this.#allowed - this.#taken <= ahead / 2) {
      this.#allowed = this.#taken + ahead;
      this.#calls.allow(this.#allowed);
    }
    return this.#chunks.shift();
  }
}
