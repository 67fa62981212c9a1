// What a generator writes, one text or several at once: what the engine receives, and how its output is reported.

import { nothingWritten } from "../engine/writing.js";
import { randomSeed, seedAfter } from "../seeds.js";
import { checkTextOrIds } from "./inputs.js";
import { checkAlternativesOptions, checkGenerateOptions } from "./options.js";

/** @typedef {import("../../tokenformer.js").Chunk} Chunk */
/** @typedef {import("../../tokenformer.js").AlternativeChunk} AlternativeChunk */
/** @typedef {import("../../tokenformer.js").GenerateResult} GenerateResult */
/** @typedef {import("../engine/port.js").Made["engine"]} Engine */
/** @typedef {import("../engine/writing.js").SeveralWriting} SeveralWriting */
/** @typedef {Omit<import("./options.js").CheckedGenerateOptions, "signal">} Options */
/** One of several texts; `signal` ends it alone. @typedef {{ prompt: string | Uint32Array, seed: number, signal?: AbortSignal | null }} Candidate */

/** @typedef {OneText | SeveralTexts} Texts */

class OneText {
  #prompt;
  #options;

  /** @param {string | Uint32Array} prompt @param {Options} options */
  constructor(prompt, options) {
    this.#prompt = prompt;
    this.#options = options;
  }

  /** It has no signals other than the call's. */
  listen() {}

  /** @param {Engine} engine */
  start(engine) {
    return engine.start(this.#prompt, engineOptions(this.#options));
  }

  /** Converts an engine's chunk to the form that the caller gets. @param {Chunk} chunk */
  told(chunk) {
    return chunk;
  }

  /** What is returned at the end. @param {GenerateResult | null} written null: the engine never saw it */
  ended(written) {
    return written ?? nothingWritten(this.#options.seed);
  }

  end() {}
}

class SeveralTexts {
  #candidates;
  #options;
  /** For each text that the engine writes, its index here: a text that was aborted earlier is not passed to the engine. @type {number[]} */
  #numbers = [];
  /** @type {SeveralWriting | null} */
  #writing = null;
  /** @type {(() => void)[]} */
  #unlinks = [];

  /** @param {Candidate[]} candidates @param {Options} options the seed is each one's own */
  constructor(candidates, options) {
    this.#candidates = candidates;
    this.#options = options;
  }

  /** Listens to the signals until `end`. @param {() => void} onNoneLeft called where all are aborted before the engine writes */
  listen(onNoneLeft) {
    for (const [number, { signal }] of this.#candidates.entries()) {
      if (!signal) continue;
      const abort = () => {
        if (this.#writing) this.#writing.abortOne(this.#numbers.indexOf(number));
        else if (this.#candidates.every((candidate) => candidate.signal?.aborted)) onNoneLeft();
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#unlinks.push(() => signal.removeEventListener("abort", abort));
    }
  }

  /** @param {Engine} engine @returns {Promise<SeveralWriting | null>} null where none is left */
  async start(engine) {
    this.#numbers = [...this.#candidates.keys()].filter((number) => !this.#candidates[number].signal?.aborted);
    if (this.#numbers.length === 0) return null;
    const left = this.#numbers.map((number) => this.#candidates[number]);
    const writing = await engine.startSeveral(
      left.map(({ prompt, seed }) => ({ prompt, seed })),
      engineOptions(this.#options),
    );
    this.#writing = writing;
    for (const [index, { signal }] of left.entries()) if (signal?.aborted) writing.abortOne(index);
    return writing;
  }

  /** Converts an engine's chunk to the form that the caller gets. @param {AlternativeChunk} chunk */
  told(chunk) {
    return { ...chunk, index: this.#numbers[chunk.index] };
  }

  /** What is returned at the end. @param {GenerateResult[] | null} written null: the engine never saw them */
  ended(written) {
    const results = this.#candidates.map(({ seed }) => nothingWritten(seed));
    for (const [index, result] of (written ?? []).entries()) results[this.#numbers[index]] = result;
    return results;
  }

  end() {
    for (const unlink of this.#unlinks) unlink();
  }
}

/** The arguments of `generate`, checked. Throws `invalid-argument`. @param {unknown} prompt @param {unknown} options */
export function oneText(prompt, options) {
  const input = checkTextOrIds("prompt", prompt);
  const { signal, ...given } = checkGenerateOptions(options);
  return { texts: new OneText(input, given), signal };
}

/** The arguments of `alternatives`, checked. Throws `invalid-argument`. @param {unknown} prompt @param {unknown} options */
export function alternatives(prompt, options) {
  const input = checkTextOrIds("prompt", prompt);
  const { n, signals, signal, ...given } = checkAlternativesOptions(options);
  const seed = given.seed ?? randomSeed();
  const candidates = Array.from({ length: n }, (_, i) => ({
    prompt: input,
    seed: seedAfter(seed, i),
    signal: signals[i],
  }));
  return { texts: new SeveralTexts(candidates, given), signal };
}

/** Texts for prompts that are already checked, with options that are not. @param {Candidate[]} candidates @param {unknown} options */
export function severalTexts(candidates, options) {
  const { signal, ...given } = checkGenerateOptions(options);
  return { texts: new SeveralTexts(candidates, given), signal };
}

/** @param {Options} options */
function engineOptions({ logitBias, ...rest }) {
  return { ...rest, logitBias: Object.entries(logitBias).map(([id, bias]) => [Number(id), bias]) };
}
