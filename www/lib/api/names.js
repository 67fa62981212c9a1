// From the name that a caller gives to the model's location.

import { invalidArgument } from "../errors.js";
import { typeName } from "./inputs.js";
import { pathAddress, readsDisk, workingFolder } from "../disk.js";
import { EMBEDDED_MODEL, embeddedFolders } from "../locations.js";

const REPOSITORY = /^(?!\.)[A-Za-z0-9._-]+\/(?!\.)[A-Za-z0-9._-]+$/;
const RELATIVE = /^(\/|\.\/|\.\.\/)/;
/** A Windows path. */
const DRIVE = /^[A-Za-z]:[\\/]/;
const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]*:/;
/** Address of the hub if the caller names none. */
export const DEFAULT_ENDPOINT = "https://huggingface.co";
/** An alias of the same hub, which people also copy. */
const SHORT_ENDPOINT = "https://hf.co";
/** Top-level paths of a hub that are not owners. */
const NO_OWNERS =
  /^(api|blog|collections|datasets|docs|join|login|models|organizations|papers|settings|spaces|tasks)$/i;
const FILE = /\.(bin|safetensors|json)$/i;
const HINT =
  'Give "owner/name" for a hub repository, or the address of a model folder: absolute, or beginning with "/", "./" or "../".';

/**
 * Resolves a model's name; nothing is fetched.
 *
 * @param {string | undefined} name undefined for the embedded model
 * @param {string} [baseUri] what relative addresses are resolved against: the document's base URI; outside of a page the
 * working directory, where they are paths
 * @param {string} [endpoint] the hub, without a slash at its end: an address of one of its pages means the repository
 * @returns {{ id: string, repository: string | null, folderUrl: string | null, revision?: string }} a revision where the
 * address has one
 */
export function resolveName(
  name,
  baseUri = globalThis.document?.baseURI ?? globalThis.location?.href ?? workingFolder(),
  endpoint = DEFAULT_ENDPOINT,
) {
  if (name === undefined) return { id: EMBEDDED_MODEL, repository: null, folderUrl: embeddedFolders()[0] };
  if (typeof name !== "string")
    throw invalidArgument(`The model's name must be a string, not ${typeName(name)}.`, HINT);
  if (REPOSITORY.test(name)) return { id: name, repository: name, folderUrl: null };
  const hasFiles = readsDisk() && baseUri?.startsWith("file:") === true;
  if (hasFiles && (RELATIVE.test(name) || DRIVE.test(name))) return folderAt(new URL(pathAddress(name, baseUri)), name);
  if (!RELATIVE.test(name) && !ABSOLUTE.test(name)) {
    throw invalidArgument(`${JSON.stringify(name)} is neither a repository's name nor a folder's address.`, HINT);
  }
  const url = parseUrl(name, RELATIVE.test(name) ? baseUri : undefined, hasFiles);
  if (!url) throw invalidArgument(`${JSON.stringify(name)} is not a usable http or https address.`, HINT);
  const page = ABSOLUTE.test(name) ? hubPage(url, endpoint) : null;
  if (page) return page;
  if (/[?#]/.test(name)) {
    throw invalidArgument(`The folder's address ${JSON.stringify(name)} must have neither "?" nor "#".`, HINT);
  }
  return folderAt(url, name);
}

/** @param {URL} url @param {string} name as given */
function folderAt(url, name) {
  if (FILE.test(url.pathname)) {
    throw invalidArgument(
      `${JSON.stringify(name)} is the address of a file.`,
      `Give the address of the folder, not of the file: ${JSON.stringify(new URL("./", url).href)}.`,
    );
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return { id: url.href, repository: null, folderUrl: url.href };
}

/**
 * The repository that a hub page belongs to: `…/owner/name`, its files (`/tree/main`), one of them (`/blob/main/…`), or
 * that file itself (`/resolve/main/…`). A folder below `/resolve/` is a folder like those of other hosts.
 *
 * @param {URL} url
 * @param {string} endpoint
 */
function hubPage({ href }, endpoint) {
  const bases = endpoint === DEFAULT_ENDPOINT ? [endpoint, SHORT_ENDPOINT] : [endpoint];
  const base = bases.find((base) => href.startsWith(`${base}/`));
  if (base === undefined) return null;
  const [owner, name, kind, revision, ...path] = href
    .slice(base.length + 1)
    .split(/[?#]/)[0]
    .replace(/\/$/, "")
    .split("/")
    .map(decodeSegment);
  const repository = `${owner}/${name}`;
  if (!REPOSITORY.test(repository) || NO_OWNERS.test(owner)) return null;
  if (kind === "resolve" && (path.length !== 1 || !FILE.test(path[0]))) return null;
  const isRevision = ["tree", "blob", "resolve", "commit"].includes(kind) && revision !== undefined;
  return { id: repository, repository, folderUrl: null, ...(isRevision && { revision }) };
}

/**
 * Resolves the name of a file; nothing is fetched.
 *
 * @param {string} what its name in messages
 * @param {string} name "owner/name", a page of a repository, or the file's address
 * @param {{ baseUri?: string, endpoint?: string }} [where]
 * @returns {{ repository: string | null, revision?: string, url: string | null }} a repository, in which the file has its
 *   usual name, or the address of the file
 */
export function resolveFile(
  what,
  name,
  {
    baseUri = globalThis.document?.baseURI ?? globalThis.location?.href ?? workingFolder(),
    endpoint = DEFAULT_ENDPOINT,
  } = {},
) {
  if (REPOSITORY.test(name)) return { repository: name, url: null };
  const hasFiles = readsDisk() && baseUri?.startsWith("file:") === true;
  if (hasFiles && (RELATIVE.test(name) || DRIVE.test(name)))
    return { repository: null, url: new URL(pathAddress(name, baseUri)).href };
  const isAddress = RELATIVE.test(name) || ABSOLUTE.test(name);
  const url = isAddress ? parseUrl(name, RELATIVE.test(name) ? baseUri : undefined, hasFiles) : undefined;
  if (!url)
    throw invalidArgument(
      `${what}: ${JSON.stringify(name)} is neither a repository's name nor a file's address.`,
      'Give "owner/name" for a hub repository, or the address of a file: absolute, or beginning with "/", "./" or "../".',
    );
  const page = ABSOLUTE.test(name) ? hubPage(url, endpoint) : null;
  if (page && !FILE.test(url.pathname)) return { ...page, url: null };
  // The page that shows a file becomes the address of the file itself.
  if (page) url.pathname = url.pathname.replace(/^((?:\/[^/]+)*?\/[^/]+\/[^/]+)\/blob\//, "$1/resolve/");
  return { repository: null, url: url.href };
}

/** @param {string} text */
function decodeSegment(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** True for a model folder that the page serves from local files (page/local-folder.js). @param {unknown} name */
export function isLocalFolder(name) {
  return typeof name === "string" && /(^|\/)local\/~[^/]+\/?$/.test(name);
}

/** The endpoint without its trailing slash, or undefined if it is not one. @param {string} endpoint */
export function normalizeEndpoint(endpoint) {
  if (!/^https?:\/\//i.test(endpoint)) return undefined;
  const url = parseUrl(endpoint);
  if (!url || /[?#]/.test(endpoint)) return undefined;
  return url.href.replace(/\/+$/, "");
}

/** An http(s) URL without credentials, from text without blanks (which URL would silently drop); or a file URL. @param {string} text @param {string} [base] @param {boolean} [hasFiles] */
function parseUrl(text, base, hasFiles = false) {
  if (/[\u0000-\u0020\u007f\\]/.test(text)) return undefined;
  let url;
  try {
    url = new URL(text, base);
  } catch {
    return undefined;
  }
  const plain = /^https?:$/.test(url.protocol) && url.hostname && !url.username && !url.password;
  return plain || (hasFiles && url.protocol === "file:") ? url : undefined;
}
