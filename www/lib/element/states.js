// States that pages can style: token-former:state(writing).

const STATES = ["loading", "writing"];

export class States {
  #states;

  /** @param {CustomStateSet | null | undefined} states null if the browser does not support custom states */
  constructor(states) {
    this.#states = states ?? null;
  }

  /** @param {import("./view.js").State} state */
  show(state) {
    try {
      for (const other of STATES) {
        if (other === state) this.#states?.add(other);
        else this.#states?.delete(other);
      }
    } catch {
      this.#states = null; // a browser of before 2024, which wants other names
    }
  }
}
