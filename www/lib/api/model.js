// A loaded model: argument checks, order of calls, aborts and disposal. The engine does the computing.
//
// Two locks keep the engine from being called twice at once:
// - `turns` orders the calls of the public interface. A generator keeps its turn until it ends.
// - `steps` is held while the engine itself works. `encode` and `decode`, which touch no state, and
//   `dispose` take only this one, so that they may be called inside a `for await` over a generator.

import { availability } from "./availability.js";
import { measure } from "./benchmark.js";
import { Completions } from "./completions.js";
import { engines } from "../engine/engines.js";
import { aborted, invalidArgument, stopped, TokenFormerError, toTokenFormerError } from "../errors.js";
import { assets, setAssets } from "../locations.js";
import { checkIds, checkScoreArguments, checkText } from "./inputs.js";
import { checkAblations, checkInspect, checkPromotes } from "./inspecting.js";
import { fetchOf } from "../http/endpoints.js";
import { Lock } from "../engine/lock.js";
import { loadModel } from "./loading.js";
import { DEFAULT_ENDPOINT } from "./names.js";
import { checkBenchmarkOptions, checkRandomOptions } from "./options.js";
import { Packs } from "./packs.js";
import { deleteModel, persist, storage, storedModels } from "./storage.js";
import { alternatives, oneText, severalTexts } from "./texts.js";
import { checkTraining, train } from "./training.js";

/** @typedef {import("../engine/port.js").Made} Made */
/** @typedef {Made["engine"]} Engine */
/** @typedef {import("../engine/writing.js").Writing<any, any>} Writing */
/** @typedef {import("../../tokenformer.js").TokenIds} TokenIds */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */
/** @typedef {import("../../tokenformer.js").GenerateResult} GenerateResult */
/** @typedef {import("../../tokenformer.js").AlternativesOptions} AlternativesOptions */
/** A call that has not ended. @typedef {{ signal: AbortSignal, writing: Writing | null, abort: () => void, end: () => void }} Call */

const LOADED = Symbol("made by load");

/** False once a model is disposed, its engine has stopped, or its GPU is lost for good. @type {(model: TokenFormer) => boolean} */
export let isUsable;

export class TokenFormer {
  static {
    isUsable = (model) => !model.#disposal && !model.#failure && !model.#isLost;
  }

  /** @type {Engine | null} */
  #engine;
  #thread;
  /** Why it runs in that thread, if not in the preferred one. */
  #note;
  #turns = new Lock();
  #steps = new Lock();
  /** Calls that have not ended, as the functions that abort them. @type {Set<() => void>} */
  #calls = new Set();
  /** The call that the engine works for now. @type {Call | null} */
  #stepping = null;
  /** The generator that is in progress. @type {Writing | null} */
  #writing = null;
  /** Why the engine can no longer be used. @type {TokenFormerError | null} */
  #failure = null;
  /** The last step ended because the GPU was lost and could not be replaced. */
  #isLost = false;
  #unwatch;
  #discard;
  /** @type {Promise<void> | null} */
  #disposal = null;
  #lastInfo;
  /** The hub that the model was loaded from. */
  #hub;
  #packs;
  #completions = new Completions(this, (candidates, options) => this.#write(() => severalTexts(candidates, options)));
  /** A `fetch` for clients of OpenAI's API that accept one: answers instead of a server. Needs no `this`. */
  fetch = fetchOf(this, () => this.#assertUsable());

  /** Not for callers: use `TokenFormer.load`. @param {symbol} key @param {Made} made @param {import("./pack-sources.js").Hub} [hub] */
  constructor(key, made, hub = { endpoint: DEFAULT_ENDPOINT }) {
    if (key !== LOADED)
      throw invalidArgument("A model is made by TokenFormer.load().", "Write: await TokenFormer.load(name, options).");
    const { engine, thread, note, watch, discard } = made;
    this.#engine = engine;
    this.#thread = thread;
    this.#note = note;
    this.#lastInfo = engine.info();
    const self = new WeakRef(this); // the watch must not keep a model alive that everybody forgot
    this.#unwatch = watch((error) => {
      const model = self.deref();
      if (model) model.#fail(stopped(error));
    });
    this.#discard = discard;
    this.#hub = hub;
    this.#packs = new Packs((name, work, how) => this.#invoke(name, work, how), hub);
  }

  /** The address of the folder with worker, glue, wasm and `models/`, if the page names one, else null. Set it before the first load. */
  static get assets() {
    return assets()?.href ?? null;
  }

  /** @param {string | URL | null} folder */
  static set assets(folder) {
    setAssets(folder);
  }

  /** Loads a model: a hub repository "owner/name", a folder's address, or, without a name, the embedded one. @param {string} [name] @param {import("../../tokenformer.js").LoadOptions} [options] */
  static load(name, options) {
    return loadModel(name, options, (made, hub) => new TokenFormer(LOADED, made, hub));
  }

  /** What `load` would find, without weights and engine: { state, downloadBytes, storedBytes, backend, reason }. @param {string} [name] @param {import("../../tokenformer.js").LoadOptions} [options] */
  static availability(name, options) {
    return availability(name, options);
  }

  /** Lists the models stored in this browser: [{ id, revision, quantization, bytes, complete, lastUsed }]. */
  static models() {
    return storedModels();
  }

  /** Deletes a stored model, of one revision and precision if these are given; resolves to the bytes freed. @param {string} id @param {import("../../tokenformer.js").DeleteOptions} [options] */
  static delete(id, options) {
    return deleteModel(id, options);
  }

  /** How much storage this origin uses and may use: { usage, quota, persisted }. */
  static storage() {
    return storage();
  }

  /** Asks the browser not to clear stored models when the disk is full; resolves to its answer. */
  static persist() {
    return persist();
  }

  /**
   * For benchmarks: a model of a published shape with random weights, which needs no download. Without `workgroups`,
   * decode steps are tuned as for any model; with it, that many workgroups run them, or, if it is 0, one dispatch per
   * product.
   * @param {string} id
   * @param {import("../../tokenformer.js").RandomOptions} [options]
   */
  static async random(id, options) {
    checkText("id", id);
    const request = { id, ...checkRandomOptions(options) };
    return new TokenFormer(LOADED, await (await engines.get()).random(request));
  }

  /** A snapshot of the model's properties and memory use. */
  get info() {
    if (this.#engine && !this.#failure) this.#lastInfo = this.#engine.info();
    const { notes } = this.#lastInfo;
    const told = this.#note ? { notes: [...(notes ?? []), this.#note] } : {};
    return structuredClone({ ...this.#lastInfo, ...told, packs: this.#packs.info, thread: this.#thread });
  }

  /** The active token packs, in the order of their names. */
  get packs() {
    return this.#packs.list;
  }

  /** Adds a token pack, replacing one of the same name. Clears the context. @param {import("../../tokenformer.js").PackSource} pack @param {import("../../tokenformer.js").PackOptions} [options] */
  addPack(pack, options) {
    return this.#packs.add(pack, options);
  }

  /** Changes a pack's strength; 0 is off. Clears the context. @param {string} name @param {{ strength: number }} options */
  setPack(name, options) {
    return this.#packs.set(name, options);
  }

  /** Removes a pack. Clears the context. @param {string} name */
  removePack(name) {
    return this.#packs.remove(name);
  }

  /** Learns from a text; resolves to a token pack, which is not added. The model stays as it is. @param {string | TokenIds | readonly { text: string }[]} text @param {import("../../tokenformer.js").TrainOptions} [options] */
  async train(text, options) {
    const asked = checkTraining(text, options);
    this.#assertUsable();
    const call = this.#begin(asked.signal);
    try {
      return await train(asked, {
        signal: call.signal,
        hub: this.#hub,
        hasPack: (name) => this.#packs.has(name),
        enter: () => this.#turns.acquire(call.signal),
        step: (work) =>
          this.#step(call, (engine) => {
            this.#assertUsable();
            return work(engine);
          }),
      });
    } finally {
      call.end();
    }
  }

  /** For code that speaks the protocol of OpenAI's text completions: `completions.create(…)`. */
  get completions() {
    return this.#completions;
  }

  /** Continues a prompt: yields chunks, returns what `complete` resolves to. @param {string | TokenIds} prompt @param {GenerateOptions} [options] */
  generate(prompt, options) {
    return this.#write(() => oneText(prompt, options));
  }

  /** Continues a prompt in `n` ways at once: yields chunks with the `index` of their text, returns all results. @param {string | TokenIds} prompt @param {AlternativesOptions} [options] */
  alternatives(prompt, options) {
    return this.#write(() => alternatives(prompt, options));
  }

  /** Continues a prompt and resolves to the complete result. @param {string | TokenIds} prompt @param {GenerateOptions} [options] @returns {Promise<GenerateResult>} */
  async complete(prompt, options) {
    const chunks = this.generate(prompt, options);
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) return value;
    }
  }

  /** How likely a text is, token by token; for an array of { text, context } an array of results. @param {unknown} text @param {unknown} [options] */
  async score(text, options) {
    const { isList, items } = checkScoreArguments(text, options);
    const results = await this.#invoke("score", (engine) => engine.score(items));
    return isList ? results : results[0];
  }

  /** The logits after the last of the tokens: V values. @param {TokenIds} tokenIds */
  async logits(tokenIds) {
    const ids = checkIds("tokenIds", tokenIds);
    return this.#invoke("logits", (engine) => engine.logits(ids));
  }

  /** The token ids of a text. @param {string} text */
  async encode(text) {
    checkText("text", text);
    return this.#invoke("encode", async (engine) => Array.from(await engine.encode(text)), { inTurn: false });
  }

  /** The text of token ids. @param {TokenIds} tokenIds */
  async decode(tokenIds) {
    const ids = checkIds("tokenIds", tokenIds, { allowEmpty: true });
    return this.#invoke("decode", (engine) => engine.decode(ids), { inTurn: false });
  }

  /** The parameter tokens that contribute most to the word after a position: [{ position, layer, kind, top }]. @param {string | TokenIds} text @param {import("../../tokenformer.js").InspectOptions} [options] */
  async inspect(text, options) {
    const asked = checkInspect(text, options);
    return this.#invoke("inspect", (engine) => engine.inspect(asked.text, asked.request));
  }

  /** The tokens of the vocabulary that a parameter token pushes up and down: { up, down }. @param {import("../../tokenformer.js").ParameterToken} token @param {{ top?: number }} [options] */
  async promotes(token, options) {
    const asked = checkPromotes(token, options);
    return this.#invoke("promotes", (engine) => engine.promotes(asked.token, asked.top));
  }

  /** Multiplies the activations of these parameter tokens, and of no others; 0 is off. Clears the context. @param {readonly import("../../tokenformer.js").Ablation[]} tokens */
  async ablate(tokens) {
    const ablations = checkAblations(tokens);
    await this.#invoke("ablate", (engine) => engine.ablate(ablations));
  }

  /** Measures how fast the model is on this device. Clears the context. @param {import("../../tokenformer.js").BenchmarkOptions} [options] */
  async benchmark(options) {
    const checked = checkBenchmarkOptions(options);
    // Measures the speed that a text gets a few seconds after loading.
    await this.#invoke("benchmark", (engine) => engine.settle());
    const step = await this.#invoke("benchmark", (engine) => engine.stepInfo());
    const complete = (/** @type {number[]} */ ids, /** @type {GenerateOptions} */ given) => this.complete(ids, given);
    const measured = await measure(complete, () => this.reset(), this.info.config.padded_vocab_size, checked);
    await this.reset();
    const { onProgress: _heard, ...asked } = checked;
    return { ...measured, ...step, ...asked };
  }

  /**
   * For benchmarks: [{ kernel, dispatches, microseconds }] of a step on the GPU, or null without timestamp queries.
   * @param {"decode" | { prefill: number } | { several: number }} [timed]
   */
  async kernelTimes(timed = "decode") {
    return this.#invoke("kernelTimes", (engine) => engine.kernelTimes(timed));
  }

  /** What the model saw last: the ids in its KV cache. @returns {Promise<number[]>} */
  async context() {
    return this.#invoke("context", async (engine) => Array.from(await engine.context()));
  }

  /** Clears the context, so that a seed gives the same text again. */
  async reset() {
    await this.#invoke("reset", (engine) => engine.reset());
  }

  /** Aborts every call, then frees everything. Calling it again has no effect. @returns {Promise<void>} */
  dispose() {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose() {
    for (const abort of this.#calls) abort();
    const release = await this.#steps.acquire();
    const engine = /** @type {Engine} */ (this.#engine);
    try {
      // A generator that is waiting for its caller can still report its end after the engine is gone.
      if (!this.#failure) await this.#writing?.finish().catch(() => this.#writing?.close());
      await engine.dispose();
      this.#lastInfo = engine.info(); // what is left on the GPU: nothing
    } catch (error) {
      // After a trap the engine's own call fails as well, which adds nothing new.
      if (!this.#failure) throw toTokenFormerError(error);
    } finally {
      if (this.#failure) this.#lastInfo = { ...this.#lastInfo, gpuBytes: 0 };
      this.#engine = null;
      this.#unwatch();
      engine.free();
      release?.();
    }
  }

  #assertUsable() {
    if (this.#disposal) throw new TokenFormerError("disposed", "The model was disposed.");
    if (this.#failure) throw this.#failure;
  }

  /** Registers a call, which ends early when `signal` aborts or the model is disposed. @param {AbortSignal} [signal] @returns {Call} */
  #begin(signal) {
    const controller = new AbortController();
    const abort = () => {
      controller.abort();
      call.writing?.abort();
      if (this.#stepping === call) this.#engine?.abort();
    };
    /** @type {Call} */
    const call = {
      signal: controller.signal,
      writing: null,
      abort,
      end: () => {
        signal?.removeEventListener("abort", abort);
        this.#calls.delete(abort);
      },
    };
    this.#calls.add(abort);
    if (signal?.aborted) controller.abort();
    else signal?.addEventListener("abort", abort, { once: true });
    return call;
  }

  /**
   * Runs `work(engine)` while nothing else uses the engine.
   * @template T
   * @param {Call} call
   * @param {(engine: Engine) => T | Promise<T>} work
   * @returns {Promise<T>}
   */
  async #step(call, work) {
    const release = await this.#steps.acquire();
    this.#stepping = call;
    try {
      // After `dispose` there is no engine, and no caller that needs it.
      const result = await work(/** @type {Engine} */ (this.#engine));
      this.#isLost = false;
      return result;
    } catch (error) {
      const told = toTokenFormerError(error);
      this.#isLost ||= told.code === "device-lost";
      throw told;
    } finally {
      this.#stepping = null;
      release?.();
    }
  }

  /**
   * @template T, [B=void]
   * @param {string} name
   * @param {(engine: Engine, before: B) => T | Promise<T>} work
   * @param {{ inTurn?: boolean, before?: (signal: AbortSignal) => Promise<B> }} [how] `before`: done in this turn, while the engine is free
   * @returns {Promise<T>}
   */
  async #invoke(name, work, { inTurn = true, before } = {}) {
    this.#assertUsable();
    const call = this.#begin();
    let release = null;
    try {
      if (inTurn) release = await this.#turns.acquire(call.signal);
      const made = /** @type {B} */ (call.signal.aborted ? undefined : await before?.(call.signal));
      return await this.#step(call, (engine) => {
        if (call.signal.aborted) throw aborted(name);
        if (this.#failure) throw this.#failure;
        return work(engine, made);
      });
    } finally {
      release?.();
      call.end();
    }
  }

  /**
   * @template {import("./texts.js").Texts} Texts
   * @param {() => { texts: Texts, signal?: AbortSignal }} prepare checks what was given, once the generator begins
   * @returns {AsyncGenerator<ReturnType<Texts["told"]>, ReturnType<Texts["ended"]>, undefined>}
   */
  async *#write(prepare) {
    const { texts, signal } = prepare();
    this.#assertUsable();
    const call = this.#begin(signal);
    texts.listen(call.abort);
    let release = null;
    let writing = null;
    try {
      release = await this.#turns.acquire(call.signal);
      if (release) writing = await this.#start(call, texts);
      for (;;) {
        const chunk = writing && (await this.#next(call, writing));
        if (!chunk) return /** @type {ReturnType<Texts["ended"]>} */ (texts.ended(writing?.result ?? null));
        yield /** @type {ReturnType<Texts["told"]>} */ (texts.told(chunk));
      }
    } finally {
      texts.end();
      if (writing) await this.#close(call, writing);
      release?.();
      call.end();
    }
  }

  /** Starts generating; null if aborted before anything could be generated. @param {Call} call @param {import("./texts.js").Texts} texts @returns {Promise<Writing | null>} */
  async #start(call, texts) {
    try {
      return await this.#step(call, async (engine) => {
        if (call.signal.aborted) return null;
        if (this.#failure) throw this.#failure;
        const writing = await texts.start(engine);
        if (!writing) return null;
        call.writing = writing;
        this.#writing = writing;
        if (call.signal.aborted) writing.abort();
        return writing;
      });
    } catch (error) {
      if (call.signal.aborted && error instanceof TokenFormerError && error.code === "aborted") return null;
      throw error;
    }
  }

  /** @param {Call} call @param {Writing} writing */
  #next(call, writing) {
    return writing.ended ? writing.next() : this.#step(call, () => writing.next());
  }

  /** @param {Call} call @param {Writing} writing */
  async #close(call, writing) {
    call.writing = null;
    if (this.#writing === writing) this.#writing = null;
    if (writing.ended || this.#failure) return;
    await this.#step(call, () => writing.close());
  }

  /** @param {TokenFormerError} error */
  #fail(error) {
    if (!this.#failure) this.#discard();
    this.#failure ??= error;
  }
}
