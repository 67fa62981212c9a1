// Engines of this thread's module, for its EngineService.

import { aborted } from "../errors.js";
import { underPolicy } from "./policy.js";

/**
 * A loaded engine: the class `Engine` of src/api.
 * @typedef {object} Made
 * @property {any} engine
 * @property {(onStop: (error: unknown) => void) => () => void} watch tells when the engine stops outside of any call
 */

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
      watch: (onStop) => module.watch(instance, onStop),
    }));
  };
  return {
    load: (request, tell, signal) =>
      underPolicy([request.folderUrl, request.endpoint], signal, (signal) =>
        make(({ Engine }) => {
          if (signal.aborted) throw aborted("Loading");
          return Engine.load(request, tell, signal);
        }, request.backend),
      ),
    random: (request) => make(({ Engine }) => Engine.random(request)),
    storedModels: () => module.run((instance) => instance.storedModels()),
    deleteModels: (...which) => module.run((instance) => instance.deleteModels(...which)),
  };
}
