// A lock that is handed on in the order of asking.

export class Lock {
  /** Settles when everybody who asked so far has released. */
  #tail = Promise.resolve();

  /**
   * Waits for the lock.
   * @param {AbortSignal} [signal] gives up waiting
   * @returns {Promise<(() => void) | null>} the function that releases it; null: gave up
   */
  async acquire(signal) {
    if (signal?.aborted) return null;
    const before = this.#tail;
    let release = () => {};
    /** @type {Promise<void>} */
    const held = new Promise((resolve) => (release = resolve));
    this.#tail = before.then(() => held);
    if (!signal) {
      await before;
      return release;
    }
    let giveUp = () => {};
    /** @type {Promise<void>} */
    const abort = new Promise((resolve) => (giveUp = resolve));
    signal.addEventListener("abort", giveUp, { once: true });
    await Promise.race([before, abort]);
    signal.removeEventListener("abort", giveUp);
    if (!signal.aborted) return release;
    release(); // whoever is next then waits for `before` alone
    return null;
  }
}
