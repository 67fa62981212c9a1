// How these files are distributed. This is the layout of www/ and dist/; scripts/bundle.mjs replaces this file for the
// npm package and the single file.

/** Version of the npm packages, for CDN addresses; "" in files that are not part of a package. @type {string} */
export const VERSION = "";

/** Names of the packages: the code's, and the embedded model's. */
export const PACKAGE = "tokenformer-web";
export const MODEL_PACKAGE = "tokenformer-web-stories";

/** Address of the worker's script in the folder of the WebAssembly file. @param {URL} ROOT @returns {string} */
export const workerIn = (ROOT) => new URL("lib/engine/worker.js", ROOT).href;

/** Whether module and worker are one file: then the worker's script is never elsewhere. @type {boolean} */
export const IS_SINGLE_FILE = false;

/** Resolves to the text of a worker's script that imports nothing, for when its file is not available; null if there is none. @type {(() => Promise<string>) | null} */
export const workerSource = null;
