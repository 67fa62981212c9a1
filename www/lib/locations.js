// Where the files of one build lie. Everything is relative to this module's own address, so that a
// build works under any path and from another origin. The folder above lib/ is that of tokenformer.js.

const ROOT = new URL("../", import.meta.url);

/** Name of the model that ships with the build. */
export const EMBEDDED_MODEL = "tokenformer-38m-gutenberg";

/** Address of the embedded model's folder. */
export const EMBEDDED_FOLDER = new URL(`models/${EMBEDDED_MODEL}/`, ROOT).href;

/** Address of the wasm-bindgen glue and of the WebAssembly file. */
export const ENGINE_SCRIPT = new URL("tokenformer-web.js", ROOT).href;
export const ENGINE_WASM = new URL("tokenformer-web_bg.wasm", ROOT).href;
