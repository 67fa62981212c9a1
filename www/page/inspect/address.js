// What the address of inspect.html says behind its #, which no server sees: a text, a word of it, a model, and parameter
// tokens. A link is untrusted: it starts no download, and anything invalid in it is left out.

import { isValid } from "../address.js";
import { LONGEST_TEXT, MODEL } from "../inside-link.js";
import { isLocal } from "../local-folder.js";
import { plainText } from "../stories/plain-text.js";
import { keyOf, placeOf } from "./places.js";

/** @typedef {import("./places.js").Place} Place */
/** `scale`: what the token's activation is multiplied by. @typedef {Place & { scale: number }} Change */
/**
 * A view of a text. `at`: how many code units of the text precede the word that is explained; null: its last word.
 * @typedef {object} View
 * @property {Record<string, string>} model attributes of the element: model, revision, quantization
 * @property {string | null} text null: the page's own
 * @property {number | null} at
 * @property {Place | null} chosen
 * @property {Change[]} changes
 */

const MOST_CHANGES = 32;
/** Upper end of the page's slider, which starts at 0. */
export const MOST_SCALE = 2;

/** @param {string} hash @returns {View} */
export function readView(hash) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const model = Object.fromEntries(
    MODEL.flatMap((name) => {
      const value = query.get(name);
      const isFine = value && isValid(name, value) && !(name === "model" && isLocal(value));
      return isFine ? [[name, value]] : [];
    }),
  );
  const text = query.get("text");
  const at = Number(query.get("at") ?? NaN);
  return {
    model,
    text: text === null ? null : plainText(text.slice(0, LONGEST_TEXT)),
    at: Number.isInteger(at) && at >= 0 ? at : null,
    chosen: placeOf(query.get("token") ?? ""),
    changes: (query.get("changed") ?? "").split("|").slice(0, MOST_CHANGES).flatMap(changeOf),
  };
}

/** "9.mlp.1664*0". @param {string} text @returns {Change[]} */
function changeOf(text) {
  const star = text.lastIndexOf("*");
  const place = placeOf(text.slice(0, star));
  const scale = Number(text.slice(star + 1) || NaN);
  return star > 0 && place && scale >= 0 && scale <= MOST_SCALE ? [{ ...place, scale }] : [];
}

/** The inverse; null where the text is too long for a link. @param {View} view */
export function toHash({ model, text, at, chosen, changes }) {
  if ((text ?? "").length > LONGEST_TEXT) return null;
  const query = new URLSearchParams();
  for (const name of MODEL) if (model[name] && !isLocal(model[name])) query.set(name, model[name]);
  if (text !== null) query.set("text", text);
  if (at !== null) query.set("at", String(at));
  if (chosen) query.set("token", keyOf(chosen));
  // A name that contains the separator of changes would be read as two.
  const told = changes.filter(({ pack }) => !pack?.includes("|"));
  if (told.length > 0) query.set("changed", told.map((one) => `${keyOf(one)}*${one.scale}`).join("|"));
  const hash = query.toString().replaceAll("%2F", "/").replaceAll("%7C", "|");
  return hash ? `#${hash}` : "";
}
