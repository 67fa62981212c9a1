// Waiting that the caller can abort.

import { aborted } from "../errors.js";

/**
 * Settles like `promise`, or rejects with an `aborted` error as soon as `signal` aborts, even if both happen together.
 * @template T
 * @param {Promise<T>} promise
 * @param {string} what is being waited for, as the start of a sentence
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
export async function unlessAborted(promise, what, signal) {
  let stop = () => {};
  const abort = new Promise((/** @type {(value: never) => void} */ _, reject) => {
    stop = () => reject(aborted(what, signal?.reason));
  });
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const value = await Promise.race([promise, abort]);
    if (signal?.aborted) throw aborted(what, signal.reason);
    return value;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
