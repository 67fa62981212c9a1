// Addresses that bench.html is told by its own: a link must not make a visitor's browser fetch from, or report to, others.

import { parseAddress } from "../parse-address.js";

/** An address as it stands in the query, resolved against the page's; throws where it leads to another origin. @param {string} text */
export function ownAddress(text, base = location.href) {
  const address = parseAddress(text, base);
  if (address?.origin !== new URL(base).origin) throw new Error(`${text} is not an address of this site.`);
  return address.href;
}
