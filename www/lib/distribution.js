// How these files are distributed. This is how they lie in www/ and dist/; scripts/bundle.mjs puts another one in the place
// of this file for the npm package and the single file.

/** Version of the npm packages, for addresses of a CDN; "" in files that are no package. @type {string} */
export const VERSION = "";

/** Names of the packages: the code's, and the embedded model's. */
export const PACKAGE = "tokenformer-web";
export const MODEL_PACKAGE = "tokenformer-web-stories";

/** Address of the worker's script in the folder of the WebAssembly file. @param {URL} ROOT @returns {string} */
export const workerIn = (ROOT) => new URL("lib/engine/worker.js", ROOT).href;

/** Whether module and worker are one file: then the worker's script need not be anywhere else. @type {boolean} */
export const IS_SINGLE_FILE = false;

/** Resolves to the text of a worker's script that imports nothing, for where its file cannot be had; null without one. @type {(() => Promise<string>) | null} */
export const workerSource = null;
