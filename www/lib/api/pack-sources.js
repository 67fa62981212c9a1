// Where a token pack may come from: a pack, a file, an address, or a hub repository, which stores it as pack.safetensors.

import { invalidArgument, TokenFormerError, toTokenFormerError } from "../errors.js";
import { underPolicy } from "../engine/policy.js";
import { ask, drop, fileUrl } from "../hub/requests.js";
import { typeName } from "./inputs.js";
import { resolveFile } from "./names.js";
import { TokenPack } from "./token-pack.js";

/** @typedef {import("../../tokenformer.js").PackSource} PackSource */
/** The hub, and the token to access it with. @typedef {{ endpoint: string, token?: string }} Hub */
/** A pack's file, and a name to use if it has none itself. @typedef {{ bytes: Uint8Array, name?: string, strength?: number, fallbackName?: string }} PackBytes */

/** The name of the pack file in a repository. */
const FILE = "pack.safetensors";
/** Upper bound for a pack's size: 256 float32 tokens for each Pattention of the largest published model are 629 MB. */
const MOST_BYTES = 2 ** 30;
/** How often a file is requested if the connection fails, and the delay before the second attempt. */
const TRIES = 3;
const WAIT_MS = 300;

const HINT =
  'Give a TokenPack, a Blob or File, the address of a file (absolute, or beginning with "/", "./" or "../"), or "owner/name".';

/** A reader for the source. Throws `invalid-argument`. @param {string} name of the argument @param {unknown} source @returns {(hub: Hub, signal?: AbortSignal) => Promise<PackBytes>} */
export function packReader(name, source) {
  if (TokenPack.is(source)) {
    const { name, strength } = source;
    return async () => ({ bytes: TokenPack.bytesOf(source), name, strength });
  }
  if (isBlob(source)) return async () => ({ bytes: await bytesOf(source), fallbackName: stem(nameOf(source)) });
  // A pack from another copy of this module.
  const { toBlob } = /** @type {{ toBlob?: unknown }} */ (Object(source));
  if (typeof source === "object" && typeof toBlob === "function")
    return async () => ({ bytes: await bytesOf(toBlob.call(source)) });
  if (typeof source !== "string") throw invalidArgument(`${name} must be a token pack, not ${typeName(source)}.`, HINT);
  resolveFile(name, source); // what is wrong with it is told before anything is fetched
  return (hub, signal) => fetched(name, source, hub, signal);
}

/** Whether a source can only be identified by the object itself: as part of a cache key it needs a number. @param {unknown} source */
export function isObjectSource(source) {
  return TokenPack.is(source) || isBlob(source) || typeof Object(source).toBlob === "function";
}

/** By its tag: it may come from another frame. @param {unknown} value @returns {value is Blob} */
function isBlob(value) {
  return ["[object Blob]", "[object File]"].includes(Object.prototype.toString.call(value));
}

/** @param {Blob} blob */
function nameOf(blob) {
  return "name" in blob ? String(blob.name) : "";
}

/** @param {Blob} blob */
async function bytesOf(blob) {
  if (blob.size > MOST_BYTES) throw tooLarge(nameOf(blob) || "The file");
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    const error = toTokenFormerError(cause);
    if (error.code === "out-of-memory") throw error;
    throw invalidArgument(`${nameOf(blob) || "The file"} cannot be read.`, "Choose the file once more.");
  }
}

/** @param {string} argument @param {string} source @param {Hub} hub @param {AbortSignal} [signal] @returns {Promise<PackBytes>} */
async function fetched(argument, source, { endpoint, token }, signal) {
  const { repository, revision, url } = resolveFile(argument, source, { endpoint });
  const place = { repository, folderUrl: url, endpoint, revision: revision ?? "main", token };
  const address = repository ? fileUrl(place, FILE) : /** @type {string} */ (url);
  const what = repository ? `${FILE} of ${repository}` : "The token pack";
  for (let tries = 1; ; tries++) {
    try {
      const response = await underPolicy([address], signal, (signal) => ask(place, address, { what, signal }));
      if (!response) throw missing(address, repository);
      const fallbackName = repository ? repository.split("/")[1] : stem(new URL(address).pathname);
      return { bytes: await bodyOf(response, what), fallbackName };
    } catch (error) {
      const isPassing = toTokenFormerError(error).code === "network" && !signal?.aborted;
      if (!isPassing || tries === TRIES || globalThis.navigator?.onLine === false) throw error;
      await new Promise((resolve) => setTimeout(resolve, tries * WAIT_MS));
    }
  }
}

/** @param {string} address @param {string | null} repository */
function missing(address, repository) {
  return new TokenFormerError("model-not-found", `There is no token pack at ${address}.`, {
    hint: repository
      ? `Check the spelling; the repository must have the file ${FILE} on its main branch.`
      : "Check the spelling of the address.",
  });
}

/** @param {Response} response @param {string} what */
async function bodyOf(response, what) {
  /** @type {Uint8Array[]} */
  const pieces = [];
  let count = 0;
  try {
    const reader = response.body?.getReader();
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done || !value) break;
      count += value.length;
      if (count > MOST_BYTES) break;
      pieces.push(value);
    }
  } catch (cause) {
    throw new TokenFormerError("network", `${what} broke off while it was fetched.`, { cause });
  }
  if (count > MOST_BYTES) {
    drop(response);
    throw tooLarge(what);
  }
  return new Uint8Array(await new Blob(/** @type {BlobPart[]} */ (pieces)).arrayBuffer());
}

/** @param {string} what */
function tooLarge(what) {
  return new TokenFormerError("invalid-config", `${what} is no token pack: it has more than a gigabyte.`);
}

/** A pack name from a file's name, without folder and extension; nothing if none is left. @param {string} path */
function stem(path) {
  const last = path.split("/").at(-1) ?? "";
  const name = /** @type {RegExpExecArray} */ (/^(.*?)(\.pack)?(\.safetensors)?$/su.exec(decoded(last)))[1].trim();
  return name === "" ? undefined : name.slice(0, 120);
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
