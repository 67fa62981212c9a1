// Stored models as shown to users: one entry per model, version and precision, whichever version of this program stored
// it.

import { TokenFormerError } from "../errors.js";
import { sha256 } from "../hash.js";
import { DATABASE, deleteRecords, otherDatabases, storedRecords, unitRecords } from "./database.js";

/** @typedef {import("../../tokenformer.js").StoredModel} StoredModel */
/** @typedef {{ endpoint: string, id: string, commit: string, quantization: string, plan: string }} Key */
/**
 * A record of src/store/mod.rs.
 * @typedef {object} ModelRecord
 * @property {Key} key
 * @property {Record<string, number>} names branches and tags by which it was requested, each with the time of the last request
 * @property {Record<string, unknown>} told its shape as far as its files define it
 * @property {boolean} is_converted whether the caller chose its precision
 * @property {boolean} has_tokenizer
 * @property {number} units
 * @property {number} bytes
 * @property {boolean} complete
 * @property {number} last_used milliseconds since 1970
 */
/** A model with its location. @typedef {StoredModel & { endpoint: string, names: string[], key: string, database: string }} Entry */

/** Hexadecimal digits of the hash that precedes every record. */
export const SEAL_LENGTH = 64;

/** The value stored under `key`; null if the text was changed since. @param {string} key @param {string} text @returns {Promise<any>} */
export async function unseal(key, text) {
  const [seal, json] = [text.slice(0, SEAL_LENGTH), text.slice(SEAL_LENGTH)];
  const hash = await sha256(`${key}\n${json}`);
  if (seal.length < SEAL_LENGTH || (hash !== null && hash !== seal)) return null;
  return parsed(json);
}

/** @param {string} json @returns {any} */
function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/** Parses a key from its text. @param {string} text @returns {Key | null} */
export function parseKey(text) {
  // From its end: an address may contain any character.
  const [, endpoint, id, commit, quantization, plan] =
    /^([^|]*)\|([^]*)\|([^|]*)\|(q4|q8|f16)\|([^|]*)$/.exec(text) ?? [];
  return plan === undefined ? null : { endpoint, id, commit, quantization, plan };
}

/** The records of this format that are readable, and the keys of the damaged ones. */
async function ownRecords() {
  /** @type {ModelRecord[]} */
  const models = [];
  /** @type {string[]} */
  const damaged = [];
  for (const { key, text } of (await storedRecords()) ?? []) {
    /** @type {ModelRecord | null} */
    const record = await unseal(key, text);
    if (record?.key?.id !== undefined) models.push(record);
    else damaged.push(key);
  }
  return { models, damaged };
}

/** The models that this version can load, whole or in part. Without storage there are none. */
export async function modelRecords() {
  return (await ownRecords()).models;
}

/** Bytes that were downloaded for what is stored of a model. @param {Key} key */
export async function downloadedBytes(key) {
  return sum(await units(textOf(key)), "source_bytes");
}

/** @param {Key} key */
const textOf = ({ endpoint, id, commit, quantization, plan }) => [endpoint, id, commit, quantization, plan].join("|");

/** @param {string} model */
async function units(model) {
  const found = await Promise.all((await unitRecords(model)).map(({ key, text }) => unseal(key, text)));
  return found.filter((unit) => Number.isFinite(unit?.len));
}

/** @param {any[]} all @param {string} field */
const sum = (all, field) => all.reduce((total, one) => total + one[field], 0);

/** Everything that is stored, by any version of this program. @returns {Promise<Entry[]>} */
async function entries() {
  const { models, damaged } = await ownRecords();
  /** @type {Entry[]} */
  const all = models.map((record) => entryOf(record, textOf(record.key), DATABASE));
  for (const key of damaged) {
    const known = parseKey(key);
    // Its bytes still take up space.
    if (known) all.push(entryOf({ key: known, bytes: sum(await units(key), "len") }, key, DATABASE));
  }
  for (const database of await otherDatabases())
    for (const { key, text } of (await storedRecords(database)) ?? []) {
      // With or without a seal, and only the fields that all formats share. It cannot be loaded here.
      const record = parsed(text.slice(text.indexOf("{")));
      if (typeof record?.key?.id === "string") all.push(entryOf({ ...record, complete: false }, key, database));
    }
  return all;
}

/** @param {Omit<Partial<ModelRecord>, "key"> & { key: Partial<Key> & { id: string }, requested?: string }} record @param {string} key @param {string} database @returns {Entry} */
function entryOf(record, key, database) {
  const { id, commit = "", quantization = "", endpoint = "" } = record.key;
  const { bytes = 0, complete = false, last_used: lastUsed = 0, names = {}, requested = "" } = record;
  const called = [...Object.keys(names), requested];
  const precision = /** @type {StoredModel["quantization"]} */ (quantization);
  return {
    id,
    revision: commit,
    quantization: precision,
    bytes,
    complete,
    lastUsed,
    endpoint,
    names: called,
    key,
    database,
  };
}

/** All stored models, last used first: a model stored under several plans or formats is listed once. @returns {Promise<StoredModel[]>} */
export async function storedModels() {
  /** @type {Map<string, StoredModel>} */
  const list = new Map();
  for (const { endpoint, id, revision, quantization, bytes, complete, lastUsed } of await entries()) {
    const name = JSON.stringify([endpoint, id, revision, quantization]);
    const known = list.get(name) ?? { id, revision, quantization, bytes: 0, complete: false, lastUsed: 0 };
    list.set(name, {
      ...known,
      bytes: known.bytes + bytes,
      complete: known.complete || complete,
      lastUsed: Math.max(known.lastUsed, lastUsed),
    });
  }
  return [...list.values()].sort((a, b) => b.lastUsed - a.lastUsed);
}

/**
 * Deletes the stored models of this name, limited to a revision (a commit, or a branch that was requested) and
 * precision if given; returns the bytes freed.
 * @param {string} id
 * @param {string} [revision]
 * @param {string} [quantization]
 */
export async function deleteModels(id, revision, quantization) {
  let freed = 0;
  for (const entry of (await entries()).filter((entry) => isMeant(entry, id, revision, quantization)))
    try {
      await deleteRecords(entry.key, entry.database);
      freed += entry.bytes;
    } catch (cause) {
      // Deleting what other versions stored may fail.
      if (entry.database === DATABASE)
        throw new TokenFormerError("quota", "The browser's storage cannot be used.", {
          hint: "Private windows and blocked site data have none.",
          cause,
        });
    }
  return freed;
}

/** @param {Entry} entry @param {string} id @param {string} [revision] @param {string} [quantization] */
function isMeant(entry, id, revision, quantization) {
  const isHash = /^([0-9a-f]{40}|[0-9a-f]{64})$/i;
  // A folder has no branches: only a content hash distinguishes its versions.
  const isOfRevision =
    revision === undefined ||
    revision === entry.revision ||
    (entry.endpoint === "" && !isHash.test(revision)) ||
    entry.names.includes(revision);
  return entry.id === id && isOfRevision && (quantization === undefined || quantization === entry.quantization);
}
