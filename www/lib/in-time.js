// Waits for a browser's answer that may never come.

/**
 * The result of `promise`; undefined if that takes too long. Rejects if it does.
 * @template T
 * @param {Promise<T> | undefined} promise
 * @param {number} time in milliseconds
 */
export async function inTime(promise, time) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {Promise<undefined>} */
  const late = new Promise((resolve) => (timer = setTimeout(resolve, time)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
