// Where the files of one build lie, found from this module's own address, so that a build works under any path and from
// another origin. The folder above lib/ is that of tokenformer.js.
//
// import.meta.url stands in `new URL("…", import.meta.url)` alone: a bundler makes an address of the site of that, but may
// make an address of the developer's disk of import.meta.url by itself.

import { EMBEDDED } from "./embedded.js";

/** Name of the model that ships with the build. */
export const EMBEDDED_MODEL = EMBEDDED.name;

/** Address of the WebAssembly file: this one a bundler shall copy. */
export const ENGINE_WASM = new URL("../tokenformer-web_bg.wasm", import.meta.url).href;

/**
 * The folder that holds what is not in a bundle. As it was built, that is where the WebAssembly file lies. A bundler gives it
 * another name among its assets: then it is the folder above the bundle's, where `own` tells one, or else the page's, as it
 * is for whatever is said to be on the disk, unless the page is there as well.
 * @param {string} wasm address of the WebAssembly file
 * @param {string | undefined} own address of this file, where the browser tells it; some bundlers make an asset of it
 * @param {string | undefined} page address of the document, where there is one
 * @returns {URL}
 */
export function rootOf(wasm, own, page) {
  // Where a server renders the page, bundlers give addresses without an origin.
  const file = new URL(wasm, page ?? "file:///");
  const isOfDisk = (/** @type {string | URL} */ address) => new URL(address).protocol === "file:";
  const isUsable = (/** @type {string | URL} */ address) => page === undefined || isOfDisk(page) || !isOfDisk(address);
  if (/\/tokenformer-web_bg\.wasm$/.test(file.pathname) && isUsable(file)) return new URL("./", file);
  if (own && /\/locations\.js$/.test(own) && isUsable(own)) return new URL("../", own);
  return new URL("./", page ?? file);
}

// In backquotes, since scripts/name-build.mjs shall not name it: nothing is fetched from this address.
const ROOT = rootOf(ENGINE_WASM, import.meta.resolve?.(`./locations.js`), globalThis.document?.baseURI);

/** Address of the embedded model's folder. */
export const EMBEDDED_FOLDER = new URL(`models/${EMBEDDED_MODEL}/`, ROOT).href;

/** Address of the wasm-bindgen glue. */
export const ENGINE_SCRIPT = new URL("tokenformer-web.js", ROOT).href;

/** Address of the worker's script, for pages of another origin. */
export const WORKER_SCRIPT = new URL("lib/engine-worker.js", ROOT).href;
