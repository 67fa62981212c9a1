// One run of the engine's generator. Its end is remembered, so that it outlives the engine.

export class Writing {
  #generation;
  #chunks = []; // made by `finish`, not yet asked for
  #result = null;

  constructor(generation) {
    this.#generation = generation;
  }

  /** What `complete` returns, once the last chunk was taken; null before. */
  get result() {
    return this.#chunks.length === 0 ? this.#result : null;
  }

  /** True when `next` does not need the engine any more. */
  get ended() {
    return this.#generation === null;
  }

  /** The next chunk; undefined after the last one. Not to be called concurrently. */
  async next() {
    if (this.#chunks.length > 0) return this.#chunks.shift();
    return this.#advance();
  }

  /** Makes the writing end at its next step. */
  abort() {
    this.#generation?.abort();
  }

  /** Aborts, and keeps what still comes for later calls of `next`. */
  async finish() {
    this.abort();
    for (let chunk; (chunk = await this.#advance());) this.#chunks.push(chunk);
  }

  /** Frees the engine's side, whether the writing has ended or not. */
  close() {
    const generation = this.#generation;
    this.#generation = null;
    generation?.abort();
    generation?.free();
  }

  async #advance() {
    if (!this.#generation) return undefined;
    const chunk = await this.#generation.next();
    if (chunk) return chunk;
    this.#result = this.#generation.result();
    this.#generation.free();
    this.#generation = null;
    return undefined;
  }
}

/** The result of a call that was aborted before the engine saw it. */
export function nothingWritten(seed = Math.floor(Math.random() * 2 ** 53)) {
  return {
    text: "",
    tokenIds: [],
    finishReason: "abort",
    seed,
    usage: {
      promptTokens: 0,
      completionTokens: 0,
      cachedPromptTokens: 0,
      timeToFirstTokenMs: null,
      prefillTokensPerSecond: null,
      decodeTokensPerSecond: null,
    },
  };
}
