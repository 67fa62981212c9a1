// From the name that a caller gives to the place of the model.

import { invalidArgument } from "./errors.js";
import { typeName } from "./inputs.js";
import { EMBEDDED_FOLDER, EMBEDDED_MODEL } from "./locations.js";

const REPOSITORY = /^(?!\.)[A-Za-z0-9._-]+\/(?!\.)[A-Za-z0-9._-]+$/;
const RELATIVE = /^(\/|\.\/|\.\.\/)/;
const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]*:/;
const HINT =
  'Give "owner/name" for a hub repository, or the address of a model folder: absolute, or beginning with "/", "./" or "../".';

/**
 * Resolves a model's name; nothing is fetched.
 *
 * @param {string | undefined} name nothing for the embedded model
 * @param {string} [baseUri] what relative addresses are resolved against: the document's base URI
 * @returns {{ id: string, repository: string | null, folderUrl: string | null }}
 */
export function resolveName(name, baseUri = globalThis.document?.baseURI ?? globalThis.location?.href) {
  if (name === undefined) return { id: EMBEDDED_MODEL, repository: null, folderUrl: EMBEDDED_FOLDER };
  if (typeof name !== "string")
    throw invalidArgument(`The model's name must be a string, not ${typeName(name)}.`, HINT);
  if (REPOSITORY.test(name)) return { id: name, repository: name, folderUrl: null };
  if (!RELATIVE.test(name) && !ABSOLUTE.test(name)) {
    throw invalidArgument(`${JSON.stringify(name)} is neither a repository's name nor a folder's address.`, HINT);
  }
  const url = parseUrl(name, RELATIVE.test(name) ? baseUri : undefined);
  if (!url) throw invalidArgument(`${JSON.stringify(name)} is not a usable http or https address.`, HINT);
  if (/[?#]/.test(name)) {
    throw invalidArgument(`The folder's address ${JSON.stringify(name)} must have neither "?" nor "#".`, HINT);
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return { id: url.href, repository: null, folderUrl: url.href };
}

/** The endpoint without its last slash, or undefined where it is none. */
export function normalizeEndpoint(endpoint) {
  if (!/^https?:\/\//i.test(endpoint)) return undefined;
  const url = parseUrl(endpoint);
  if (!url || /[?#]/.test(endpoint)) return undefined;
  return url.href.replace(/\/+$/, "");
}

/** An http(s) URL without credentials, from text without blanks (which URL would silently drop). */
function parseUrl(text, base) {
  if (/[\u0000-\u0020\u007f\\]/.test(text)) return undefined;
  let url;
  try {
    url = new URL(text, base);
  } catch {
    return undefined;
  }
  const plain = /^https?:$/.test(url.protocol) && url.hostname && !url.username && !url.password;
  return plain ? url : undefined;
}
