// The engine's side: generates a text, or several at once, for a reader that receives it by messages; ahead of a reader
// in another thread, so that no token waits for a message.
//
// The reader sets how far ahead (`allow`), so a reader that stops taking chunks stops the generation. A reader that
// leaves early (`close`) finds the engine as if the chunks it did not take had not been generated: the engine's
// `rewind` does that. Several texts cannot be rewound: their reader gets everything generated so far.

/**
 * How far a text may be ahead of its reader.
 * @typedef {object} Pace
 * @property {number} first chunks that may be written before the first is taken
 * @property {number} most maximum of untaken chunks; below it, as many as were taken already, so that an eager reader never waits
 * @property {(work: () => void) => (() => void) | null} later runs it once the chunks already available are collected; returns a
 *   function that cancels it, or null: it was run at once
 */

/** @type {Pace} */
export const AHEAD = {
  first: 8,
  most: 128,
  later: (work) => {
    const timer = setTimeout(work, 0);
    return () => clearTimeout(timer);
  },
};

/**
 * Within one thread, generating ahead would only delay finished chunks: a chunk is generated when it is requested.
 * @type {Pace}
 */
export const IN_STEP = {
  first: 0,
  most: 0,
  later: (work) => {
    work();
    return null;
  },
};

/** Texts that the engine decodes in one step. */
const AT_ONCE = 8;

/** The pace of `count` texts at once: that of one, for each, until the first chunk is taken. @param {Pace} pace @param {number} count @returns {Pace} */
export function paceOf({ first, ...rest }, count) {
  return { ...rest, first: first * Math.min(count, AT_ONCE) };
}

/** @typedef {import("../../tokenformer-web.js").Generation} Generation */
/** @typedef {import("../../tokenformer-web.js").Several} Several */
/** @typedef {import("../../tokenformer.js").Chunk | import("../../tokenformer.js").AlternativeChunk} Chunk */
/** @typedef {{ result?: ReturnType<(Generation | Several)["result"]>, error?: unknown, kept?: number }} End */

export class WriteAhead {
  /** @type {Generation | Several | null} */
  #generation;
  #lock;
  #tell;
  #later;
  #written = 0;
  #allowed;
  /** Chunks that have not been sent yet. @type {Chunk[]} */
  #chunks = [];
  /** Cancels the scheduled flush; null if none is scheduled. @type {(() => void) | null} */
  #cancelFlush = null;
  #isOver = false;
  #wake = () => {};

  /**
   * @param {Generation | Several} generation
   * @param {import("./lock.js").Lock} lock held while the engine works
   * @param {(message: { chunks: Chunk[] } & End) => void} tell
   * @param {Pace} pace
   */
  constructor(generation, lock, tell, { first, later }) {
    this.#allowed = first;
    this.#generation = generation;
    this.#lock = lock;
    this.#tell = tell;
    this.#later = later;
  }

  /** Generates until the end, an error or `close`. */
  async run() {
    for (;;) {
      while (this.#written >= this.#allowed && !this.#isOver)
        await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
      const release = await this.#lock.acquire();
      try {
        const generation = this.#generation;
        if (this.#isOver || !generation) return; // `close` tells the rest
        const chunk = await generation.next();
        if (chunk) {
          this.#written += 1;
          this.#chunks.push(chunk);
        }
        if (this.#isOver) return;
        if (!chunk) return this.#flush({ result: generation.result() });
        // Tokens arrive from the GPU in bursts. Those already available go into one message.
        this.#cancelFlush ??= this.#later(() => this.#flush({}));
      } catch (error) {
        if (!this.#isOver) this.#flush({ error });
        return;
      } finally {
        release?.();
      }
    }
  }

  /** The reader allows `count` chunks in total. @param {number} count */
  allow(count) {
    this.#allowed = Math.max(this.#allowed, count);
    this.#wake();
  }

  /** The reader aborts one of several texts. @param {number} index */
  abortOne(index) {
    if (this.#generation && "abortOne" in this.#generation) this.#generation.abortOne(index);
  }

  /** The reader aborts and has taken `taken` chunks. Sends how many count, those that it has not seen, and the result. @param {number} taken */
  async close(taken) {
    this.#isOver = true;
    this.#generation?.abort();
    this.#wake();
    const release = await this.#lock.acquire();
    try {
      const generation = this.#generation;
      if (!generation) return;
      const kept = this.#rewound(generation, taken);
      const told = this.#written - this.#chunks.length;
      const chunks = this.#chunks.slice(0, Math.max(0, kept - told));
      for (let chunk; (chunk = await generation.next());) chunks.push(chunk);
      this.#chunks = chunks;
      this.#flush({ kept, result: generation.result() });
    } catch (error) {
      const isRewound = this.#generation && "rewind" in this.#generation;
      this.#flush({ kept: isRewound ? taken : this.#written, error });
    } finally {
      release?.();
    }
  }

  /** How many chunks count if the reader has taken `taken`. @param {Generation | Several} generation @param {number} taken */
  #rewound(generation, taken) {
    if (!("rewind" in generation)) return this.#written;
    generation.rewind(taken);
    return generation.result().tokenIds.length;
  }

  /** Frees the engine's side once it is idle. */
  async free() {
    this.#isOver = true;
    this.#wake();
    const release = await this.#lock.acquire();
    this.#cancelFlush?.();
    const generation = this.#generation;
    this.#generation = null;
    try {
      generation?.free();
    } catch (error) {
      this.#tell({ chunks: [], error });
    } finally {
      release?.();
    }
  }

  /** Sends the pending chunks, and the end if it was reached. A reader may still `close` after that: it may not have taken everything. @param {End} end */
  #flush(end) {
    this.#cancelFlush?.();
    this.#cancelFlush = null;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#tell({ chunks, ...end });
  }
}
