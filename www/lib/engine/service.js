// The engine's side of port.js, in a worker or, behind local-worker.js, in the page's thread: calls come as messages, results go back as messages.
//
//     { type: "load" | "random", call, args }    answered with { type: "answer", call, … }
//     { type: "abort", call }                    aborts that load
//     { type: "engine", engine, name, call, args }  a method of an engine, in the order of the calls
//     { type: "abort engine" | "free engine", engine }
//     { type: "allow", writing, count } { type: "close", writing, taken } { type: "free", writing }   see write-ahead.js
//     { type: "abort one", writing, index }      one of several texts
//     { type: "training", training, name, call } a method of a training, which `startTraining` returned
//     { type: "free training", training }
//
// An answer has `value` or `error`, and `info` if it is an engine's. `{ type: "progress", call, progress }` and
// `{ type: "chunks", writing, engine, chunks, … }` are sent unprompted; `{ type: "stopped", error }` is the last message
// of all, also sent in reply to a message that is not listed here. The first message is worker.js's `ready`, with the
// build's name; the page answers it with `{ type: "files", wasm }`, the possible addresses of the engine's file.

import { otherBuild } from "../build.js";
import { isTrap, stopped } from "../errors.js";
import { Lock } from "./lock.js";
import { packError } from "./wire.js";
import { AHEAD, paceOf, WriteAhead } from "./write-ahead.js";

/** @typedef {import("../../tokenformer-web.js").Engine} Engine */
/** @typedef {ReturnType<Engine["info"]>} Info */
/** @typedef {import("./wire.js").PackedError} PackedError */
/** @typedef {{ name: string, engine: number, args: unknown[] }} Invocation */
/**
 * Calls that get an answer.
 * @typedef {{ type: "load" | "random", args: [import("../../tokenformer-web.js").Request] }
 *   | { type: "training", training: number, name: "next" | "pause" | "result" }
 *   | ({ type: "engine" } & Invocation)} Question
 */
/**
 * @typedef {(Question & { call: number })
 *   | { type: "abort", call: number }
 *   | { type: "abort engine" | "free engine", engine: number }
 *   | { type: "allow", writing: number, count: number }
 *   | { type: "close", writing: number, taken: number }
 *   | { type: "abort one", writing: number, index: number }
 *   | { type: "free", writing: number }
 *   | { type: "free training", training: number }} ToEngine
 */
/** @typedef {{ value?: unknown, info?: Info }} Answer */
/** @typedef {import("./write-ahead.js").End & { chunks: import("./write-ahead.js").Chunk[] }} Told */
/**
 * @typedef {({ type: "answer", call: number, error?: PackedError } & Answer)
 *   | { type: "progress", call: number, progress: import("../../tokenformer.js").LoadProgress }
 *   | ({ type: "chunks", writing: number, engine: number, error?: PackedError, info?: Info } & Omit<Told, "error">)
 *   | { type: "stopped", error: PackedError }} FromEngine
 */
/** @typedef {{ made: import("./engines-of.js").Made, lock: Lock, unwatch: () => void, device?: GPUDevice }} Loaded */

export class EngineService {
  #port;
  #engines;
  /** The loaded engines; a stopped engine cannot free its device, if it has one. @type {Map<number, Loaded>} */
  #loaded = new Map();
  /** @type {Map<number, WriteAhead>} */
  #writings = new Map();
  /** @type {Map<number, { engine: number, training: import("../../tokenformer-web.js").Training }>} */
  #trainings = new Map();
  /** AbortControllers of the loads in progress, by call. @type {Map<number, AbortController>} */
  #loads = new Map();
  #isStopped = false;
  #lastId = 0;
  #pace;

  /**
   * @param {{ postMessage(message: FromEngine, transfer: Transferable[]): void }} port
   * @param {import("./engines-of.js").Engines} engines
   * @param {import("./write-ahead.js").Pace} [pace] of its texts
   */
  constructor(port, engines, pace = AHEAD) {
    this.#port = port;
    this.#engines = engines;
    this.#pace = pace;
  }

  /** Handles a message. @param {ToEngine} message */
  receive(message) {
    switch (message.type) {
      case "load":
        return this.#answer(message.call, () => this.#load(message.call, ...message.args));
      case "random":
        return this.#answer(message.call, async () => this.#keep(await this.#engines.random(...message.args)));
      case "abort":
        return this.#loads.get(message.call)?.abort();
      case "engine":
        return this.#answer(message.call, () => this.#invoke(message));
      case "training":
        return this.#answer(message.call, () => this.#train(message.training, message.name));
      case "free training":
        return this.#freeTraining(message.training);
      case "abort engine":
        return this.#loaded.get(message.engine)?.made.engine.abort();
      case "free engine":
        return this.#free(message.engine);
      case "allow":
        return this.#writings.get(message.writing)?.allow(message.count);
      case "close":
        return this.#writings.get(message.writing)?.close(message.taken);
      case "abort one":
        return this.#writings.get(message.writing)?.abortOne(message.index);
      case "free":
        this.#writings.get(message.writing)?.free();
        return this.#writings.delete(message.writing);
      default:
        // The call would never be answered.
        return this.#stop(
          otherBuild(
            `The page asks for "${/** @type {{ type: string }} */ (message).type}", which the engine's worker does not know.`,
          ),
        );
    }
  }

  /** @param {number} call @param {() => Promise<Answer & { begin?: () => void }>} work */
  async #answer(call, work) {
    try {
      const { begin, ...answer } = await work();
      const { bytes } = /** @type {{ bytes?: unknown }} */ (Object(answer.value));
      const large = bytes instanceof Uint8Array ? bytes : answer.value;
      const transfer = large instanceof Float32Array || large instanceof Uint8Array ? [large.buffer] : [];
      this.#post({ type: "answer", call, ...answer }, transfer);
      begin?.(); // what it tells must not come before the answer
    } catch (error) {
      this.#noteTrap(error);
      this.#post({ type: "answer", call, error: packError(error) });
    }
  }

  /** @param {number} call @param {import("../../tokenformer-web.js").Request} request */
  async #load(call, request) {
    const controller = new AbortController();
    this.#loads.set(call, controller);
    try {
      /** @type {import("./port.js").Tell} */
      const tell = (progress) => this.#post({ type: "progress", call, progress });
      return this.#keep(await this.#engines.load(request, tell, controller.signal));
    } finally {
      this.#loads.delete(call);
    }
  }

  /** @param {import("./engines-of.js").Made} made */
  #keep(made) {
    const id = (this.#lastId += 1);
    const unwatch = made.watch((error) => this.#stop(error));
    this.#loaded.set(id, { made, lock: new Lock(), unwatch, device: made.engine.device?.() });
    return { value: id, info: made.engine.info() };
  }

  /** @param {number} id */
  #engine(id) {
    const loaded = this.#loaded.get(id);
    if (!loaded) throw stopped("the engine was freed");
    return loaded;
  }

  /** @param {Invocation} invocation @returns {Promise<Answer & { begin?: () => void }>} */
  async #invoke({ engine: id, name, args }) {
    const loaded = this.#engine(id);
    const { lock } = loaded;
    const { engine } = loaded.made;
    const method = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (engine))[name];
    if (typeof method !== "function") throw otherBuild(`The page asks for "${name}", which the engine does not have.`);
    const release = await lock.acquire();
    try {
      const value = await method.apply(engine, args);
      /** @type {Answer & { begin?: () => void }} */
      let answer = { value };
      if (name === "start") answer = this.#write(id, value, lock, 1);
      if (name === "startTraining") answer = this.#keepTraining(id, value);
      if (name === "startSeveral") answer = this.#write(id, value, lock, /** @type {unknown[]} */ (args[0]).length);
      return { ...answer, info: engine.info() };
    } finally {
      release?.();
      this.#renewDevice(loaded);
    }
  }

  /** @param {number} engine @param {import("../../tokenformer-web.js").Training} training */
  #keepTraining(engine, training) {
    const id = (this.#lastId += 1);
    this.#trainings.set(id, { engine, training });
    return { value: id };
  }

  /** @param {number} id @param {"next" | "pause" | "result"} name @returns {Promise<Answer>} */
  async #train(id, name) {
    const kept = this.#trainings.get(id);
    if (!kept) throw stopped("the training was freed");
    const loaded = this.#engine(kept.engine);
    const release = await loaded.lock.acquire();
    try {
      return { value: await kept.training[name](), info: loaded.made.engine.info() };
    } finally {
      release?.();
      this.#renewDevice(loaded);
    }
  }

  /** @param {number} id */
  async #freeTraining(id) {
    const kept = this.#trainings.get(id);
    this.#trainings.delete(id);
    const release = await (kept && this.#loaded.get(kept.engine)?.lock.acquire());
    try {
      kept?.training.free();
    } catch (error) {
      this.#noteTrap(error);
    } finally {
      release?.();
    }
  }

  /** The device may have changed: a lost one is replaced. @param {Loaded} [loaded] */
  #renewDevice(loaded) {
    if (loaded && !this.#isStopped) loaded.device = loaded.made.engine.device?.();
  }

  /**
   * Registers a text, or several, that is generated ahead of its reader once `begin` is called.
   * @param {number} engine
   * @param {import("./write-ahead.js").Generation | import("./write-ahead.js").Several} generation
   * @param {Lock} lock
   * @param {number} count of texts
   */
  #write(engine, generation, lock, count) {
    const writing = (this.#lastId += 1);
    const ahead = new WriteAhead(
      generation,
      lock,
      ({ error, ...told }) => {
        this.#noteTrap(error);
        if (this.#isStopped) return;
        // With every batch; if chunks are sent one by one, with the last.
        const isBatch = this.#pace.most > 0 || told.result || error !== undefined;
        const loaded = isBatch ? this.#loaded.get(engine) : undefined;
        const info = loaded?.made.engine.info();
        this.#renewDevice(loaded);
        this.#post({
          type: "chunks",
          writing,
          engine,
          ...told,
          ...(error === undefined ? {} : { error: packError(error) }),
          info,
        });
      },
      paceOf(this.#pace, count),
    );
    this.#writings.set(writing, ahead);
    return { value: writing, begin: () => ahead.run() };
  }

  /** @param {number} id */
  async #free(id) {
    const { made, lock, unwatch } = this.#engine(id);
    const release = await lock.acquire();
    this.#loaded.delete(id);
    unwatch();
    try {
      made.engine.free?.();
    } catch (error) {
      this.#noteTrap(error);
    } finally {
      release?.();
    }
  }

  /** Nobody is listening any longer: frees what the engines hold outside of the thread's memory. */
  end() {
    this.#isStopped = true;
    for (const { unwatch, device } of this.#loaded.values()) {
      unwatch();
      device?.destroy();
    }
    this.#loaded.clear();
  }

  /** @param {unknown} error */
  #noteTrap(error) {
    if (isTrap(error)) this.#stop(error);
  }

  /** The instance, which all engines here share, can no longer be used. @param {unknown} error */
  #stop(error) {
    this.#post({ type: "stopped", error: packError(stopped(error)) });
    this.#isStopped = true;
  }

  /** @param {FromEngine} message @param {Transferable[]} [transfer] */
  #post(message, transfer = []) {
    if (!this.#isStopped) this.#port.postMessage(message, transfer);
  }
}
