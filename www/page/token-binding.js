// An access token belongs to the hub that it was entered for: it is never sent to another one.

import { endpointOf } from "./model-names.js";

/**
 * Removes the attribute `token` of `element` when its `endpoint` differs from the one at the time the token was
 * entered; then calls `onRemoved`.
 * @param {HTMLElement} element
 * @param {() => void} onRemoved
 */
export function bindToken(element, onRemoved) {
  const endpoint = () => endpointOf(element.getAttribute("endpoint"));
  let boundTo = endpoint();
  new MutationObserver((changes) => {
    // If both change together, the last change decides which belongs to which.
    if (changes.at(-1)?.attributeName === "token") boundTo = endpoint();
    else if (endpoint() !== boundTo && element.hasAttribute("token")) {
      element.removeAttribute("token");
      onRemoved();
    }
  }).observe(element, { attributes: true, attributeFilter: ["token", "endpoint"] });
}
