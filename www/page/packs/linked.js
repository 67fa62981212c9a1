// Packs named in the page's address: ?packs=owner/name, several separated by spaces.

import { readLoadAttributes } from "../../lib/element/attributes.js";
import { checkLoadOptions } from "../../lib/api/options.js";

/**
 * Their addresses; none if one of them is invalid. They come from the link, so they are shown, can be turned off, and
 * are dropped after the visit.
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
