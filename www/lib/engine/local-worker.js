// Where no worker can be had: what looks like one and is this thread. The messages are the same, so that a text takes one
// way, wherever the engine runs.

import { EngineService } from "./service.js";
import { IN_STEP } from "./write-ahead.js";

/**
 * @param {import("./engines-of.js").Engines} engines
 * @returns {import("./port.js").WorkerLike}
 */
export function localWorker(engines) {
  // Not within the engine's call: what a listener of the page's throws is no failure of the engine's.
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
