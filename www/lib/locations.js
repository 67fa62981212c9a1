// Where the files of one build lie: in the folder that the page names, or where this module's own address leads.
//
// import.meta.url stands in `new URL("…", import.meta.url)` alone: a bundler makes an address of the site of that, but may
// make an address of the developer's disk of import.meta.url by itself.

import { MODEL_PACKAGE, PACKAGE, VERSION, workerIn } from "./distribution.js";
import { EMBEDDED } from "./embedded.js";
import { invalidArgument } from "./errors.js";

/** Name of the model that ships with the build. */
export const EMBEDDED_MODEL = EMBEDDED.name;

/** Address of the WebAssembly file in a folder. @param {URL | string} ROOT */
const wasmIn = (ROOT) => new URL("tokenformer-web_bg.wasm", ROOT).href;

/** Where bundlers put what they copy, below the site's root: there, and not beside the file, lies what was copied by hand. */
const ASSET_FOLDERS =
  /\/(_next\/static\/[^/]+|static\/(media|js|wasm)|_app\/immutable\/[^/]+|_nuxt|_astro|build\/_assets|assets)\/$/;

/**
 * Address of the WebAssembly file as a bundler made it, or beside this module; "" where the module has no address.
 * Bundlers find the file by these words.
 */
const BUNDLED_WASM = (() => {
  try {
    return new URL("../tokenformer-web_bg.wasm", import.meta.url).href;
  } catch {
    // A classic script has no import.meta, but while it runs first, the document knows it.
    const script = /** @type {HTMLScriptElement | null | undefined} */ (globalThis.document?.currentScript)?.src;
    return script ? wasmIn(script) : "";
  }
})();

/** What relative addresses are resolved against; undefined outside of a browser. */
const base = () => globalThis.document?.baseURI ?? globalThis.location?.href;

/** What was assigned to `TokenFormer.assets`. @type {URL | null} */
let assigned = null;

/** The folder of all files that are not in the bundle, if the page names one: assigned, or in a script's `data-assets`. @returns {URL | null} */
export function assets() {
  if (assigned) return assigned;
  const written = globalThis.document?.querySelector?.("script[data-assets]")?.getAttribute("data-assets");
  return written ? folderAt(written) : null;
}

/** Names that folder; null or "" takes it back. Throws `invalid-argument`. @param {string | URL | null | undefined} folder */
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

/** @typedef {{ wasm: string, page?: string, version?: string }} Place `wasm`: address of the WebAssembly file; `page`: what relative addresses are resolved against */

const isOfDisk = (/** @type {string | undefined} */ address) => /^file:/.test(address ?? "");

/** The folder into which Vite's development server bundles packages; what stands before is its root. */
const OPTIMIZED = /^(.*)\/node_modules\/\.[^/]+\/deps[^/]*\/[^/]*$/;

/**
 * The WebAssembly file's own address, where it can be one: an address of the disk where a bundle was made is nothing to a
 * page. Vite's development server bundles packages into a folder of its own, and leaves their files where they are.
 * @param {Place} place
 * @returns {URL | null}
 */
function addressOf({ wasm, page }) {
  if (wasm === "" || (isOfDisk(wasm) && page !== undefined && !isOfDisk(page))) return null;
  // Where a server renders the page, bundlers give addresses without an origin.
  const url = new URL(wasm, page ?? "file:///");
  const [, root] = OPTIMIZED.exec(url.pathname) ?? [];
  return root === undefined ? url : new URL(wasmIn(new URL(`${root}/node_modules/${PACKAGE}/`, url)));
}

/** Whether a file has the name that it has in the build, so that what belongs to it may lie beside it. @param {URL} url */
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
 * As it was built, `models/` lies beside the code; of a package, in the package of the model, which lies beside that of the
 * code, on a CDN at the same version. A bundler renames the code's files: then it is what was copied to the site's root, to
 * the bundle's folder, or to the page's.
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
 * The folder of the model's package beside that of the code: in node_modules, or on a CDN, whose addresses have versions.
 * @param {URL} folder @param {string | undefined} page @param {string} version
 */
function siblingOf(folder, page, version) {
  const [, before, given, after] = new RegExp(`^(.*/(?:npm:)?)${PACKAGE}(@[^/]*)?/(.*)$`).exec(folder.pathname) ?? [];
  if (before === undefined || version === "" || (after !== "" && given === undefined)) return null;
  const isVersioned = given !== undefined || (page !== undefined && !isOfSite(folder, page));
  const at = isVersioned && !before.endsWith("/node_modules/") ? `@${version}` : "";
  return new URL(`${before}${MODEL_PACKAGE}${at}/`, folder);
}

/** What a worker was told: it has no document to find anything by. @type {string[] | null} */
let told = null;

/** For a worker: the page says where the WebAssembly file is. @param {string[]} addresses */
export function tellWasmAddresses(addresses) {
  told = addresses;
}

/** Where Vite's development server says that the file is. @type {string | null} */
let located = null;

const here = () => ({ wasm: located || BUNDLED_WASM, page: base() });

/**
 * Asks Vite's development server where the package is, which may be above its root: it tells so to who imports a file's
 * address. To be awaited before anything is looked for; null where there is nothing to ask.
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
 * Address of the worker's script, where it is not the one that a bundler finds by its words: in the folder that the page
 * names, of another origin, or of a package that Vite's development server has bundled.
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

/** Where the worker's script is that a bundler finds, in words: its address where that tells anybody something. */
export function workerInWords() {
  const file = addressOf(here());
  return file && hasOwnName(file) ? workerIn(new URL("./", file)) : "its script in the bundle";
}

/** Whether the browser starts a worker from there. @param {string | URL} address */
export const isOwnOrigin = (address) => new URL(address, base()).origin === globalThis.origin;

/** The folder of the embedded model that answered last. @type {string | null} */
let answered = null;

/** Folders that may hold the embedded model, in the order to try. @returns {string[]} */
export function embeddedFolders() {
  const folder = assets();
  if (folder) return [new URL(`models/${EMBEDDED_MODEL}/`, folder).href];
  return answered ? [answered] : modelPlaces(here());
}

/** From now on this folder is the embedded model's, unless the page names another one. @param {string} folder */
export function rememberEmbeddedFolder(folder) {
  answered = folder;
}
