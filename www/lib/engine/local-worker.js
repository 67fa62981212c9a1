// If no worker is available: a stand-in for a worker that runs in this thread. It uses the same messages, so there is a
// single code path, wherever the engine runs.

import { EngineService } from "./service.js";
import { IN_STEP } from "./write-ahead.js";

/**
 * @param {import("./engines-of.js").Engines} engines
 * @returns {import("./port.js").WorkerLike}
 */
export function localWorker(engines) {
  // Outside of the engine's call: an error in a listener of the page is not the engine's failure.
  const postMessage = (/** @type {import("./service.js").FromEngine} */ data) =>
    queueMicrotask(() => worker.onmessage?.({ data }));
  const service = new EngineService({ postMessage }, engines, IN_STEP);
  /** @type {import("./port.js").WorkerLike} */
  const worker = {
    onmessage: null,
    onerror: null,
    onmessageerror: null,
    pace: IN_STEP,
    postMessage: (message) => service.receive(message),
    terminate: () => service.end(),
  };
  return worker;
}
