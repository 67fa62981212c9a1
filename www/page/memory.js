// What the browser keeps for the page: the last text with who wrote what and the settings, for this tab, which finds its
// own text again whatever other tabs write, and for the next visit, which finds what was written last; and beside it the
// texts of the visitor's that something else has taken the place of.

import { isValid, LINKED } from "./address.js";
import { plainText } from "./plain-text.js";

/** @typedef {import("../tokenformer.js").Passage} Passage */
/** @typedef {import("./address.js").Attributes} Attributes */
/** What a link has set, by attribute, and what the visitor has there. @typedef {Record<string, { given: string | null, own: string | null }>} Borrowed */
/** A text of the visitor's. `tab` names the tab that is still writing it; null if none is. @typedef {{ passages: Passage[], tab: string | null }} Text */

/**
 * What a page keeps of itself.
 * @typedef {object} Kept
 * @property {Attributes} attributes
 * @property {Borrowed} borrowed
 * @property {Passage[]} passages the text
 * @property {string} hash the address's part behind #
 * @property {string[]} earlier those that the tab had before, the newest first
 */

export const LAST = "tokenformer-web";
/** Texts that were replaced, the newest first. */
export const REPLACED = "tokenformer-web-replaced";
/** How many of them: they share the few megabytes of the origin with the last text. */
export const MOST_REPLACED = 5;

/**
 * The element's attributes that are kept: those that have a row in a panel. Never an access token; and neither the text,
 * which is kept with its writers, nor loading at once.
 */
export const KEPT = Object.freeze([...LINKED, "endpoint", "no-cache"]);

/** The element's attributes that are kept, by name; null where there is none. @param {Pick<Element, "getAttribute">} element @returns {Attributes} */
export function readAttributes(element) {
  return Object.fromEntries(KEPT.map((name) => [name, element.getAttribute(name)]));
}

/**
 * Reads what the browser kept, or null. Whatever is not as it was written, or not valid, is left out.
 * @param {string} text
 * @param {Attributes} defaults
 * @returns {Kept | null}
 */
export function fromStorage(text, defaults) {
  const kept = parse(text);
  if (kept?.version !== 1) return null;
  const attributes = { ...defaults };
  /** @type {Borrowed} */
  const borrowed = {};
  /** @type {(name: string, value: unknown) => value is string | null} */
  const isValue = (name, value) => value === null || (typeof value === "string" && isValid(name, value));
  for (const name of KEPT) {
    const value = kept.attributes?.[name];
    if (isValue(name, value)) attributes[name] = value;
    const { given, own } = kept.borrowed?.[name] ?? {};
    if (isValue(name, given) && isValue(name, own)) borrowed[name] = { given, own };
  }
  const earlier = Array.isArray(kept.earlier) ? kept.earlier.map(String) : [];
  return { attributes, borrowed, passages: toPassages(kept.passages), hash: String(kept.hash ?? ""), earlier };
}

/**
 * What was kept last: this tab's, or what any tab kept, which is this tab's from then on: a reload finds the same, whatever
 * other tabs keep.
 * @param {Attributes} defaults
 */
export function recall(defaults) {
  const own = fromStorage(read("sessionStorage", LAST), defaults);
  if (own) return own;
  const text = read("localStorage", LAST);
  const last = fromStorage(text, defaults);
  if (last) write("sessionStorage", LAST, text);
  return last;
}

/** The text that any tab has kept last, with that tab; null where there is none, or it is none of the visitor's. */
export function lastText() {
  const kept = parse(read("localStorage", LAST));
  return kept?.version === 1 && kept.isVisitors !== false ? toText(kept) : null;
}

/**
 * Keeps a page, for this tab alone unless `isLast`; whether the next visit will find it.
 * @param {Kept & { isVisitors: boolean, tab: string }} state
 * @param {{ isLast: boolean }} place
 */
export function remember(state, { isLast }) {
  const text = JSON.stringify({ version: 1, ...state });
  const isKept = isLast && write("localStorage", LAST, text);
  // Without room for this one an older text of the tab's own would hide what the browser keeps; where that has no room
  // either, the older ones are better than none.
  if (!write("sessionStorage", LAST, text) && isKept) write("sessionStorage", LAST, null);
  return isKept;
}

/** Texts of the visitor's that were replaced, the newest first. @returns {Text[]} */
export function replacedTexts() {
  const kept = parse(read("localStorage", REPLACED));
  // An older version kept the passages alone.
  /** @type {unknown[]} */
  const texts = kept?.version === 1 && Array.isArray(kept.texts) ? kept.texts : [];
  return texts.map((text) => toText(Array.isArray(text) ? { passages: text } : text)).filter((text) => text !== null);
}

/** Keeps these, of each tab that is still writing only the first; whether there was room. @param {Text[]} texts */
export function keepReplaced(texts) {
  const isRepeated = (/** @type {Text} */ { passages, tab }, /** @type {Text[]} */ before) =>
    before.some((other) => textOf(other.passages) === textOf(passages) || (tab !== null && other.tab === tab));
  const different = texts.filter((text, i) => !isRepeated(text, texts.slice(0, i)));
  const kept = different.slice(0, MOST_REPLACED);
  return write("localStorage", REPLACED, kept.length === 0 ? null : JSON.stringify({ version: 1, texts: kept }));
}

/** @param {Passage[]} passages */
export function textOf(passages) {
  return passages.map(({ text }) => text).join("");
}

/** @param {unknown} kept @returns {Text | null} */
function toText(kept) {
  const { passages: given, tab } = Object(kept);
  const passages = toPassages(given);
  return passages.length > 0 ? { passages, tab: typeof tab === "string" ? tab : null } : null;
}

/** @param {unknown} kept @returns {Passage[]} */
function toPassages(kept) {
  if (!Array.isArray(kept)) return [];
  return kept
    .filter((passage) => typeof passage?.text === "string")
    .map(({ text, written }) => ({ text: plainText(text), written: written === true }));
}

/** @param {string} text JSON of any version, or none */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @typedef {"localStorage" | "sessionStorage"} Place */

/** @param {Place} place @param {string} key */
function read(place, key) {
  try {
    return globalThis[place].getItem(key) ?? "";
  } catch {
    return ""; // no storage here: the page works without a memory
  }
}

/** Null removes it. Whether it was done: there may be no storage, or no room in it. @param {Place} place @param {string} key @param {string | null} text */
function write(place, key, text) {
  try {
    if (text === null) globalThis[place].removeItem(key);
    else globalThis[place].setItem(key, text);
    return true;
  } catch {
    return false;
  }
}
