// Whose turn it is with the model: while something is switched off in it, nothing else may be asked.

export class Turns {
  /** Settles when nobody has the model. @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * Gives the model to `work` alone, after everyone who asked before. Rejects with the signal's reason if it is aborted by then.
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
