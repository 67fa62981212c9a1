// Whose turn it is with the model: while something is switched off in it, nothing else may be asked.

export class Turns {
  /** Settles when the model is nobody's. @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * Has the model to itself while `work` runs, after whoever asked before.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  take(work) {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {}); // told to whoever asked
    return turn;
  }
}
