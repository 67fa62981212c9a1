// Fetches and starts the WebAssembly engine, once, when the first model is loaded.

import { isTrap, stopped, TokenFormerError, toTokenFormerError } from "./errors.js";
import { ENGINE_SCRIPT, ENGINE_WASM } from "./locations.js";

let starting = null;
let restarts = 0;
/** What is called when an instance stops outside of any call, by module. */
const watchers = new WeakMap();
/** Callbacks of the page's that the engine is in the middle of. */
let callingOut = 0;

/** An object, so that tests can put another engine in its place. */
export const engineModule = {
  /** The running engine's module: `{ Engine }`. */
  load() {
    starting ??= start().catch((error) => {
      starting = null;
      throw error;
    });
    return starting;
  },

  /** After a trap: the next load starts a new instance, since the old one's memory cannot be trusted. */
  discard() {
    starting = null;
    restarts += 1;
  },

  /**
   * An asynchronous call goes on in a microtask. What it throws there reaches nobody who waits for the call, only
   * the page's error event: from there it is handed to `onStop`. Returns the function that ends the watch.
   */
  watch(module, onStop) {
    if (!watchers.has(module)) watchers.set(module, new Set());
    watchers.get(module).add(onStop);
    return () => watchers.get(module).delete(onStop);
  },

  /** Runs a callback of the page's for the engine. What it throws is the page's mistake, and is told as such. */
  callOut(callback) {
    callingOut += 1;
    try {
      callback();
    } catch (error) {
      globalThis.reportError?.(error);
    } finally {
      callingOut -= 1;
    }
  },
};

/** Runs `work(module)` once the module runs; rejects if the module stops meanwhile, and the next load starts another. */
export async function runInEngine(work) {
  const module = await engineModule.load();
  let unwatch;
  const stop = new Promise((_, reject) => (unwatch = engineModule.watch(module, (error) => reject(stopped(error)))));
  try {
    return await Promise.race([work(module), stop]);
  } catch (error) {
    if (isTrap(error) || (error instanceof TokenFormerError && error.code === "device-lost")) engineModule.discard();
    throw toTokenFormerError(error);
  } finally {
    unwatch();
  }
}

async function start() {
  // The glue keeps its instance in a module variable; another query makes another module.
  const script = restarts === 0 ? ENGINE_SCRIPT : `${ENGINE_SCRIPT}?restart=${restarts}`;
  const [module, wasm] = await Promise.all([import(script), fetchWasm()]);
  globalThis.addEventListener?.("error", ({ error }) => {
    // The stack of everything that this instance does leads through its glue; so does that of a callback.
    if (callingOut > 0 || !String(error?.stack).includes(`${script}:`)) return;
    for (const onStop of [...(watchers.get(module) ?? [])]) onStop(error);
  });
  await module.default({ module_or_path: wasm });
  return module;
}

async function fetchWasm() {
  const response = await fetch(ENGINE_WASM);
  if (response.ok) return response;
  throw new TokenFormerError("network", `The engine's file ${ENGINE_WASM} cannot be fetched (status ${response.status}).`, {
    hint: "Put all files of the build into one folder of the server, next to tokenformer.js.",
  });
}
