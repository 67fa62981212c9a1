// Models that several callers use at once: one engine for all that ask for the same model with the same options.

import { unlessAborted } from "./abort.js";
import { aborted, invalidArgument } from "../errors.js";
import { isUsable, TokenFormer } from "./model.js";
import { assets } from "../locations.js";
import { resolveName } from "./names.js";
import { checkLoadOptions } from "./options.js";
import { isObjectSource } from "./pack-sources.js";

/** @typedef {import("../../tokenformer.js").LoadOptions} LoadOptions */
/** @typedef {NonNullable<LoadOptions["onProgress"]>} OnProgress */
/** @typedef {Omit<LoadOptions, "signal" | "onProgress">} Options */

/** The models that are loaded or loading for the next caller, by request. @type {Map<string, Entry>} */
const entries = new Map();

/**
 * Loads a model, or joins the callers that have it or are waiting for it.
 *
 * An abort only ends its caller's wait; loading ends when the last caller aborts. The model is disposed when its last
 * holder releases it. If it was disposed otherwise, or its engine stopped, it is loaded again.
 *
 * @param {string} [name] as for TokenFormer.load
 * @param {Options} [options] those of TokenFormer.load except onProgress and signal
 * @param {{ onProgress?: OnProgress, signal?: AbortSignal }} [caller]
 * @returns {Promise<{ model: TokenFormer, release: () => Promise<void> }>} `release` settles once the memory is freed
 */
export async function acquire(name, options = {}, { onProgress, signal } = {}) {
  if ("signal" in options || "onProgress" in options)
    throw invalidArgument("signal and onProgress belong to the caller, not to the options.");
  const key = keyOf(name, options);
  checkLoadOptions({ signal, onProgress });
  if (signal?.aborted) throw aborted("Loading", signal.reason);
  let entry = entries.get(key);
  if (!entry || (entry.model && !isUsable(entry.model))) {
    entry = new Entry(key, name, options);
    entries.set(key, entry);
  }
  return entry.join(onProgress, signal);
}

/** A cache key: equal for arguments that TokenFormer.load treats as the same. Throws what it would reject with. @param {string | undefined} name @param {Options} options */
function keyOf(name, options) {
  const checked = checkLoadOptions(options);
  // Before the first load, it is unknown where the embedded model will be found.
  const place = name === undefined ? assets()?.href : resolveName(name, undefined, checked.endpoint);
  return JSON.stringify([place ?? null, checked], (_, value) => {
    if (isObjectSource(value)) return numberOf(value);
    const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
    return isMap ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
  });
}

/** Token packs and files are identified by the object, not by their content. @type {WeakMap<object, number>} */
const numbers = new WeakMap();
let lastNumber = 0;

/** @param {object} source */
function numberOf(source) {
  const number = numbers.get(source) ?? (lastNumber += 1);
  numbers.set(source, number);
  return number;
}

class Entry {
  #key;
  /** One object per caller that waits for the model or holds it; its progress listener while it waits. @type {Map<object, OnProgress | undefined>} */
  #holders = new Map();
  #controller = new AbortController();
  #loading;
  /** @type {Parameters<OnProgress>[0] | null} */
  #lastProgress = null;
  /** The model, once it is loaded. @type {TokenFormer | null} */
  model = null;

  /** @param {string} key @param {string | undefined} name @param {Options} options */
  constructor(key, name, options) {
    this.#key = key;
    const { signal } = this.#controller;
    this.#loading = TokenFormer.load(name, {
      ...options,
      signal,
      onProgress: (/** @type {Parameters<OnProgress>[0]} */ progress) => this.#tell(progress),
    });
    this.#loading.then(
      (model) => this.#keep(model),
      () => this.#forget(),
    );
  }

  /** @param {OnProgress | undefined} onProgress @param {AbortSignal | undefined} signal */
  async join(onProgress, signal) {
    const holder = {};
    this.#holders.set(holder, onProgress);
    if (this.#lastProgress && !this.model) onProgress?.(this.#lastProgress);
    try {
      const model = await unlessAborted(this.#loading, "Loading", signal);
      this.#holders.set(holder, undefined);
      return { model, release: () => this.#release(holder) };
    } catch (error) {
      this.#release(holder);
      throw error;
    }
  }

  /** @param {object} holder */
  async #release(holder) {
    if (!this.#holders.delete(holder) || this.#holders.size > 0) return;
    this.#forget();
    this.#controller.abort();
    await this.model?.dispose();
  }

  /** @param {TokenFormer} model */
  #keep(model) {
    this.model = model;
    if (this.#holders.size === 0) model.dispose().catch(() => {}); // nobody is left to hear of it
  }

  #forget() {
    if (entries.get(this.#key) === this) entries.delete(this.#key);
  }

  /** @param {Parameters<OnProgress>[0]} progress */
  #tell(progress) {
    this.#lastProgress = progress;
    for (const onProgress of [...this.#holders.values()]) {
      try {
        onProgress?.(progress);
      } catch (error) {
        globalThis.reportError?.(error); // one listener's mistake is not the others'
      }
    }
  }
}
