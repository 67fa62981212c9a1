// To `fetch`, a request blocked by a Content-Security-Policy looks like a lost network: this listens for the policy's
// event.

import { TokenFormerError } from "../errors.js";
import { linkedTo } from "../linked.js";

/** @param {string | undefined | null} url */
const origin = (url) => {
  try {
    return new URL(url ?? "").origin;
  } catch {
    return null; // the event may hold a word, "inline" say
  }
};

/**
 * Does `work(signal)`, and ends it with an error that names the host once the policy blocks a request to one of `urls`.
 * The browser reports the requested address, even if the policy blocks what it redirects to.
 *
 * @template T
 * @param {(string | undefined | null)[]} urls
 * @param {AbortSignal | undefined} signal
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function underPolicy(urls, signal, work, events = globalThis) {
  const { controller, unlink } = linkedTo(signal);
  const hosts = urls.map(origin).filter(Boolean);
  /** @type {string | null} */
  let blocked = null;
  /** @param {SecurityPolicyViolationEvent} event */
  const hear = ({ effectiveDirective, disposition, blockedURI }) => {
    if (effectiveDirective !== "connect-src" || disposition === "report" || !hosts.includes(origin(blockedURI))) return;
    blocked = origin(blockedURI);
    controller.abort();
  };
  events.addEventListener?.("securitypolicyviolation", hear);
  try {
    return await work(controller.signal);
  } catch (cause) {
    if (!blocked || signal?.aborted) throw cause;
    throw new TokenFormerError(
      "network",
      `The page's Content-Security-Policy does not allow requests to ${blocked}, or to where that leads.`,
      {
        hint: `Add ${blocked} to the policy's connect-src, or load from a host that stands there.`,
        cause,
      },
    );
  } finally {
    unlink();
    events.removeEventListener?.("securitypolicyviolation", hear);
  }
}
