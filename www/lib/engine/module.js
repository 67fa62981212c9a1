// The WebAssembly engine in this thread: fetched and started once, by the first call that needs it.

import { fetchAny, readsDisk } from "../disk.js";
import { stopped, toTokenFormerError } from "../errors.js";
import { glueAddress } from "../locations.js";
import { compileWasm, missing } from "./wasm-file.js";

/** How long the engine's files may take: a stalled request need not fail by itself. */
const FETCH_MS = 600_000;

/** wasm-bindgen's module. @typedef {typeof import("../../tokenformer-web.js")} Instance */
/** @typedef {(error: unknown) => void} OnStop */

export class EngineModule {
  #importGlue;
  /** @type {Promise<Instance> | null} */
  #starting = null;
  #restarts = 0;
  /** Callbacks for when an instance stops outside of any call, by instance. @type {WeakMap<Instance, Set<OnStop>>} */
  #watchers = new WeakMap();

  /** @param {(restarts: number) => Promise<Instance>} importGlue wasm-bindgen's module; after a restart a new one */
  constructor(importGlue) {
    this.#importGlue = importGlue;
  }

  /** The running instance: `{ Engine }`. */
  load() {
    this.#starting ??= this.#start().catch((error) => {
      this.#starting = null;
      throw error;
    });
    return this.#starting;
  }

  /**
   * After a trap or a lost device the next load starts a new instance: the old one's memory cannot be trusted. The
   * engines' port calls this, once.
   */
  discard() {
    this.#starting = null;
    this.#restarts += 1;
  }

  /**
   * An asynchronous call continues in a microtask. An exception there does not reach the caller, only this thread's
   * error event, which passes it to `onStop`. Returns a function that ends the watch.
   * @param {Instance} instance
   * @param {OnStop} onStop
   */
  watch(instance, onStop) {
    const watchers = this.#watchers.get(instance) ?? new Set();
    this.#watchers.set(instance, watchers);
    watchers.add(onStop);
    return () => void watchers.delete(onStop);
  }

  /**
   * Runs `work(instance)` once the engine is running; rejects if it stops meanwhile.
   * @template T
   * @param {(instance: Instance) => Promise<T>} work
   * @returns {Promise<T>}
   */
  async run(work) {
    let unwatch = () => {};
    try {
      const instance = await this.load();
      const stop = new Promise((/** @type {(value: never) => void} */ _, reject) => {
        unwatch = this.watch(instance, (error) => reject(stopped(error)));
      });
      return await Promise.race([work(instance), stop]);
    } catch (error) {
      throw toTokenFormerError(error);
    } finally {
      unwatch();
    }
  }

  async #start() {
    const script = scriptAddress(this.#restarts);
    const [instance, { wasm, address }] = await inTime(Promise.all([this.#importGlue(this.#restarts), compileWasm()]));
    globalThis.addEventListener?.("error", ({ error }) => {
      // A stack trace from this instance includes its glue, or, if a bundler has moved the glue, the wasm file.
      const stack = String(error?.stack);
      if (!stack.includes(`${script}:`) && !stack.includes(address)) return;
      for (const onStop of [...(this.#watchers.get(instance) ?? [])]) onStop(error);
    });
    await instance.default({ module_or_path: wasm });
    if (readsDisk()) instance.readFilesWith?.(fetchAny);
    return instance;
  }
}

/** The glue keeps its instance in a module variable; another query string gives another module. @param {number} restarts */
export function scriptAddress(restarts) {
  const address = new URL(glueAddress());
  if (restarts > 0) address.searchParams.set("restart", String(restarts));
  return address.href;
}

/**
 * The result of `coming`, or an error if it takes too long.
 * @template T
 * @param {Promise<T>} coming
 * @returns {Promise<T>}
 */
async function inTime(coming) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const end = new Promise((/** @type {(value: never) => void} */ _, reject) => {
    const tell = () => reject(missing(`The engine's files did not come within ${FETCH_MS / 60_000} minutes.`));
    timer = setTimeout(tell, FETCH_MS);
  });
  try {
    return await Promise.race([coming, end]);
  } finally {
    clearTimeout(timer);
  }
}
