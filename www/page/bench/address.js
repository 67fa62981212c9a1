// Addresses in the address of bench.html: a link must not make a visitor's browser fetch from, or report to, other sites.

import { parseAddress } from "../parse-address.js";

/** An address in the query, resolved against the page's; throws where it leads to another origin. @param {string} text */
export function ownAddress(text, base = location.href) {
  const address = parseAddress(text, base);
  if (address?.origin !== new URL(base).origin) throw new Error(`${text} is not an address of this site.`);
  return address.href;
}
