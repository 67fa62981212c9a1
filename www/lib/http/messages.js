// Messages between a service worker (pass.js) and a page with a model (serve.js), over a port of their own.

/** A request. @typedef {{ url: string, method: string, headers: [string, string][], body: ArrayBuffer | null }} Asked */
/** A worker's message: a request, that nobody is waiting any longer, or the question whether the page is still there. @typedef {{ type: "request" } & Asked | { type: "cancel" } | { type: "ping" }} Said */
/**
 * A page's message: first whether it still holds a model, and which; then the answer, in parts.
 * @typedef {{ type: "here", model: string, lock: string, waiting: number, since: number }
 *   | { type: "none" }
 *   | { type: "response", status: number, headers: [string, string][] }
 *   | { type: "chunk", bytes: Uint8Array } | { type: "end" } | { type: "failed", message: string } | { type: "alive" }} Told
 */

export {};
