// Creates the engine's worker, in one of several ways: a bundler, another origin or a policy may rule some of them out.

import { IS_SINGLE_FILE, workerSource } from "../distribution.js";
import { assets, isOwnOrigin, workerAddress, workerInWords } from "../locations.js";

/** A way to create a worker. @typedef {{ from: string, make: () => Promise<Worker> | Worker }} Way `from`: where its script is, in words */

/**
 * The ways, in the order to try. A file of the page's own origin comes first: a policy without `blob:` allows it.
 * @returns {Way[]}
 */
export function workerWays() {
  const address = workerAddress();
  /** @type {Way} */
  const bundled = {
    from: workerInWords(),
    // Written so that bundlers can follow it.
    make: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
  };
  /** @type {Way} */
  const file = address === null ? bundled : { from: address, make: () => workerAt(address) };
  const source = workerSource;
  /** @type {Way[]} */
  const text = source ? [{ from: "its text", make: async () => blobWorker(await source(), {}) }] : [];
  const isFileFirst = !IS_SINGLE_FILE && (address === null || isOwnOrigin(address));
  // The folder that the page names may lack a worker that the bundle has.
  const last = address !== null && assets() ? [bundled] : [];
  return isFileFirst ? [file, ...text, ...last] : [...text, file, ...last];
}

/** @param {string} address */
function workerAt(address) {
  return isOwnOrigin(address) ? moduleWorker(address) : importingWorker(address);
}

/** @param {string} address */
function moduleWorker(address) {
  return new Worker(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ address, {
    type: "module",
  });
}

/** A worker must come from the page's own origin, but its imports need not. @param {string} address */
function importingWorker(address) {
  return blobWorker(`import ${JSON.stringify(address)};`, { type: "module" });
}

/** @param {string} source @param {WorkerOptions} options */
function blobWorker(source, options) {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(address, options);
  worker.addEventListener("message", () => URL.revokeObjectURL(address), { once: true });
  return worker;
}
