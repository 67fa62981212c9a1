// Types of requests.js, written by hand: the contract.

import type { TokenFormer } from "./tokenformer.js";

/**
 * For a service worker: answers requests whose address begins with the prefix by way of a page that holds a model and
 * offered it by {@link serveRequests}. Call it before the worker adds listeners of its own for `fetch`.
 *
 * Of several pages that one answers whose model the request names; then the one that asks, the least busy, the newest.
 * Without any the answer is 503. Only scripts of the site's own pages are answered, no links or forms.
 *
 * @param options.prefix relative to the worker's scope. Default: ["/v1/", "v1/"].
 */
export function passRequests(options?: { prefix?: string | readonly string[] }): void;

/**
 * For a page: offers a loaded model to the site's pages. Resolves once requests reach it, to a function that ends the
 * offer; so does the abort of `signal`. Rejects with `invalid-argument` where the page can have no service worker.
 */
export function serveRequests(model: TokenFormer, options?: { signal?: AbortSignal }): Promise<() => void>;
