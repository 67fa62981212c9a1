// Where the files of one build are: in the folder that the page names, or relative to this module's own address.
//
// import.meta.url only occurs in `new URL("…", import.meta.url)`: bundlers turn that into an address of the site, but
// may turn import.meta.url by itself into an address on the developer's disk.

import { MODEL_PACKAGE, PACKAGE, VERSION, workerIn } from "./distribution.js";
import { EMBEDDED } from "./embedded.js";
import { invalidArgument } from "./errors.js";

/** Name of the model that ships with the build. */
export const EMBEDDED_MODEL = EMBEDDED.name;

/** Address of the WebAssembly file in a folder. @param {URL | string} ROOT */
const wasmIn = (ROOT) => new URL("tokenformer-web_bg.wasm", ROOT).href;

/** Where bundlers put copied files, below the site's root: files copied by hand are in the root, not beside these. */
const ASSET_FOLDERS =
  /\/(_next\/static\/[^/]+|static\/(media|js|wasm)|_app\/immutable\/[^/]+|_nuxt|_astro|build\/_assets|assets)\/$/;

/**
 * Address of the WebAssembly file according to the bundler, or beside this module; "" if the module has no address.
 * Bundlers find the file by this expression.
 */
const BUNDLED_WASM = (() => {
  try {
    return new URL("../tokenformer-web_bg.wasm", import.meta.url).href;
  } catch {
    // A classic script has no import.meta, but during its first run the document knows its address.
    const script = /** @type {HTMLScriptElement | null | undefined} */ (globalThis.document?.currentScript)?.src;
    return script ? wasmIn(script) : "";
  }
})();

/** The base for relative addresses; undefined outside of a browser. */
const base = () => globalThis.document?.baseURI ?? globalThis.location?.href;

/** The value assigned to `TokenFormer.assets`. @type {URL | null} */
let assigned = null;

/** The folder of all files that are not in the bundle, if the page names one: assigned, or in a script's `data-assets`. @returns {URL | null} */
export function assets() {
  if (assigned) return assigned;
  const written = globalThis.document?.querySelector?.("script[data-assets]")?.getAttribute("data-assets");
  return written ? folderAt(written) : null;
}

/** Sets that folder; null or "" removes it. Throws `invalid-argument`. @param {string | URL | null | undefined} folder */
export function setAssets(folder) {
  assigned = (folder ?? "") === "" ? null : folderAt(folder);
}

/** @param {unknown} folder @returns {URL} */
function folderAt(folder) {
  const hint = 'Give the folder\'s address: absolute, or relative to the page, as in "/tokenformer-web/".';
  if (typeof folder !== "string" && !(folder instanceof URL))
    throw invalidArgument("assets must be a string or a URL.", hint);
  /** @type {URL} */
  let url;
  try {
    url = new URL(folder, base());
  } catch {
    throw invalidArgument(`assets is no address: ${JSON.stringify(folder)}.`, hint);
  }
  if (url.search || url.hash)
    throw invalidArgument(`assets must have neither "?" nor "#": ${JSON.stringify(String(folder))}.`, hint);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/** @typedef {{ wasm: string, page?: string, version?: string }} Place `wasm`: address of the WebAssembly file; `page`: the base for relative addresses */

const isOfDisk = (/** @type {string | undefined} */ address) => /^file:/.test(address ?? "");

/** The folder into which Vite's development server bundles packages; the path before it is the server's root. */
const OPTIMIZED = /^(.*)\/node_modules\/\.[^/]+\/deps[^/]*\/[^/]*$/;

/**
 * The WebAssembly file's own address, if usable: an address on the disk where a bundle was made is of no use to a page.
 * Vite's development server bundles packages into a folder of its own, but leaves their files where they are.
 * @param {Place} place
 * @returns {URL | null}
 */
function addressOf({ wasm, page }) {
  if (wasm === "" || (isOfDisk(wasm) && page !== undefined && !isOfDisk(page))) return null;
  // With server-side rendering, bundlers give addresses without an origin.
  const url = new URL(wasm, page ?? "file:///");
  const [, root] = OPTIMIZED.exec(url.pathname) ?? [];
  return root === undefined ? url : new URL(wasmIn(new URL(`${root}/node_modules/${PACKAGE}/`, url)));
}

/** Whether a file has its name from the build, so that its companion files may be beside it. @param {URL} url */
const hasOwnName = (url) => /\/tokenformer-web_bg\.wasm$/.test(url.pathname);

/** Addresses of the WebAssembly file, in the order to try. @param {Place} place @returns {string[]} */
export function wasmPlaces(place) {
  const first = addressOf(place);
  const beside = place.page === undefined ? undefined : wasmIn(place.page);
  return [...new Set([first?.href, beside])].filter((address) => address !== undefined);
}

/**
 * Folders that may hold the embedded model, in the order to try.
 *
 * In the original build, `models/` is beside the code; in an npm package, it is in the model's package, which is beside
 * the code's package, on a CDN at the same version. A bundler renames the code's files: then it is where files were
 * copied, in the site's root, the bundle's folder, or the page's folder.
 * @param {Place} place
 * @returns {string[]}
 */
export function modelPlaces({ wasm, page, version = VERSION }) {
  const file = addressOf({ wasm, page });
  /** @type {URL[]} */
  const roots = [];
  if (file) {
    const folder = new URL("./", file);
    const sibling = siblingOf(folder, page, version);
    const site = folder.pathname.replace(ASSET_FOLDERS, "/");
    if (sibling) roots.push(sibling);
    if (!hasOwnName(file)) roots.push(new URL(site, folder));
    roots.push(folder);
  }
  if (page !== undefined && (file === null || isOfSite(file, page)))
    roots.push(new URL("./", page), new URL("/", page));
  return [...new Set(roots.map(({ href }) => `${href}models/${EMBEDDED_MODEL}/`))];
}

/** @param {URL} url @param {string} page */
const isOfSite = (url, page) => url.origin === new URL(page).origin;

/**
 * The folder of the model's package beside the code's: in node_modules, or on a CDN, whose addresses have versions.
 * @param {URL} folder @param {string | undefined} page @param {string} version
 */
function siblingOf(folder, page, version) {
  const [, before, given, after] = new RegExp(`^(.*/(?:npm:)?)${PACKAGE}(@[^/]*)?/(.*)$`).exec(folder.pathname) ?? [];
  if (before === undefined || version === "" || (after !== "" && given === undefined)) return null;
  const isVersioned = given !== undefined || (page !== undefined && !isOfSite(folder, page));
  const at = isVersioned && !before.endsWith("/node_modules/") ? `@${version}` : "";
  return new URL(`${before}${MODEL_PACKAGE}${at}/`, folder);
}

/** Addresses passed to a worker: it has no document to find anything by. @type {string[] | null} */
let told = null;

/** For a worker: sets the addresses of the WebAssembly file, from the page. @param {string[]} addresses */
export function tellWasmAddresses(addresses) {
  told = addresses;
}

/** The file's address according to Vite's development server. @type {string | null} */
let located = null;

const here = () => ({ wasm: located || BUNDLED_WASM, page: base() });

/**
 * Asks Vite's development server where the package is, which may be above its root: importing a file's address from the
 * server returns it. Await this before looking for any file; null if there is nothing to ask.
 * @returns {Promise<void> | null}
 */
export function locate() {
  if (located !== null || !/\/node_modules\/\.[^/]+\/deps/.test(BUNDLED_WASM)) return null;
  const file = new URL(BUNDLED_WASM, base());
  const [, root] = OPTIMIZED.exec(file.pathname) ?? [];
  const question = new URL(`${root}/@id/${PACKAGE}/tokenformer-web_bg.wasm?import&url`, file).href;
  return import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ question).then(
    ({ default: address }) => void (located = new URL(address, file).href),
    () => void (located = ""), // another server: it is guessed
  );
}

/** Addresses of the WebAssembly file, in the order to try. @returns {string[]} */
export function wasmAddresses() {
  if (told) return told;
  const ROOT = assets();
  return ROOT ? [wasmIn(ROOT)] : wasmPlaces(here());
}

/** Address of the wasm-bindgen glue, for an import that no bundler follows. @returns {string} */
export function glueAddress() {
  const ROOT = new URL("./", wasmAddresses()[0]); // of a worker that is a blob, what the page told it
  return new URL("tokenformer-web.js", ROOT).href;
}

/**
 * Address of the worker's script, if it is not the one that a bundler finds by its expression: in the folder that the
 * page names, on another origin, or in a package bundled by Vite's development server.
 * @returns {string | null}
 */
export function workerAddress() {
  const ROOT = assets();
  if (ROOT) return workerIn(ROOT);
  const file = addressOf(here());
  // Some bundlers write the address without an origin.
  const isAsWritten = file?.href === (BUNDLED_WASM && new URL(BUNDLED_WASM, base()).href);
  if (!file || (isAsWritten && isOwnOrigin(file))) return null;
  return workerIn(new URL("./", file));
}

/** Where a bundler finds the worker's script, in words: its address if that is informative. */
export function workerInWords() {
  const file = addressOf(here());
  return file && hasOwnName(file) ? workerIn(new URL("./", file)) : "its script in the bundle";
}

/** Whether the browser can start a worker from there. @param {string | URL} address */
export const isOwnOrigin = (address) => new URL(address, base()).origin === globalThis.origin;

/** The folder in which the embedded model was found last. @type {string | null} */
let answered = null;

/** Folders that may hold the embedded model, in the order to try. @returns {string[]} */
export function embeddedFolders() {
  const folder = assets();
  if (folder) return [new URL(`models/${EMBEDDED_MODEL}/`, folder).href];
  return answered ? [answered] : modelPlaces(here());
}

/** From now on the embedded model is loaded from this folder, unless the page names another one. @param {string} folder */
export function rememberEmbeddedFolder(folder) {
  answered = folder;
}
