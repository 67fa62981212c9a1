// Requests to a hub or a static host, made once, and the meaning of their answers. (The engine makes its own requests
// when it loads: src/hub, which also retries.)

import { fetchAny } from "../disk.js";
import { TokenFormerError } from "../errors.js";

/**
 * Where a model's files are: a folder's address with a trailing slash, or a repository of a hub.
 * @typedef {object} Place
 * @property {string | null} folderUrl
 * @property {string | null} repository
 * @property {string} endpoint
 * @property {string} revision
 * @property {string} [token]
 */

/** A revision may be a branch name with a slash, which the hub wants encoded. @param {string} text */
const segment = (text) => text.replace(/[%/?#]/g, encodeURIComponent);

/** Address of a file. @param {Place} place @param {string} path */
export function fileUrl({ folderUrl, repository, endpoint, revision }, path) {
  return repository ? `${endpoint}/${repository}/resolve/${segment(revision)}/${path}` : `${folderUrl}${path}`;
}

/** Address of the hub's information about a repository's revision. @param {Place} place @param {"revision" | "tree"} call */
export function apiUrl({ repository, endpoint, revision }, call) {
  return `${endpoint}/api/models/${repository}/${call}/${segment(revision)}`;
}

/**
 * An answer, or null if there is nothing at that address; throws for any other error.
 * @param {Place} place
 * @param {string} url
 * @param {{ what: string, range?: [first: number, last: number], signal?: AbortSignal }} about `what`: in words, or a file's name
 * @returns {Promise<Response | null>}
 */
export async function ask(place, url, { what, range, signal }) {
  const response = await send(place, url, range, signal).catch((cause) => {
    throw unreachable(what, url, cause, signal);
  });
  // Hosts of single-page apps answer every missing path with their page.
  const isPage = response.ok && response.headers.get("Content-Type")?.startsWith("text/html");
  if (response.ok && !isPage) return response;
  drop(response);
  if (isPage) return null;
  const error = refusal(place, what, response);
  if (error) throw error;
  return null;
}

/** The rest of the answer is not needed. @param {Response} response */
export function drop(response) {
  response.body?.cancel().catch(() => {});
}

/** @param {Place} place @param {string} url @param {[number, number] | undefined} range @param {AbortSignal} [signal] */
async function send({ repository, endpoint, token }, url, range, signal) {
  /** @type {Record<string, string>} */
  const headers = {};
  // For addresses of extensions Chromium sends only the range, but with status 200, as if it were the whole file.
  if (range && /^(https?|file):/.test(url)) headers.Range = `bytes=${range[0]}-${range[1]}`;
  // The token is sent to the endpoint only.
  if (token && repository && url.startsWith(`${endpoint}/`)) headers.Authorization = `Bearer ${token}`;
  return fetchAny(url, { cache: "no-store", referrerPolicy: "no-referrer", credentials: "omit", signal, headers });
}

/** @param {string} what @param {string} url @param {unknown} cause @param {AbortSignal} [signal] */
function unreachable(what, url, cause, signal) {
  if (signal?.reason instanceof TokenFormerError) return signal.reason;
  if (signal?.aborted) return new TokenFormerError("aborted", "Asking for the model was aborted.", { cause });
  const isOffline = globalThis.navigator?.onLine === false;
  const message = isOffline
    ? `This device is offline, so ${what} could not be fetched.`
    : `${what} at ${hostOf(url)} could not be fetched: the connection failed.`;
  return new TokenFormerError("network", message, { cause });
}

/** @param {string} url */
const hostOf = (url) => new URL(url).host || url;

/** What is wrong with an answer; null if it only means that there is no such file. @param {Place} place @param {string} what @param {Response} response */
function refusal({ repository, endpoint, folderUrl, token }, what, { status, headers }) {
  const where = repository ? `${repository} on ${hostOf(endpoint)}` : folderUrl;
  const code = headers.get("X-Error-Code");
  const make = (/** @type {string} */ code, /** @type {string} */ message) =>
    new TokenFormerError(code, `${message} (HTTP ${status}).`);
  if (code === "EntryNotFound") return null;
  if (code === "RevisionNotFound") return make("model-not-found", `The repository ${where} has no such revision`);
  if (code === "GatedRepo") return make("unauthorized", `The repository ${where} is gated`);
  // This is how the hub answers for a repository that does not exist.
  if (code === "RepoNotFound" || (status === 401 && repository && !token))
    return make("model-not-found", `There is no repository ${where}, or it is private`);
  if (status === 401 && repository) return make("unauthorized", "The hub does not accept the access token");
  if (status === 401 || status === 403) return make("unauthorized", `Access to ${what} of ${where} was refused`);
  if (status === 429) return make("rate-limited", "The hub asks to wait before more is requested");
  if ([404, 405, 410, 501].includes(status)) return null;
  return make("network", `${what} of ${where} could not be fetched`);
}
