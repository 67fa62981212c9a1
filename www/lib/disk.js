// Outside of a page, in Node.js and Deno: addresses of local files, which `fetch` does not read there.

/** The part of Node's `process` that both have. @typedef {{ cwd(): string, versions?: { node?: string }, platform?: string }} Process */

/** The process, if there is one and no page. @returns {Process | undefined} */
function outside() {
  const { process } = /** @type {{ process?: Process }} */ (/** @type {unknown} */ (globalThis));
  return !globalThis.document && process?.versions?.node ? process : undefined;
}

/** True if files on disk are read by their addresses. */
export function readsDisk() {
  return outside() !== undefined;
}

/** Address of the working directory; undefined in a page. */
export function workingFolder() {
  const process = outside();
  return process && pathAddress(`${process.cwd()}/`, "file:///");
}

/** Address of a path on disk, in which every character is taken literally. @param {string} path @param {string} base */
export function pathAddress(path, base) {
  const isWindows = outside()?.platform === "win32";
  const encoded = path.replace(/[%?#\u0000-\u0020\u007f]/g, encodeURIComponent);
  if (!isWindows) return new URL(encoded.replaceAll("\\", "%5C"), base).href;
  return new URL(encoded.replace(/^(?=[a-z]:)/i, "/"), base).href;
}

/**
 * Like `fetch`, but also answers for files on disk as a server would, including ranges.
 * @param {string} url
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export function fetchAny(url, init) {
  return url.startsWith("file:") && readsDisk() ? readFile(url, init) : fetch(url, init);
}

/** @param {string} url @param {RequestInit} [init] @returns {Promise<Response>} */
async function readFile(url, { headers, signal } = {}) {
  const { createReadStream, promises } = await nodeModule("fs");
  const { Readable } = await nodeModule("stream");
  const path = new URL(url);
  const found = await promises.stat(path).catch((/** @type {{ code?: string }} */ error) => error);
  if (!("size" in found)) {
    const isAbsent = ["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(found.code ?? "");
    return new Response(null, { status: isAbsent ? 404 : 403 });
  }
  if (!found.isFile()) return new Response(null, { status: 404 });
  const { size, mtime } = found;
  const told = { "Last-Modified": mtime.toUTCString(), ...typeOf(path.pathname) };
  const range = /^bytes=(\d+)-(\d*)$/.exec(new Headers(headers).get("Range") ?? "");
  const [first, last] = range ? [Number(range[1]), Math.min(Number(range[2] || size - 1), size - 1)] : [0, size - 1];
  if (range && first > last)
    return new Response(null, { status: 416, headers: { "Content-Range": `bytes */${size}` } });
  const part = { "Content-Length": String(last - first + 1) };
  const answer = range
    ? { status: 206, headers: { ...told, ...part, "Content-Range": `bytes ${first}-${last}/${size}` } }
    : { status: 200, headers: { ...told, ...part } };
  if (size === 0) return new Response(new Uint8Array(), answer);
  const stream = createReadStream(path, {
    start: first,
    end: last,
    highWaterMark: 1 << 20,
    signal: signal ?? undefined,
  });
  return new Response(/** @type {ReadableStream} */ (Readable.toWeb(stream)), answer);
}

/** @param {string} path @returns {Record<string, string>} */
const typeOf = (path) => (path.endsWith(".wasm") ? { "Content-Type": "application/wasm" } : {});

/** A built-in module of Node, imported by a name that bundlers for browsers do not follow. @param {string} name @returns {Promise<any>} */
function nodeModule(name) {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ `node:${name}`);
}
