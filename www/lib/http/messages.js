// What a service worker (pass.js) and a page with a model (serve.js) say to each other, over a port of their own.

/** A request. @typedef {{ url: string, method: string, headers: [string, string][], body: ArrayBuffer | null }} Asked */
/** What a worker says: what it asks, that nobody waits any more, or whether the page is still there. @typedef {{ type: "request" } & Asked | { type: "cancel" } | { type: "ping" }} Said */
/**
 * What a page says: first whether it still holds a model, and which; then the answer, in parts.
 * @typedef {{ type: "here", model: string, lock: string, waiting: number, since: number }
 *   | { type: "none" }
 *   | { type: "response", status: number, headers: [string, string][] }
 *   | { type: "chunk", bytes: Uint8Array } | { type: "end" } | { type: "failed", message: string } | { type: "alive" }} Told
 */

export {};
