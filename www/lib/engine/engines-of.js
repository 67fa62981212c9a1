// Engines in this thread's module, for its EngineService.

import { readsDisk } from "../disk.js";
import { aborted } from "../errors.js";
import { underPolicy } from "./policy.js";

/**
 * A loaded engine: the class `Engine` of src/api.
 * @typedef {object} Made
 * @property {import("../../tokenformer-web.js").Engine} engine
 * @property {(onStop: (error: unknown) => void) => () => void} watch reports an engine that stops outside of any call
 */

/** The first GPU lookup takes a browser as long as compiling the engine: start both at once. */
async function wakeGpu() {
  try {
    await globalThis.navigator?.gpu?.requestAdapter({ powerPreference: "high-performance" });
  } catch {
    // The engine asks again, and reports the error.
  }
}

/** @typedef {import("../../tokenformer-web.js").Request} Request */
/** @typedef {import("./module.js").Instance} Instance */
/** @typedef {ReturnType<typeof enginesOf>} Engines */

/** The engines created by an EngineModule. @param {import("./module.js").EngineModule} module */
export function enginesOf(module) {
  /**
   * @param {(instance: Instance) => Promise<Made["engine"]>} work
   * @param {unknown} [backend] where it runs
   * @returns {Promise<Made>}
   */
  const make = (work, backend) => {
    if (backend !== "cpu") wakeGpu();
    return module.run(async (instance) => ({
      engine: await work(instance),
      watch: (onStop) => module.watch(instance, onStop),
    }));
  };
  return {
    /**
     * @param {Request & { folderUrl?: string | null, endpoint?: string }} request
     * @param {(progress: import("../../tokenformer.js").LoadProgress) => void} tell
     * @param {AbortSignal} [signal]
     */
    load: (request, tell, signal) =>
      underPolicy([request.folderUrl, request.endpoint], signal, (signal) =>
        make(({ Engine }) => {
          if (signal.aborted) throw aborted("Loading");
          // Outside of a page nothing is stored, so do not report it.
          const keeps = !readsDisk() || Boolean(globalThis.indexedDB);
          return Engine.load(keeps ? request : { ...request, cache: false }, tell, signal);
        }, request.backend),
      ),
    /** @param {Request} request */
    random: (request) => make(({ Engine }) => Engine.random(request)),
  };
}
