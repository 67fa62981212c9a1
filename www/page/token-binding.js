// An access token belongs to the hub that it was typed for: it is never sent to another one.

import { endpointOf } from "./model-names.js";

/**
 * Removes the attribute `token` of `element` when its `endpoint` becomes another than the one that stood there when the
 * token was typed; then calls `onRemoved`.
 * @param {HTMLElement} element
 * @param {() => void} onRemoved
 */
export function bindToken(element, onRemoved) {
  const endpoint = () => endpointOf(element.getAttribute("endpoint"));
  let boundTo = endpoint();
  new MutationObserver((changes) => {
    // Of changes that come together the last one tells which was meant for which.
    if (changes.at(-1)?.attributeName === "token") boundTo = endpoint();
    else if (endpoint() !== boundTo && element.hasAttribute("token")) {
      element.removeAttribute("token");
      onRemoved();
    }
  }).observe(element, { attributes: true, attributeFilter: ["token", "endpoint"] });
}
