// The one error type of the public interface, and the one place that converts other errors to it.

/** What to do next, by code. Used if the code that throws has nothing more specific. */
export const REMEDIES = Object.freeze({
  "webgpu-unavailable":
    "Use a browser with WebGPU (a current Chrome, Edge, Firefox or Safari), over https or on localhost, with hardware acceleration switched on.",
  "model-not-found": "Check the spelling of the name or address and the revision; a private model needs a token.",
  unauthorized: "Pass a token that may read this model, after accepting its terms on the hub.",
  "rate-limited": "Wait a few minutes and try again; with a token the limit is higher.",
  network: "Check the connection and try again.",
  integrity: "Load again; if it happens every time, the files on the server are damaged.",
  quota: "Free some storage for this site, or load with cache: false.",
  "unsupported-checkpoint":
    "Use a published TokenFormer checkpoint or a folder that this project's convert tool wrote.",
  "invalid-config": "Check config.json and tokenizer.json of the model against its tensors.",
  "invalid-argument": "Correct the argument named in the message.",
  "out-of-memory": "Close other tabs, choose a smaller model, a lower precision or a smaller contextLength.",
  "device-lost": "Load the model again.",
  aborted: "Call it again when you want it.",
  disposed: "Load the model again with TokenFormer.load().",
  internal: "This is a fault of the module: please report it, with what the browser's console says.",
});

/** Every code, in the order of the documentation. */
export const ERROR_CODES = Object.freeze(Object.keys(REMEDIES));

/** An error with a stable `code`, a readable sentence (`message`) and what to do next (`hint`). */
export class TokenFormerError extends Error {
  /**
   * @param {string} code one of ERROR_CODES
   * @param {string} message a readable sentence
   * @param {{ hint?: string, cause?: unknown }} [details]
   */
  constructor(code, message, { hint, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "TokenFormerError";
    this.code = code;
    this.hint = hint || /** @type {Record<string, string>} */ (REMEDIES)[code] || "";
  }
}

/** Shorthand for the most common code. @param {string} message @param {string} [hint] */
export function invalidArgument(message, hint) {
  return new TokenFormerError("invalid-argument", message, { hint });
}

/** An `aborted` error whose cause is the signal's reason. @param {string} what @param {unknown} [cause] */
export function aborted(what, cause) {
  return new TokenFormerError("aborted", `${what} was aborted.`, { cause });
}

/** The error for an engine that stopped, for whatever reason. @param {unknown} cause */
export function stopped(cause) {
  if (cause instanceof TokenFormerError) return cause;
  const said = cause instanceof Error ? cause.message : String(cause);
  return new TokenFormerError("device-lost", `The engine stopped unexpectedly: ${said}`, {
    hint: "Load the model again; if it happens again, please report it with what the browser's console says.",
    cause,
  });
}

/** True if WebAssembly stopped in the middle of a call, after which that instance cannot be used. @param {unknown} error */
export function isTrap(error) {
  return error instanceof WebAssembly.RuntimeError;
}

/**
 * Converts anything that was thrown to a TokenFormerError.
 *
 * The engine's own errors carry `code` and `hint`. Everything else is told apart by type; what
 * remains (a trap, a bug) is `device-lost`, since its remedy is the right one: the engine that
 * threw is gone, load the model again.
 *
 * @param {unknown} error
 */
export function toTokenFormerError(error) {
  if (error instanceof TokenFormerError) return error;
  const { name, code, hint } = /** @type {{ name?: unknown, code?: unknown, hint?: string }} */ (Object(error));
  const said = error instanceof Error || error instanceof globalThis.DOMException ? error.message : String(error);
  if (typeof code === "string" && ERROR_CODES.includes(code)) {
    return new TokenFormerError(code, said, { hint, cause: error });
  }
  const make = (/** @type {string} */ code, /** @type {string} */ message, /** @type {string} */ hint = "") =>
    new TokenFormerError(code, message, { hint, cause: error });
  if (name === "AbortError") return make("aborted", "The call was aborted.");
  if (name === "DataCloneError") return make("invalid-argument", `An argument holds what cannot be copied: ${said}`);
  if (name === "QuotaExceededError") return make("quota", "The browser's storage for this site is full.");
  if (error instanceof WebAssembly.CompileError && /content.security.policy|unsafe-eval/i.test(said)) {
    return make(
      "webgpu-unavailable",
      "This page's Content-Security-Policy does not allow WebAssembly.",
      "Add 'wasm-unsafe-eval' to the policy's script-src.",
    );
  }
  if (error instanceof WebAssembly.CompileError || error instanceof WebAssembly.LinkError) {
    return make(
      "integrity",
      `The engine's WebAssembly file cannot be used: ${said}`,
      "Serve all files of one build together, and reload the page without its cache.",
    );
  }
  if (error instanceof RangeError && /memory|allocation|array (buffer )?length/i.test(said)) {
    return make("out-of-memory", `The browser could not provide the memory: ${said}`);
  }
  if (error instanceof TypeError && /fetch|network|load failed|importing a module|imported module/i.test(said)) {
    // A bundler renames its files in the next build, and those of this build may be gone.
    const hint = /module/.test(said) ? "Check the connection; if the site was updated meanwhile, reload the page." : "";
    return make("network", `A file could not be fetched: ${said}`, hint);
  }
  return stopped(error);
}
