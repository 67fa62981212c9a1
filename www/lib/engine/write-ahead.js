// In the worker: writes a text ahead of its reader, who is in another thread, so that no token waits for a message.
//
// How far ahead is the reader's to say (`allow`), so a reader that stops taking stops the writing. One that leaves early
// (`close`) finds everything as if nothing had been written that it did not take: the engine's `rewind` sees to that.

/** Chunks that may be written before the first was taken. */
export const FIRST_ALLOWANCE = 8;

export class WriteAhead {
  #generation;
  #lock;
  #tell;
  #written = 0;
  #allowed = FIRST_ALLOWANCE;
  /** Chunks that were not told yet. */
  #chunks = [];
  #flushing = null;
  #isOver = false;
  #wake = () => {};

  /**
   * @param {object} generation the engine's class `Generation`
   * @param {import("./lock.js").Lock} lock held while the engine works
   * @param {(message: { chunks: object[], result?: object, error?: unknown, kept?: number }) => void} tell
   */
  constructor(generation, lock, tell) {
    this.#generation = generation;
    this.#lock = lock;
    this.#tell = tell;
  }

  /** Writes until the end, an error or `close`. */
  async run() {
    for (;;) {
      while (this.#written >= this.#allowed && !this.#isOver) await new Promise((resolve) => (this.#wake = resolve));
      const release = await this.#lock.acquire();
      try {
        if (this.#isOver) return; // `close` tells the rest
        const chunk = await this.#generation.next();
        if (chunk) {
          this.#written += 1;
          this.#chunks.push(chunk);
        }
        if (this.#isOver) return;
        if (!chunk) return this.#flush({ result: this.#generation.result() });
        // Tokens come from the GPU in gusts. Those that are known already go into one message.
        this.#flushing ??= setTimeout(() => this.#flush({}), 0);
      } catch (error) {
        if (!this.#isOver) this.#flush({ error });
        return;
      } finally {
        release();
      }
    }
  }

  /** The reader lets `count` chunks be written in all. */
  allow(count) {
    this.#allowed = Math.max(this.#allowed, count);
    this.#wake();
  }

  /** The reader aborts and has taken `taken` chunks. Tells how many count, those that it has not seen, and the result. */
  async close(taken) {
    this.#isOver = true;
    this.#generation?.abort();
    this.#wake();
    const release = await this.#lock.acquire();
    try {
      if (!this.#generation) return;
      this.#generation.rewind(taken);
      const kept = this.#generation.result().tokenIds.length;
      const told = this.#written - this.#chunks.length;
      const chunks = this.#chunks.slice(0, Math.max(0, kept - told));
      for (let chunk; (chunk = await this.#generation.next());) chunks.push(chunk);
      this.#chunks = chunks;
      this.#flush({ kept, result: this.#generation.result() });
    } catch (error) {
      this.#flush({ kept: taken, error });
    } finally {
      release();
    }
  }

  /** Frees the engine's side once it is idle. */
  async free() {
    this.#isOver = true;
    this.#wake();
    const release = await this.#lock.acquire();
    clearTimeout(this.#flushing);
    this.#generation?.free();
    this.#generation = null;
    release();
  }

  /** Tells what there is, and the end if it was reached. A reader may still `close` then: it has not taken all of it. */
  #flush(end) {
    clearTimeout(this.#flushing);
    this.#flushing = null;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#tell({ chunks, ...end });
  }
}
