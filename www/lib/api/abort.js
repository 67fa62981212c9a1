// Waiting that its caller can end.

import { aborted } from "../errors.js";

/**
 * `promise`, or an `aborted` error as soon as `signal` says so, also where it came at the same time.
 * @template T
 * @param {Promise<T>} promise
 * @param {string} what is waited for, to begin a sentence
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
