// Addresses that bench.html is told by its own: a link must not make a visitor's browser fetch from, or report to, others.

/** An address as it stands in the query, resolved against the page's; throws where it leads to another origin. */
export function ownAddress(text, base = location.href) {
  const address = URL.canParse(text, base) ? new URL(text, base) : null;
  if (address?.origin !== new URL(base).origin) throw new Error(`${text} is not an address of this site.`);
  return address.href;
}
