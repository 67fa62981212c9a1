// An engine as model.js sees it: the classes of src/api, with results that arrive as messages.

/** @typedef {import("../../tokenformer-web.js").Engine} Engine */
/** @typedef {import("../../tokenformer-web.js").Prompt} Prompt */
/** @typedef {import("../../tokenformer-web.js").Candidate} Candidate */
/** @typedef {import("./port.js").State} State */
/** @typedef {import("./writing.js").Writing} Writing */

/**
 * What a PortEngine needs from its port.
 * @typedef {object} EngineCalls
 * @property {<T>(name: string, args: unknown[]) => Promise<T>} invoke
 * @property {(name: "start" | "startSeveral", args: unknown[], count: number) => Promise<any>} start a Writing of `count` texts
 * @property {(args: unknown[]) => Promise<PortTraining>} train
 * @property {() => void} abort
 * @property {() => void} free
 */

/** Proxy for the class `Training` of src/api. */
export class PortTraining {
  #invoke;

  /** @param {<T>(name: "next" | "pause" | "result") => Promise<T>} invoke @param {() => void} free */
  constructor(invoke, free) {
    this.#invoke = invoke;
    this.free = free;
  }

  /** @returns {ReturnType<import("../../tokenformer-web.js").Training["next"]>} */
  next() {
    return this.#invoke("next");
  }

  /** @returns {ReturnType<import("../../tokenformer-web.js").Training["pause"]>} */
  pause() {
    return this.#invoke("pause");
  }

  /** @returns {ReturnType<import("../../tokenformer-web.js").Training["result"]>} */
  result() {
    return this.#invoke("result");
  }
}

/** Proxy for the class `Engine` of src/api. */
export class PortEngine {
  #state;
  #calls;

  /** @param {State} state @param {EngineCalls} calls */
  constructor(state, calls) {
    this.#state = state;
    this.#calls = calls;
  }

  /** As last reported. */
  info() {
    return this.#state.info;
  }

  /** @param {string} text @returns {Promise<Uint32Array>} */
  encode(text) {
    return this.#calls.invoke("encode", [text]);
  }

  /** @param {Uint32Array} ids @returns {Promise<string>} */
  decode(ids) {
    return this.#calls.invoke("decode", [ids]);
  }

  /** @param {Prompt} prompt @param {object} options @returns {Promise<Writing>} */
  start(prompt, options) {
    return this.#calls.start("start", [prompt, options], 1);
  }

  /** @param {Candidate[]} candidates @param {object} options @returns {Promise<import("./writing.js").SeveralWriting>} */
  startSeveral(candidates, options) {
    return this.#calls.start("startSeveral", [candidates, options], candidates.length);
  }

  /** @param {{ text: Prompt, context: Prompt }[]} items @returns {ReturnType<Engine["score"]>} */
  score(items) {
    return this.#calls.invoke("score", [items]);
  }

  /** @param {Uint32Array} ids @returns {ReturnType<Engine["logits"]>} */
  logits(ids) {
    return this.#calls.invoke("logits", [ids]);
  }

  /** @param {Prompt} text @param {import("../../tokenformer-web.js").InspectRequest} request @returns {ReturnType<Engine["inspect"]>} */
  inspect(text, request) {
    return this.#calls.invoke("inspect", [text, request]);
  }

  /** @param {import("../../tokenformer-web.js").TokenPlace} token @param {number} top @returns {ReturnType<Engine["promotes"]>} */
  promotes(token, top) {
    return this.#calls.invoke("promotes", [token, top]);
  }

  /** @param {Parameters<Engine["ablate"]>[0]} ablations @returns {Promise<void>} */
  ablate(ablations) {
    return this.#calls.invoke("ablate", [ablations]);
  }

  /** @returns {Promise<Uint32Array>} */
  context() {
    return this.#calls.invoke("context", []);
  }

  /** @param {Uint8Array} bytes @param {{ name: string, strength: number }} options @returns {Promise<void>} */
  addPack(bytes, options) {
    return this.#calls.invoke("addPack", [bytes, options]);
  }

  /** @param {string} name @param {number} strength @returns {Promise<void>} */
  setPack(name, strength) {
    return this.#calls.invoke("setPack", [name, strength]);
  }

  /** @param {string} name @returns {Promise<void>} */
  removePack(name) {
    return this.#calls.invoke("removePack", [name]);
  }

  /** @param {Prompt[]} documents @param {object} options @param {Uint8Array} [pack] @returns {Promise<PortTraining>} */
  startTraining(documents, options, pack) {
    return this.#calls.train([documents, options, pack]);
  }

  /** @returns {Promise<void>} */
  settle() {
    return this.#calls.invoke("settle", []);
  }

  /** @returns {Promise<ReturnType<Engine["stepInfo"]>>} */
  stepInfo() {
    return this.#calls.invoke("stepInfo", []);
  }

  /** @param {unknown} timed @returns {ReturnType<Engine["kernelTimes"]>} */
  kernelTimes(timed) {
    return this.#calls.invoke("kernelTimes", [timed]);
  }

  /** @returns {Promise<void>} */
  reset() {
    return this.#calls.invoke("reset", []);
  }

  /** @returns {Promise<void>} */
  dispose() {
    return this.#calls.invoke("dispose", []);
  }

  abort() {
    this.#calls.abort();
  }

  free() {
    this.#calls.free();
  }
}
