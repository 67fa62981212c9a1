// What the browser keeps for the page: the last text with who wrote what and the settings, for this tab, which finds its
// own text again whatever other tabs write, and for the next visit, which finds what was written last; and beside it the
// texts of the visitor's that something else has taken the place of.

import { isValid, LINKED } from "./address.js";
import { plainText } from "./plain-text.js";

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

/** The element's attributes that are kept, by name; null where there is none. */
export function readAttributes(element) {
  return Object.fromEntries(KEPT.map((name) => [name, element.getAttribute(name)]));
}

/**
 * Reads what the browser kept: `{ attributes, borrowed, passages, hash, earlier }`, or null. Whatever is not as it was written, or
 * not valid, is left out.
 */
export function fromStorage(text, defaults) {
  const kept = parse(text);
  if (kept?.version !== 1) return null;
  const attributes = { ...defaults };
  const borrowed = {};
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
 */
export function recall(defaults) {
  const own = fromStorage(read("sessionStorage", LAST), defaults);
  if (own) return own;
  const text = read("localStorage", LAST);
  const last = fromStorage(text, defaults);
  if (last) write("sessionStorage", LAST, text);
  return last;
}

/**
 * The text that any tab has kept last, as `{ passages, tab }` of that tab; null where there is none, or it is none of the
 * visitor's.
 */
export function lastText() {
  const kept = parse(read("localStorage", LAST));
  return kept?.version === 1 && kept.isVisitors !== false ? toText(kept) : null;
}

/**
 * Keeps `{ attributes, borrowed, passages, isVisitors, hash, earlier, tab }`, for this tab alone unless `isLast`; whether the next
 * visit will find it.
 */
export function remember(state, { isLast }) {
  const text = JSON.stringify({ version: 1, ...state });
  const isKept = isLast && write("localStorage", LAST, text);
  // Without room for this one an older text of the tab's own would hide what the browser keeps; where that has no room
  // either, the older ones are better than none.
  if (!write("sessionStorage", LAST, text) && isKept) write("sessionStorage", LAST, null);
  return isKept;
}

/**
 * Texts of the visitor's that were replaced, the newest first: `{ passages, tab }`. `tab` names the tab that is still
 * writing this text; null if none is.
 */
export function replacedTexts() {
  const kept = parse(read("localStorage", REPLACED));
  // An older version kept the passages alone.
  const texts = kept?.version === 1 && Array.isArray(kept.texts) ? kept.texts : [];
  return texts.map((text) => toText(Array.isArray(text) ? { passages: text } : text)).filter(Boolean);
}

/** Keeps these, of each tab that is still writing only the first; whether there was room. */
export function keepReplaced(texts) {
  const isRepeated = ({ passages, tab }, before) =>
    before.some((other) => textOf(other.passages) === textOf(passages) || (tab !== null && other.tab === tab));
  const different = texts.filter((text, i) => !isRepeated(text, texts.slice(0, i)));
  const kept = different.slice(0, MOST_REPLACED);
  return write("localStorage", REPLACED, kept.length === 0 ? null : JSON.stringify({ version: 1, texts: kept }));
}

export function textOf(passages) {
  return passages.map(({ text }) => text).join("");
}

function toText(kept) {
  const passages = toPassages(kept?.passages);
  return passages.length > 0 ? { passages, tab: typeof kept.tab === "string" ? kept.tab : null } : null;
}

function toPassages(kept) {
  if (!Array.isArray(kept)) return [];
  return kept
    .filter((passage) => typeof passage?.text === "string")
    .map(({ text, written }) => ({ text: plainText(text), written: written === true }));
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function read(place, key) {
  try {
    return globalThis[place].getItem(key) ?? "";
  } catch {
    return ""; // no storage here: the page works without a memory
  }
}

/** Null removes it. Whether it was done: there may be no storage, or no room in it. */
function write(place, key, text) {
  try {
    if (text === null) globalThis[place].removeItem(key);
    else globalThis[place].setItem(key, text);
    return true;
  } catch {
    return false;
  }
}
