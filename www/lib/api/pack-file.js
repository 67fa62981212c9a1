// The header of a token pack's file, a safetensors file: what it says about the pack. The engine reads and checks the
// tensors (src/packs/file.rs).

import { TokenFormerError } from "../errors.js";

/** @typedef {import("../../tokenformer.js").PackKind} PackKind */
/** @typedef {import("../../tokenformer.js").PackBase} PackBase */
/** @typedef {import("../../tokenformer.js").PackTraining} PackTraining */
/**
 * What a file says about its pack.
 * @typedef {object} PackHeader
 * @property {string | null} name null if the file has none
 * @property {number} strength
 * @property {PackKind[]} kinds those that have tokens, in their usual order
 * @property {number} tokens of a Pattention, the maximum over all of them
 * @property {PackBase | null} base
 * @property {PackTraining | null} training
 */

/** The kinds of Pattention that a pack can add tokens to, in their usual order. @type {readonly PackKind[]} */
export const KINDS = Object.freeze(["query", "key", "value", "proj", "mlp"]);

const FORMAT = "tokenformer-pack";
const VERSION = "1";
/** A header has a few hundred bytes per tensor, plus the losses of its training. */
const MOST_HEADER = 16 << 20;
const TENSOR = /^layers\.\d+\.([a-z]+)\.key_tokens$/;

/** Bytes before the tensors, and the header itself. Throws `invalid-config` if it is not a pack's. @param {Uint8Array} bytes @returns {{ length: number, header: Record<string, any> }} */
function parse(bytes) {
  if (bytes.length < 10) throw noPack("it is too short");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > MOST_HEADER || 8 + length > bytes.length) throw noPack("it does not begin as a safetensors file does");
  /** @type {unknown} */
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch (cause) {
    throw noPack("its header cannot be read", cause);
  }
  const told = /** @type {Record<string, any>} */ (Object(header));
  const { format, version } = Object(told.__metadata__);
  if (format !== FORMAT) throw noPack(`its header does not name the format ${FORMAT}`);
  if (version !== VERSION)
    throw new TokenFormerError(
      "invalid-config",
      `The token pack has version ${version}; this build reads ${VERSION}.`,
      {
        hint: "Use a newer build of this module.",
      },
    );
  return { length: 8 + length, header: told };
}

/** What a file says about its pack. Throws `invalid-config`. @param {Uint8Array} bytes @returns {PackHeader} */
export function readHeader(bytes) {
  const { length, header } = parse(bytes);
  const { __metadata__: told, ...tensors } = header;
  const ends = Object.values(tensors).map((tensor) => Number(tensor?.data_offsets?.[1] ?? 0));
  if (length + Math.max(0, ...ends) > bytes.length) throw noPack("its end is missing");
  const found = Object.entries(tensors).flatMap(([name, tensor]) => {
    const kind = TENSOR.exec(name)?.[1];
    return kind === undefined ? [] : [{ kind, count: Number(tensor?.shape?.[0] ?? 0) }];
  });
  const strength = Number(told.strength ?? 1);
  return {
    name: typeof told.name === "string" && told.name.trim() !== "" ? told.name : null,
    strength: Number.isFinite(strength) ? strength : 1,
    kinds: KINDS.filter((kind) => found.some((one) => one.kind === kind)),
    tokens: Math.max(0, ...found.map(({ count }) => count)),
    base: json(told.base),
    training: json(told.training),
  };
}

/** Whether a file begins as a pack's does. @param {Blob} blob */
export async function isPackFile(blob) {
  try {
    const [length] = new BigUint64Array(await blob.slice(0, 8).arrayBuffer());
    if (length > MOST_HEADER) return false;
    const { __metadata__: told } = JSON.parse(await blob.slice(8, 8 + Number(length)).text());
    return told?.format === FORMAT;
  } catch {
    return false;
  }
}

/** The same file with another name and strength in its header. @param {Uint8Array} bytes @param {{ name: string, strength: number }} told @returns {Uint8Array} */
export function withTold(bytes, { name, strength }) {
  const { length, header } = parse(bytes);
  if (header.__metadata__.name === name && Number(header.__metadata__.strength ?? 1) === strength) return bytes;
  const metadata = { ...header.__metadata__, name, strength: String(strength) };
  const text = new TextEncoder().encode(JSON.stringify({ ...header, __metadata__: metadata }));
  const padded = 8 * Math.ceil(text.length / 8); // tensors begin at a multiple of 8 bytes
  const written = new Uint8Array(8 + padded + bytes.length - length).fill(0x20, 8, 8 + padded);
  new DataView(written.buffer).setBigUint64(0, BigInt(padded), true);
  written.set(text, 8);
  written.set(bytes.subarray(length), 8 + padded);
  return written;
}

/** A metadata entry that holds a JSON object; null if there is none. @param {unknown} text @returns {any} */
function json(text) {
  try {
    const value = JSON.parse(String(text ?? "null"));
    return typeof value === "object" ? value : null;
  } catch {
    return null; // it is for people only
  }
}

/** @param {string} why @param {unknown} [cause] */
function noPack(why, cause) {
  return new TokenFormerError("invalid-config", `This is no token pack: ${why}.`, {
    hint: "Give a file that model.train() made, or one of the same format.",
    cause,
  });
}
