// Records of stories as in a browser, for several tabs: stored values are copies, and arrive later.

delete globalThis.BroadcastChannel; // node's keeps the process alive

export class FakeRecords {
  entries = new Map();
  /** What every call rejects with. */
  fault = null;
  /** Each call waits for it. */
  gate = null;

  async #turn() {
    await (this.gate ?? Promise.resolve());
    if (this.fault) throw this.fault;
  }
  async all() {
    await this.#turn();
    return [...this.entries.values()].map((entry) => structuredClone(entry));
  }
  async get(id) {
    await this.#turn();
    return structuredClone(this.entries.get(id));
  }
  async update(id, change) {
    await this.#turn();
    const before = this.entries.get(id);
    const after = change(structuredClone(before));
    if (after) this.entries.set(id, structuredClone(after));
    return structuredClone(before);
  }
  async remove(id) {
    await this.#turn();
    this.entries.delete(id);
  }
}
