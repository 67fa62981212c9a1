// Engines of this thread's module, in the form that model.js works with: the worker's (port.js) look the same.

import { aborted } from "../errors.js";
import { underPolicy } from "./policy.js";

/**
 * What models are made of, wherever it runs.
 * @typedef {object} Made
 * @property {object} engine the class `Engine` of src/api, or what stands for it
 * @property {"main" | "worker"} thread
 * @property {string} [note] why it is that thread
 * @property {(onStop: (error: unknown) => void) => () => void} watch tells when the engine stops outside of any call
 * @property {() => void} discard the engine stopped: the next load starts a new one
 */

/** Where this thread's engines run. */
const THREAD = globalThis.WorkerGlobalScope ? "worker" : "main";

/** A browser takes as long to find a GPU for the first time as to compile the engine: both are asked for at once. */
async function wakeGpu() {
  try {
    await globalThis.navigator?.gpu?.requestAdapter({ powerPreference: "high-performance" });
  } catch {
    // The engine asks again, and tells.
  }
}

/** The engines that an EngineModule makes. */
export function enginesOf(module) {
  /** @returns {Promise<Made>} */
  const make = (work, backend) => {
    if (backend !== "cpu") wakeGpu();
    return module.run(async (instance) => ({
      engine: await work(instance),
      thread: THREAD,
      watch: (onStop) => module.watch(instance, onStop),
      discard: () => module.discard(),
    }));
  };
  return {
    load: (request, tell, signal) =>
      underPolicy([request.folderUrl, request.endpoint], signal, (signal) =>
        make(({ Engine }) => {
          if (signal.aborted) throw aborted("Loading");
          return Engine.load(request, (progress) => module.callOut(() => tell(progress)), signal);
        }, request.backend),
      ),
    random: (request) => make(({ Engine }) => Engine.random(request)),
    storedModels: () => module.run((instance) => instance.storedModels()),
    deleteModels: (...which) => module.run((instance) => instance.deleteModels(...which)),
  };
}
