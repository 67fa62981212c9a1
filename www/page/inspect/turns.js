// Turns with the model: while something is switched off in it, other questions wait.

export class Turns {
  /** Settles when the model is free. @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * Gives the model to `work` alone, after all earlier requests. Rejects with the signal's reason if it is aborted by then.
   * @template T
   * @param {() => Promise<T>} work
   * @param {AbortSignal} signal
   * @returns {Promise<T>}
   */
  take(work, signal) {
    const turn = this.#last.then(() => {
      if (signal.aborted) throw signal.reason;
      return work();
    });
    this.#last = turn.catch(() => {}); // the caller gets it
    return turn;
  }
}
