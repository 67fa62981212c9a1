// Engines as model.js sees them, in a worker or its stand-in: methods whose results arrive as messages.
// The messages are described in service.js.

import { otherBuild } from "../build.js";
import { aborted, stopped, TokenFormerError } from "../errors.js";
import { PortEngine, PortTraining } from "./port-engine.js";
import { unpackError } from "./wire.js";
import { AHEAD, paceOf } from "./write-ahead.js";
import { Writing } from "./writing.js";

/** Milliseconds after which a worker without engines and calls is terminated, since a wasm memory never shrinks. */
const IDLE_MS = 10_000;

/** @typedef {import("./service.js").ToEngine} ToEngine */
/** @typedef {import("./service.js").FromEngine} FromEngine */
/** @typedef {import("./service.js").Answer} Answer */
/** @typedef {import("../../tokenformer-web.js").Engine} Engine */
/** @typedef {import("../../tokenformer-web.js").Request} Request */
/** @typedef {(progress: import("../../tokenformer.js").LoadProgress) => void} Tell */
/** An engine that has not been freed. @typedef {{ info: ReturnType<Engine["info"]>, watchers: Set<(error: unknown) => void> }} State */
/** @typedef {{ resolve: (answer: Answer) => void, reject: (error: unknown) => void, tell?: Tell, state?: State }} Call */

/**
 * What an EnginePort needs from a Worker.
 * @typedef {object} WorkerLike
 * @property {((event: { data: FromEngine }) => void) | null} onmessage
 * @property {((event: ErrorEvent) => void) | null} onerror
 * @property {(() => void) | null} onmessageerror
 * @property {(message: ToEngine) => void} postMessage
 * @property {() => void} terminate
 * @property {import("./write-ahead.js").Pace} [pace] of the texts that are generated there
 */

/**
 * A loaded engine.
 * @typedef {object} Made
 * @property {PortEngine} engine
 * @property {"main" | "worker"} thread
 * @property {string} [note] why it runs in that thread
 * @property {(onStop: (error: unknown) => void) => () => void} watch reports an engine that stops outside of any call
 * @property {() => void} discard called if the engine stopped: the next load gets a new one
 */

export class EnginePort {
  #worker;
  /** Unanswered calls, by number: @type {Map<number, Call>} */
  #calls = new Map();
  #lastCall = 0;
  /** Engines that have not been freed, by number. @type {Map<number, State>} */
  #engines = new Map();
  /** Texts that have not been freed, by number. @type {Map<number, Writing<any, any>>} */
  #writings = new Map();
  /** Why the worker is gone. @type {unknown} */
  #end = null;
  #isRetired = false;
  #onRetire;
  #thread;
  #isKept;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #idle;
  /** Frees the engines of models that were garbage-collected. */
  #forgotten = new FinalizationRegistry((/** @type {number} */ id) => this.#free(id));

  /**
   * @param {WorkerLike} worker one that has reported that it is ready
   * @param {() => void} [onRetire] called when this worker must get no more models
   * @param {{ thread?: "main" | "worker", isKept?: boolean }} [where] `isKept`: it does not end when idle
   */
  constructor(worker, onRetire = () => {}, { thread = "worker", isKept = false } = {}) {
    this.#thread = thread;
    this.#isKept = isKept;
    this.#worker = worker;
    this.#onRetire = onRetire;
    worker.onmessage = ({ data }) => this.#receive(data);
    // An uncaught error there comes from the engine.
    worker.onerror = (event) => this.#stop(stopped(event.error ?? event.message ?? "its worker ended"));
    worker.onmessageerror = () => this.#stop(stopped("its worker sent what cannot be read"));
    this.#watchIdle();
  }

  /** @param {Request} request @param {Tell} tell @param {AbortSignal} [signal] @returns {Promise<Made>} */
  load(request, tell, signal) {
    if (signal?.aborted) return Promise.reject(aborted("Loading"));
    let call = 0;
    const abort = () => this.#post({ type: "abort", call });
    const answer = this.#ask({ type: "load", args: [request] }, { tell, onCall: (number) => (call = number) });
    signal?.addEventListener("abort", abort, { once: true });
    return this.#make(answer.finally(() => signal?.removeEventListener("abort", abort)));
  }

  /** The same, but its models carry a note. @param {string} note */
  noted(note) {
    const noted = async (/** @type {Promise<Made>} */ made) => ({ ...(await made), note });
    return {
      load: (/** @type {Parameters<EnginePort["load"]>} */ ...args) => noted(this.load(...args)),
      random: (/** @type {Request} */ request) => noted(this.random(request)),
      end: () => this.end(),
    };
  }

  /** @param {Request} request @returns {Promise<Made>} */
  random(request) {
    return this.#make(this.#ask({ type: "random", args: [request] }));
  }

  /** @param {Promise<Answer>} answer @returns {Promise<Made>} */
  async #make(answer) {
    const { value, info } = await this.#retiring(answer);
    const id = /** @type {number} */ (value);
    const state = /** @type {State} */ ({ info, watchers: new Set() });
    this.#engines.set(id, state);
    this.#watchIdle();
    const engine = new PortEngine(state, {
      invoke: async (name, args) => {
        const { value } = await this.#ask({ type: "engine", engine: id, name, args }, { state });
        return /** @type {never} */ (value);
      },
      start: (name, args, count) => this.#start(id, state, name, args, count),
      train: (args) => this.#train(id, state, args),
      abort: () => this.#post({ type: "abort engine", engine: id }),
      free: () => this.#free(id),
    });
    this.#forgotten.register(engine, id, engine);
    return {
      engine,
      thread: this.#thread,
      watch: (onStop) => {
        state.watchers.add(onStop);
        return () => void state.watchers.delete(onStop);
      },
      discard: () => this.#retire(),
    };
  }

  /** @param {number} engine @param {State} state @param {"start" | "startSeveral"} name @param {unknown[]} args @param {number} count @returns {Promise<any>} */
  async #start(engine, state, name, args, count) {
    const { value } = await this.#ask({ type: "engine", engine, name, args }, { state });
    const id = /** @type {number} */ (value);
    // Chunks that follow the answer are handled after this microtask.
    const writing = new Writing(
      {
        allow: (count) => this.#post({ type: "allow", writing: id, count }),
        close: (taken) => this.#post({ type: "close", writing: id, taken }),
        abortOne: (index) => this.#post({ type: "abort one", writing: id, index }),
        free: () => {
          this.#writings.delete(id);
          this.#post({ type: "free", writing: id });
        },
      },
      paceOf(this.#worker.pace ?? AHEAD, count),
    );
    this.#writings.set(id, writing);
    return writing;
  }

  /** @param {number} engine @param {State} state @param {unknown[]} args */
  async #train(engine, state, args) {
    const { value } = await this.#ask({ type: "engine", engine, name: "startTraining", args }, { state });
    const training = /** @type {number} */ (value);
    return new PortTraining(
      async (name) => {
        const { value } = await this.#ask({ type: "training", training, name }, { state });
        return /** @type {never} */ (value);
      },
      () => this.#post({ type: "free training", training }),
    );
  }

  /**
   * @param {import("./service.js").Question} message
   * @param {{ tell?: Tell, state?: State, onCall?: (call: number) => void }} [more]
   * @returns {Promise<Answer>}
   */
  #ask(message, { tell, state, onCall } = {}) {
    if (this.#end) return Promise.reject(this.#end);
    const call = (this.#lastCall += 1);
    onCall?.(call);
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject, tell, state });
      this.#watchIdle();
      try {
        this.#post({ ...message, call });
      } catch (error) {
        this.#calls.delete(call);
        reject(error);
      }
    });
  }

  /** Handles an answer. After a lost device the next model gets another worker, just as it would get another instance. @param {Promise<Answer>} answer */
  async #retiring(answer) {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof TokenFormerError && error.code === "device-lost") this.#retire();
      throw error;
    }
  }

  /** @param {FromEngine} message */
  #receive(message) {
    switch (message?.type) {
      case "answer": {
        const asked = this.#calls.get(message.call);
        this.#calls.delete(message.call);
        if (asked?.state && message.info) asked.state.info = message.info;
        if (message.error) asked?.reject(unpackError(message.error));
        else asked?.resolve(message);
        return this.#watchIdle();
      }
      case "progress":
        return tellPage(this.#calls.get(message.call)?.tell, message.progress);
      case "chunks": {
        // Also for a text that its reader has freed: the remaining message updates the engine's info.
        const state = this.#engines.get(message.engine);
        if (state && message.info) state.info = message.info;
        const error = message.error && unpackError(message.error);
        return this.#writings.get(message.writing)?.receive({ ...message, error });
      }
      case "stopped":
        return this.#stop(unpackError(message.error));
      default:
        return this.#stop(
          otherBuild(
            `The engine's worker says "${/** @type {{ type?: string } | undefined} */ (message)?.type}", which this build does not know.`,
          ),
        );
    }
  }

  /** @param {ToEngine} message */
  #post(message) {
    if (!this.#end) this.#worker.postMessage(message);
  }

  /** @param {number} id */
  #free(id) {
    if (!this.#engines.delete(id)) return;
    this.#post({ type: "free engine", engine: id });
    this.#watchIdle();
  }

  /** Terminates the worker. */
  end() {
    this.#stop(stopped("its worker was ended"));
  }

  /** The worker is gone: everything that waits for it fails, and its GPU resources are freed with it. @param {unknown} error */
  #stop(error) {
    if (this.#end) return;
    this.#retire();
    this.#end = error;
    clearTimeout(this.#idle);
    this.#worker.terminate();
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
    for (const writing of [...this.#writings.values()]) writing.fail(error);
    for (const { watchers } of this.#engines.values()) for (const onStop of [...watchers]) onStop(error);
    this.#engines.clear();
  }

  #retire() {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#onRetire();
    this.#watchIdle();
  }

  #watchIdle() {
    clearTimeout(this.#idle);
    if (this.#end || this.#engines.size + this.#calls.size > 0) return;
    if (this.#isKept && !this.#isRetired) return;
    this.#idle = setTimeout(() => this.end(), this.#isRetired ? 0 : IDLE_MS);
    /** @type {{ unref?: () => void }} */ (Object(this.#idle)).unref?.(); // node's tests need not wait
  }
}

/** Calls a listener of the page. An exception in it is the page's error, and is reported as such. @param {Tell | undefined} listener @param {Parameters<Tell>[0]} progress */
function tellPage(listener, progress) {
  try {
    listener?.(progress);
  } catch (error) {
    globalThis.reportError?.(error);
  }
}
