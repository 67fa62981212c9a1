// The database in which the engine stores models, for code without an engine: reads and deletes, but never creates it.
//
// Names and formats are those of src/store, which writes it; tests/js/stored.test.mjs compares them. As everywhere, no
// transaction waits for a load in progress, and no lock is taken: a load notices at its end what was deleted meanwhile.

import { inTime } from "../in-time.js";

/** Version of the records of a stored model; each format has its own database. */
export const FORMAT = 3;
/** Name of the databases of all formats, followed by the format from 3 on. */
export const NAME = "tokenformer-web";
/** The database of this format. */
export const DATABASE = `${NAME} ${FORMAT}`;
/** Object stores: records of models, records of their units, and the units' bytes. */
export const [MODELS, UNITS, DATA] = ["models", "units", "data"];

/** Time limits for opening a database or listing all, and for a transaction. */
const OPENING_MS = 5_000;
const TRANSACTION_MS = 30_000;

/** A record as written, by its key. @typedef {{ key: string, text: string }} Stored */

/** The browser's IndexedDB; null if it offers none. */
function factory() {
  try {
    return globalThis.indexedDB ?? null;
  } catch {
    return null; // a page that may not even ask
  }
}

/** The databases of other formats: those that the browser lists, else the one that every old version used. */
export async function otherDatabases() {
  /** @type {(string | undefined)[]} */
  let names = [NAME];
  try {
    const told = await inTime(factory()?.databases(), OPENING_MS);
    if (told) names = told.map(({ name }) => name);
  } catch {
    // Older browsers cannot list databases.
  }
  const isOther = (/** @type {string | undefined} */ name) =>
    name !== undefined && name !== DATABASE && name.startsWith(NAME) && /^ ?\d*$/.test(name.slice(NAME.length));
  return /** @type {string[]} */ (names.filter(isOther));
}

/** The models' records; null if there is no such database, or it cannot be read. @param {string} [name] @returns {Promise<Stored[] | null>} */
export async function storedRecords(name = DATABASE) {
  return inDatabase(name, (database) => read(database, MODELS)).catch(() => null);
}

/** The records of a model's units and tokenizer. @param {string} model the model's key @returns {Promise<Stored[]>} */
export async function unitRecords(model) {
  const found = await inDatabase(DATABASE, (database) => read(database, UNITS, everythingOf(model))).catch(() => null);
  return found ?? [];
}

/** Deletes a model with everything that belongs to it. Rejects if that fails. @param {string} model its key @param {string} [name] */
export async function deleteRecords(model, name = DATABASE) {
  await inDatabase(name, (database) =>
    transact(database, [MODELS, UNITS, DATA], "readwrite", (store) => {
      // The record first: the remains of an interrupted deletion are then no longer a model.
      store(MODELS).delete(model);
      for (const part of [UNITS, DATA]) store(part).delete(everythingOf(model));
      return [];
    }),
  );
}

/** @param {string} model */
const everythingOf = (model) => IDBKeyRange.bound(`${model}\n`, `${model}\n\uffff`);

/** @param {IDBDatabase} database @param {string} store @param {IDBKeyRange} [range] @returns {Promise<Stored[]>} */
async function read(database, store, range) {
  const [keys, texts] = await transact(database, [store], "readonly", (open) => [
    open(store).getAllKeys(range),
    open(store).getAll(range),
  ]);
  return keys.flatMap((key, i) =>
    typeof key === "string" ? { key, text: typeof texts[i] === "string" ? texts[i] : "" } : [],
  );
}

/**
 * The result of `work` for a database, null if there is none. Safari loses its storage process now and then: a new
 * connection works.
 * @template T
 * @param {string} name
 * @param {(database: IDBDatabase) => Promise<T>} work
 * @returns {Promise<T | null>}
 */
async function inDatabase(name, work) {
  for (let attempt = 0; ; attempt += 1) {
    const database = await open(name);
    if (!database) return null;
    try {
      return [...database.objectStoreNames].includes(MODELS) ? await work(database) : null;
    } catch (error) {
      const isLost = ["InvalidStateError", "UnknownError"].includes(/** @type {Error} */ (error)?.name);
      if (!isLost || attempt > 0) throw error;
    } finally {
      database.close();
    }
  }
}

/** A connection to an existing database; null if there is none, or the browser does not answer. @param {string} name @returns {Promise<IDBDatabase | null>} */
function open(name) {
  return new Promise((resolve) => {
    let isOver = false;
    const end = (/** @type {IDBDatabase | null} */ database) => {
      if (isOver) return database?.close();
      isOver = true;
      clearTimeout(timer);
      // Deleting the database need not wait for this connection.
      database?.addEventListener("versionchange", () => database.close());
      resolve(database);
    };
    const timer = setTimeout(end, OPENING_MS, null);
    try {
      const request = factory()?.open(name);
      if (!request) return end(null);
      // There is none: do not create it.
      request.addEventListener("upgradeneeded", () => request.transaction?.abort());
      request.addEventListener("success", () => end(request.result));
      request.addEventListener("error", (event) => {
        event.preventDefault();
        end(null);
      });
    } catch {
      end(null);
    }
  });
}

/**
 * Results of the requests that `work` makes in one transaction.
 * @param {IDBDatabase} database
 * @param {string[]} stores
 * @param {IDBTransactionMode} mode
 * @param {(store: (name: string) => IDBObjectStore) => IDBRequest[]} work
 * @returns {Promise<any[][]>}
 */
async function transact(database, stores, mode, work) {
  const transaction = database.transaction(stores, mode);
  const requests = work((name) => transaction.objectStore(name));
  /** @type {Promise<true>} */
  const complete = new Promise((resolve, reject) => {
    transaction.addEventListener("complete", () => resolve(true));
    transaction.addEventListener("abort", () => reject(transaction.error ?? new Error("The transaction was aborted")));
  });
  if (!(await inTime(complete, TRANSACTION_MS))) throw new Error("The browser's storage does not answer");
  return requests.map((request) => request.result);
}
