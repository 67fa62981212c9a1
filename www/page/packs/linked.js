// Packs that the page's address names: ?packs=owner/name, several with spaces between.

import { readLoadAttributes } from "../../lib/element/attributes.js";
import { checkLoadOptions } from "../../lib/api/options.js";

/**
 * Their addresses; none where one of them is no address. They are the link's, so they are shown, can be switched off, and go
 * with the visit.
 * @param {string} search
 * @returns {string[]}
 */
export function linkedPacks(search) {
  const text = new URLSearchParams(search).get("packs");
  if (text === null || text.trim().startsWith("[")) return [];
  try {
    const { packs } = readLoadAttributes((name) => (name === "packs" ? text : null));
    checkLoadOptions({ packs });
    return [...new Set(/** @type {string[]} */ (packs))];
  } catch {
    return [];
  }
}
