// Databases as the engine leaves them, in the IndexedDB of fake-indexeddb.

import { createHash } from "node:crypto";
import { DATA, DATABASE, MODELS, UNITS } from "../../www/lib/store/database.js";

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function seal(place, record) {
  const json = JSON.stringify(record);
  return `${createHash("sha256").update(`${place}\n${json}`).digest("hex")}${json}`;
}

/** An empty database of this name; others are deleted unless `keep`. */
export async function useStorage(name = DATABASE, { keep = false } = {}) {
  if (!keep) for (const known of await indexedDB.databases()) await done(indexedDB.deleteDatabase(known.name));
  const storage = new Storage(name);
  await storage.again();
  return storage;
}

class Storage {
  #name;

  constructor(name) {
    this.#name = name;
  }

  async #with(work) {
    const request = indexedDB.open(this.#name, 1);
    request.onupgradeneeded = () => [MODELS, UNITS, DATA].forEach((store) => request.result.createObjectStore(store));
    const database = await done(request);
    try {
      return await work((store) => database.transaction(store, "readwrite").objectStore(store));
    } finally {
      database.close();
    }
  }

  again() {
    return this.#with(() => {});
  }

  gone() {
    return done(indexedDB.deleteDatabase(this.#name));
  }

  put(store, key, value) {
    return this.#with((open) => done(open(store).put(value, key)));
  }

  change(store, key, change) {
    return this.#with(async (open) => {
      const value = await done(open(store).get(key));
      await done(open(store).put(change(value), key));
    });
  }

  /** Records and bytes in total. */
  count() {
    return this.#with(async (open) => {
      const counts = await Promise.all([MODELS, UNITS, DATA].map((store) => done(open(store).count())));
      return counts.reduce((a, b) => a + b);
    });
  }

  /** Stores a model with the records that the engine keeps of it; returns its key. */
  async model({
    endpoint = "https://hub.example",
    id,
    commit = "a".repeat(40),
    quantization = "q4",
    plan = "p",
    ...more
  }) {
    const { units = [], ...fields } = more;
    const record = {
      key: { endpoint, id, commit, quantization, plan },
      names: { main: 1 },
      told: {},
      is_converted: false,
      has_tokenizer: false,
      units: units.length,
      is_exact: false,
      bytes: 0,
      complete: false,
      last_used: 0,
      ...fields,
    };
    const key = [endpoint, id, commit, quantization, plan].join("|");
    await this.put(MODELS, key, seal(key, record));
    for (const [i, unit] of units.entries()) {
      const place = `${key}\n${String(i).padStart(8, "0")}`;
      const whole = { sha256: "", source_bytes: unit.len, pieces: [], hash_state: "", ...unit };
      await this.put(UNITS, place, seal(place, whole));
      await this.put(DATA, place, new Uint8Array(1));
    }
    return key;
  }
}
