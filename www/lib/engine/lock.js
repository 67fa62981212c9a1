// A lock that is granted in the order of the requests.

export class Lock {
  /** Settles when all earlier holders have released. */
  #tail = Promise.resolve();

  /**
   * Waits for the lock.
   * @param {AbortSignal} [signal] aborts the wait
   * @returns {Promise<(() => void) | null>} the function that releases it; null: aborted
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
