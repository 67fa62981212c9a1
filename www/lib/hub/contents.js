// What a place contains, found without its weights: version, shape, precision and sizes. Only the header of
// model.safetensors is read.

import { TokenFormerError } from "../errors.js";
import { sha256 } from "../hash.js";
import { apiUrl, ask, drop, fileUrl } from "./requests.js";

/** @typedef {import("./requests.js").Place} Place */
/**
 * @typedef {object} Contents
 * @property {string | null} version the commit, or a hash that names the contents; null if unknown
 * @property {Record<string, unknown> | null} config contents of config.json
 * @property {string | null} quantization of the tables; null for a checkpoint, which is converted while it is loaded
 * @property {number | null} bytes to download; null if the host does not say
 */

const [CONFIG, MANIFEST, TOKENIZER] = ["config.json", "manifest.json", "tokenizer.json"];
const [QUANTIZED, INDEX, CHECKPOINT] = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"];
/** Size limits of a safetensors header and of text files, in bytes; limit for lists of files, in pages. */
const MOST_HEADER = 64 << 20;
const MOST_TEXT = 32 << 20;
const MOST_PAGES = 100;

/** @param {Place} place @param {AbortSignal} [signal] @returns {Promise<Contents>} */
export async function contentsOf(place, signal) {
  const look = new Look(place, signal);
  await look.open();
  return (await look.quantized()) ?? (await look.checkpoint());
}

class Look {
  #place;
  #signal;
  /** Sizes of the files that are known to exist. @type {Map<string, number>} */
  #sizes = new Map();
  /** Whether these are all files. */
  #isComplete = false;
  /** @type {string | null} */
  #version = null;
  /** @type {Record<string, unknown> | null} */
  #config = null;
  /** Bytes of the small files that a load reads as well. */
  #small = 0;

  /** @param {Place} place @param {AbortSignal} [signal] */
  constructor(place, signal) {
    this.#place = place;
    this.#signal = signal;
  }

  /** Requests the basic information first. */
  async open() {
    if (this.#place.repository) await this.#list();
    // First a file that every folder has: a host that answers this is reachable.
    this.#config = await this.#json(CONFIG);
    const manifest = await this.#json(MANIFEST);
    if (manifest?.format !== 1 || !Array.isArray(manifest.files)) return;
    for (const { path, size } of manifest.files) if (!this.#isComplete) this.#sizes.set(path, size);
    const lines = manifest.files.map((/** @type {any} */ file) => `${file.sha256} ${file.path}\n`);
    this.#version ??= await sha256(lines.join(""));
  }

  /** The commit and its files, if the endpoint is a hub. */
  async #list() {
    const about = { what: "What the hub says about the model", signal: this.#signal };
    const answer = await ask(this.#place, apiUrl(this.#place, "revision"), about);
    if (!answer) return;
    const { sha } = await bodyOf(answer, about.what);
    if (!/^[0-9a-f]{40}$/i.test(sha)) throw unreadable(about.what);
    this.#version = sha;
    this.#place = { ...this.#place, revision: sha };
    /** @type {string | undefined} */
    let next = `${apiUrl(this.#place, "tree")}?recursive=true`;
    for (let page = 0; next && page < MOST_PAGES; page += 1) {
      if (!next.startsWith(`${this.#place.endpoint}/`)) throw unreadable(about.what);
      /** @type {Response | null} */
      const files = await ask(this.#place, next, about);
      if (!files) return;
      for (const { type, path, size, lfs } of await bodyOf(files, about.what))
        if (type === "file") this.#sizes.set(path, lfs?.size ?? size);
      next = /<([^>]+)>;\s*rel="?next"?/.exec(files.headers.get("Link") ?? "")?.[1];
    }
    this.#isComplete = !next;
  }

  /** @param {string} path */
  #mayHave(path) {
    return !this.#isComplete || this.#sizes.has(path);
  }

  /** @param {string} path @param {[number, number]} [range] */
  async #ask(path, range) {
    if (!this.#mayHave(path)) return null;
    return ask(this.#place, fileUrl(this.#place, path), { what: path, range, signal: this.#signal });
  }

  /** A small file's JSON; null if there is none. @param {string} path @returns {Promise<any>} */
  async #json(path) {
    const answer = await this.#ask(path);
    if (!answer) return null;
    const text = await textOf(answer, path);
    this.#small += new TextEncoder().encode(text).length;
    try {
      return JSON.parse(text);
    } catch (cause) {
      // The tables of a checkpoint show its shape without it.
      return path === CONFIG ? null : failed("invalid-config", `${path} cannot be read.`, cause);
    }
  }

  /** A folder written by `convert`. @returns {Promise<Contents | null>} */
  async quantized() {
    const single = await this.#header(QUANTIZED);
    const headers = single ? [single] : await this.#shards();
    const tables = headers.flatMap(({ header }) => Object.entries(header));
    const isTable = (/** @type {string} */ name) => /^(embed\.|layers\..*_param_tokens|norm\.)/.test(name);
    // A file with other tensor names is not a model of this project.
    if (!tables.some(([name]) => isTable(name))) return null;
    const quantization = precisionOf(Object.fromEntries(tables));
    const sizes = headers.map(({ path, header }) => this.#sizes.get(path) ?? fileBytes(header));
    const bytes = [...sizes, this.#sizes.get(TOKENIZER) ?? 0, this.#small].reduce((a, b) => a + b, 0);
    return { version: this.#version, config: this.#config, quantization, bytes };
  }

  async #shards() {
    const index = await this.#json(INDEX);
    const names = [...new Set(/** @type {string[]} */ (Object.values(index?.weight_map ?? {})))];
    const missing = (/** @type {string} */ name) => failed("model-not-found", `The model's file ${name} is missing.`);
    return Promise.all(names.map(async (name) => (await this.#header(name)) ?? missing(name)));
  }

  /** The header of a safetensors file, and nothing after it. @param {string} path */
  async #header(path) {
    const first = await this.#ask(path, [0, 7]);
    if (!first) return null;
    let bytes = await beginningOf(first, 8);
    if (bytes.length < 8) return null;
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    // An LFS pointer, a page, or anything else that is not safetensors.
    if (length > MOST_HEADER || length < 2) return null;
    // A host that ignores ranges has sent the file from its start.
    const second = await this.#ask(path, [8, 7 + length]);
    if (!second) return null;
    const before = second.status === 206 ? 0 : 8;
    bytes = (await beginningOf(second, before + length)).subarray(before);
    try {
      return { path, header: { ...JSON.parse(new TextDecoder().decode(bytes)), [HEADER_LENGTH]: length } };
    } catch (cause) {
      return failed("unsupported-checkpoint", `The header of ${path} cannot be read.`, cause);
    }
  }

  /** A published checkpoint. @returns {Promise<Contents>} */
  async checkpoint() {
    const none = () => failed("model-not-found", `There are no weights at ${fileUrl(this.#place, "")}.`);
    if (!this.#mayHave(CHECKPOINT)) return none();
    let bytes = this.#sizes.get(CHECKPOINT) ?? null;
    if (bytes === null) {
      const answer = await this.#ask(CHECKPOINT, [0, 0]);
      if (!answer) return none();
      drop(answer);
      const total = /\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "")?.[1];
      bytes = total === undefined ? null : Number(total);
    }
    return { version: this.#version, config: this.#config, quantization: null, bytes };
  }
}

const HEADER_LENGTH = Symbol("bytes of the header");

/** Size of a safetensors file. @param {Record<string | symbol, any>} header */
function fileBytes(header) {
  const ends = Object.values(header).flatMap((tensor) => tensor?.data_offsets?.[1] ?? []);
  return 8 + header[HEADER_LENGTH] + Math.max(0, ...ends);
}

/** A table's precision, by the bits per number: its packed words have 32 bits. @param {Record<string, any>} tables */
function precisionOf(tables) {
  const packed = Object.keys(tables).find((name) => /_param_tokens\.weight_packed$/.test(name));
  if (packed === undefined) return "f16";
  const words = tables[packed].shape?.[1];
  const groups = tables[packed.replace(/packed$/, "scale")]?.shape?.[1];
  return words / groups === 4 ? "q4" : "q8"; // groups of 32 numbers
}

/** The first `count` bytes of an answer; the rest is not fetched. @param {Response} answer @param {number} count */
async function beginningOf(answer, count) {
  /** @type {Uint8Array[]} */
  const pieces = [];
  let left = count;
  const reader = answer.body?.getReader();
  try {
    while (reader && left > 0) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value.subarray(0, left));
      left -= Math.min(value.length, left);
    }
  } catch (cause) {
    failed("network", "An answer broke off.", cause);
  } finally {
    reader?.cancel().catch(() => {});
  }
  return new Uint8Array(await new Blob(/** @type {BlobPart[]} */ (pieces)).arrayBuffer());
}

/** @param {Response} answer @param {string} what */
async function textOf(answer, what) {
  const bytes = await beginningOf(answer, MOST_TEXT + 1);
  if (bytes.length > MOST_TEXT) throw unreadable(what);
  return new TextDecoder().decode(bytes);
}

/** @param {Response} answer @param {string} what @returns {Promise<any>} */
async function bodyOf(answer, what) {
  try {
    return JSON.parse(await textOf(answer, what));
  } catch {
    throw unreadable(what);
  }
}

/** @param {string} what */
const unreadable = (what) => new TokenFormerError("network", `${what} cannot be read.`);

/** @param {string} code @param {string} message @param {unknown} [cause] @returns {never} */
function failed(code, message, cause) {
  throw new TokenFormerError(code, message, { cause });
}
