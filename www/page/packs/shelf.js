// The token packs of this browser: saved ones, and those of this visit. Enabled packs are active in the page's model,
// if they fit a model of that shape.

import { toTokenFormerError } from "../../lib/errors.js";
import { freeName } from "../../lib/free-name.js";
import { TokenPack } from "../../lib/api/token-pack.js";
import { newId } from "../stories/story.js";

/** @typedef {import("../../tokenformer.js").TokenFormer} Model */
/** @typedef {import("../../tokenformer.js").TokenPack} AnyPack */
/** The saved record of a pack. @typedef {{ id: string, name: string, strength: number, isOn: boolean, addedAt: number, bytes: ArrayBuffer }} Kept */
/**
 * An entry of the list.
 * @typedef {object} Entry
 * @property {string} id
 * @property {string} name unique
 * @property {number} strength
 * @property {boolean} isOn
 * @property {boolean} isKept otherwise it is dropped after the visit
 * @property {number} addedAt milliseconds since 1970
 * @property {TokenPack | null} pack null until fetched
 * @property {string | null} address its source, if a link named it
 * @property {string} fault why it is not active; "" if nothing is wrong
 */

export class Shelf {
  #records;
  #onChange;
  #onFault;
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** @type {Model | null} */
  #model = null;
  /** Packs that this shelf added to the model: the pack's id by its name there. @type {Map<string, string>} */
  #added = new Map();
  /** Settles once active packs have been added, and others removed. */
  #settled = Promise.resolve();
  #isSettling = false;
  #isStale = false;

  /**
   * @param {import("../stories/records.js").Records<Kept>} records
   * @param {{ onChange: () => void, onFault: (sentence: string) => void }} told
   */
  constructor(records, { onChange, onFault }) {
    this.#records = records;
    this.#onChange = onChange;
    this.#onFault = onFault;
  }

  /** In the order of their names. */
  get entries() {
    return [...this.#entries.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  /** @param {string} id */
  get(id) {
    return this.#entries.get(id);
  }

  /** Whether a pack fits the page's model, as far as known. @param {Entry} entry */
  fits({ pack }) {
    const shape = pack?.base?.shape;
    const config = this.#model?.info.config;
    if (!shape || !config) return true;
    return ["num_layers", "hidden_size"].every((name) => shape[name] === undefined || shape[name] === config[name]);
  }

  /** Loads the saved packs: another tab may have changed them. */
  async read() {
    try {
      const kept = await this.#records.all();
      const ids = new Set(kept.map(({ id }) => id));
      for (const { id, isKept } of this.#entries.values()) if (isKept && !ids.has(id)) this.#entries.delete(id);
      for (const { bytes, ...record } of kept) if (!this.#entries.has(record.id)) this.#takeOver(record, bytes);
    } catch {
      this.#onFault("The browser does not say which packs are saved here.");
    }
    this.#settle();
  }

  /** @param {Omit<Kept, "bytes">} record @param {ArrayBuffer} bytes */
  #takeOver(record, bytes) {
    try {
      const name = this.#freeName(record.name);
      const pack = new TokenPack(new Uint8Array(bytes), { name, strength: record.strength });
      this.#entries.set(record.id, { ...record, name, isKept: true, pack, address: null, fault: "" });
    } catch {
      // Saved by another version of this page: leave it for that one.
    }
  }

  /** Packs that a link names: they are fetched once a model is loaded, for this visit. @param {string[]} addresses */
  link(addresses) {
    for (const address of addresses) {
      const entry = { ...this.#begun(this.#freeName(shortName(address)), null), address };
      this.#entries.set(entry.id, entry);
    }
    this.#settle();
  }

  /** Adds a pack for this visit, active at once. @param {AnyPack} pack @returns {Promise<Entry>} */
  async add(pack) {
    const name = this.#freeName(pack.name);
    const bytes = new Uint8Array(await pack.toBlob().arrayBuffer());
    const own = new TokenPack(bytes, { name, strength: pack.strength, training: pack.training ?? undefined });
    const entry = this.#begun(name, own);
    this.#entries.set(entry.id, entry);
    await this.#settle();
    return entry;
  }

  /** Adds a pack's file and saves it. Throws if the file is invalid. @param {Blob} file @param {string} [fallbackName] @returns {Promise<Entry>} */
  async open(file, fallbackName) {
    const entry = await this.add(new TokenPack(new Uint8Array(await file.arrayBuffer()), { fallbackName }));
    await this.keep(entry.id);
    return entry;
  }

  /** @param {string} name @param {TokenPack | null} pack @returns {Entry} */
  #begun(name, pack) {
    const id = newId();
    const strength = pack?.strength ?? 1;
    return { id, name, strength, isOn: true, isKept: false, addedAt: Date.now(), pack, address: null, fault: "" };
  }

  /** Saves a pack for the next visit. Returns whether that worked. @param {string} id */
  async keep(id) {
    const entry = this.#entries.get(id);
    if (!entry?.pack) return false;
    entry.isKept = await this.#write(entry);
    this.#onChange();
    return entry.isKept;
  }

  /** @param {string} id @param {{ strength?: number, isOn?: boolean }} change */
  async change(id, change) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    Object.assign(entry, change, { fault: "" });
    await this.#settle();
    if (entry.isKept) await this.#write(entry);
  }

  /** Removes a pack; resolves to a function that brings it back. @param {string} id */
  async remove(id) {
    const entry = this.#entries.get(id);
    if (!entry) return async () => {};
    this.#entries.delete(id);
    if (entry.isKept) await this.#records.remove(id).catch(() => this.#onFault("The browser did not delete it."));
    await this.#settle();
    return async () => {
      this.#entries.set(id, { ...entry, name: this.#freeName(entry.name) });
      await this.#settle();
      if (entry.isKept) await this.keep(id);
    };
  }

  /** Sets the page's model, or none. Later calls of the model use its packs. @param {Model | null} model */
  attach(model) {
    if (this.#model === model) return;
    this.#model = model;
    this.#added.clear();
    for (const entry of this.#entries.values()) entry.fault = "";
    return this.#settle();
  }

  /** Updates the model to match the list; repeats if the list changes meanwhile. */
  #settle() {
    this.#onChange();
    this.#isStale = true;
    if (!this.#isSettling) this.#settled = this.#settleAll();
    return this.#settled;
  }

  async #settleAll() {
    this.#isSettling = true;
    while (this.#isStale) {
      this.#isStale = false;
      const model = this.#model;
      if (!model) break;
      // All changes are queued before anything is awaited: a text requested next comes after them.
      const gone = [...this.#added].filter(([name, id]) => this.#entries.get(id)?.name !== name);
      await Promise.all([
        ...gone.map(([name]) => this.#take(model, name)),
        ...this.entries.map((entry) => this.#bring(model, entry)),
      ]);
      this.#onChange();
    }
    this.#isSettling = false;
  }

  /** @param {Model} model @param {Entry} entry */
  async #bring(model, entry) {
    const there = this.#added.get(entry.name) === entry.id;
    const isWanted = entry.isOn && entry.fault === "" && this.fits(entry);
    if (!isWanted) return there ? this.#take(model, entry.name) : undefined;
    const { strength } = entry;
    try {
      if (there) {
        const now = model.packs.find(({ name }) => name === entry.name);
        if (now && now.strength !== strength) await model.setPack(entry.name, { strength });
        return;
      }
      this.#added.set(entry.name, entry.id);
      const source = entry.pack ?? /** @type {string} */ (entry.address);
      const added = /** @type {TokenPack} */ (await model.addPack(source, { name: entry.name, strength }));
      entry.pack ??= added;
    } catch (thrown) {
      if (this.#model !== model) return; // it was disposed
      this.#added.delete(entry.name);
      const { message, hint } = toTokenFormerError(thrown);
      entry.fault = `${message} ${hint}`;
    }
  }

  /** @param {Model} model @param {string} name */
  async #take(model, name) {
    this.#added.delete(name);
    await model.removePack(name).catch(() => {}); // a model that is gone has none
  }

  /** @param {Entry} entry */
  async #write({ id, name, strength, isOn, addedAt, pack }) {
    try {
      const bytes = await /** @type {TokenPack} */ (pack).toBlob().arrayBuffer();
      await this.#records.update(id, () => ({ id, name, strength, isOn, addedAt, bytes }));
      return true;
    } catch {
      this.#onFault(`The browser did not save “${name}”: its storage is full or switched off. Save it as a file.`);
      return false;
    }
  }

  /** @param {string} name */
  #freeName(name) {
    const used = new Set([...this.#entries.values()].map((entry) => entry.name));
    return freeName(name, (one) => used.has(one));
  }
}

/** The name of a pack from its address: the repository's name, or the file's. @param {string} address */
function shortName(address) {
  if (/^[^/:]+\/[^/]+$/.test(address)) return address;
  const file = address.split(/[?#]/)[0].split("/").at(-1) ?? "";
  return file.replace(/(\.pack)?\.safetensors$/, "").slice(0, 100) || "pack";
}
