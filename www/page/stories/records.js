// Where stories are stored: a browser database with one record per story. Packs are stored the same way (../packs).
// Errors reject with what the browser threw; the library (library.js) puts them into words.

import { inTime } from "../../lib/in-time.js";

/** @typedef {import("./story.js").Story} Story */
/**
 * A saved story. `mark` is the last write's name: a tab can tell by it whether another one has written since.
 * @typedef {{ id: string, mark: string, story: Story }} Entry
 */
/**
 * @template {{ id: string }} [E=Entry]
 * @typedef {object} Records
 * @property {() => Promise<E[]>} all
 * @property {(id: string) => Promise<E | undefined>} get
 * @property {(id: string, change: (entry: E | undefined) => E | undefined) => Promise<E | undefined>} update
 *     atomically replaces an entry by the result of `change`; undefined leaves it. Resolves to the previous entry
 * @property {(id: string) => Promise<void>} remove
 */

/** Must not match the names of the engine's databases, which are searched for models. */
const NAME = "tokenformer-stories";
const STORE = "stories";
const VERSION = 1;
/** Timeouts for a browser that does not answer at all: for opening its database, for a transaction. */
const PATIENCE_MS = 5000;
const TRANSACTION_MS = 30_000;

/**
 * The records of this browser.
 * @template {{ id: string }} [E=Entry]
 * @implements {Records<E>}
 */
export class BrowserRecords {
  /** @type {Promise<IDBDatabase> | null} */
  #opening = null;
  #name;
  #store;

  /** @param {string} [name] the database's @param {string} [store] the one that it has */
  constructor(name = NAME, store = STORE) {
    this.#name = name;
    this.#store = store;
  }

  /** @returns {Promise<E[]>} */
  async all() {
    return this.#in("readonly", (store) => answered(store.getAll()));
  }

  /** @param {string} id @returns {Promise<E | undefined>} */
  async get(id) {
    return this.#in("readonly", (store) => answered(store.get(id)));
  }

  /** @param {string} id @param {(entry: E | undefined) => E | undefined} change */
  async update(id, change) {
    return this.#in("readwrite", async (store) => {
      const before = await answered(store.get(id));
      const after = change(before);
      if (after) await answered(store.put(after));
      return before;
    });
  }

  /** @param {string} id */
  async remove(id) {
    await this.#in("readwrite", (store) => answered(store.delete(id)));
  }

  /**
   * Runs `act` in a transaction, and waits for its end.
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => Promise<T>} act
   * @returns {Promise<T>}
   */
  async #in(mode, act) {
    this.#opening ??= opened(this.#name, this.#store, () => (this.#opening = null));
    const opening = this.#opening;
    try {
      const transaction = (await opening).transaction(this.#store, mode);
      const done = ended(transaction);
      done.catch(() => {}); // `act` fails for the same reason
      const work = act(transaction.objectStore(this.#store)).then(async (result) => (await done, { result }));
      const end = await inTime(work, TRANSACTION_MS);
      if (!end) throw new Error("The browser's storage does not answer.");
      return end.result;
    } catch (error) {
      if (this.#opening === opening) this.#opening = null; // the next call tries anew
      throw error;
    }
  }
}

/** @param {string} name @param {string} store @param {() => void} onClose @returns {Promise<IDBDatabase>} */
function opened(name, store, onClose) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("The browser does not open its storage.")), PATIENCE_MS);
    // If storage is turned off, accessing it throws, or it does not exist.
    const request = indexedDB.open(name, VERSION);
    request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: "id" });
    request.onerror = () => (clearTimeout(timer), reject(request.error));
    request.onsuccess = () => {
      clearTimeout(timer);
      const database = request.result;
      database.onclose = onClose;
      // A newer page wants to upgrade the database: do not block it.
      database.onversionchange = () => (database.close(), onClose());
      resolve(database);
    };
  });
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function answered(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
function ended(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}
