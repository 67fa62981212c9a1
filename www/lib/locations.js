// Where the files of one build lie. Everything is relative to this module's own address, so that a
// build works under any path and from another origin. The folder above lib/ is that of tokenformer.js.

// Not written as new URL("…", import.meta.url), which bundlers take for a file to copy: these are a folder and a script
// that is imported.
const HERE = import.meta.url;
const ROOT = new URL("../", HERE);

/** Name of the model that ships with the build. */
export const EMBEDDED_MODEL = "tokenformer-38m-gutenberg";

/** Address of the embedded model's folder. */
export const EMBEDDED_FOLDER = new URL(`models/${EMBEDDED_MODEL}/`, ROOT).href;

/** Address of the wasm-bindgen glue. */
export const ENGINE_SCRIPT = new URL("tokenformer-web.js", ROOT).href;

/** Address of the WebAssembly file: this one a bundler shall copy. */
export const ENGINE_WASM = new URL("../tokenformer-web_bg.wasm", import.meta.url).href;

/** Address of the worker's script, for pages of another origin. */
export const WORKER_SCRIPT = new URL("engine-worker.js", HERE).href;
