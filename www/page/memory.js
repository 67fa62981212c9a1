// What the browser stores for the page: the last text with who wrote what and the settings, for this tab, which finds
// its own text again whatever other tabs write, and for the next visit, which finds what was written last; and the
// visitor's texts that were replaced by something else.

import { isValid, LINKED } from "./address.js";
import { textOf } from "./stories/passages.js";
import { plainText } from "./stories/plain-text.js";
import { parsed } from "./stories/reading.js";
import { toKeptSheet } from "./stories/sheets.js";

/** Parsed JSON of any version, or null. @type {(text: string) => any} */
const parse = parsed;

/** @typedef {import("../tokenformer.js").Passage} Passage */
/** @typedef {import("./address.js").Attributes} Attributes */
/** What a link has set, by attribute, with the visitor's own value. @typedef {Record<string, { given: string | null, own: string | null }>} Borrowed */
/** @typedef {import("./stories/sheets.js").KeptSheet} KeptSheet */
/** @typedef {import("./stories/sheets.js").Sheet} Sheet */
/** A text of the visitor's. `tab` names the tab that is still writing it; null if none. `sheet`: the story it belongs to. @typedef {{ passages: Passage[], tab: string | null, sheet?: Sheet | KeptSheet | null, key?: string }} Text */
/** A text that was replaced. `key` is its storage key, and `at` gives the order. @typedef {Text & { key: string, at: number }} Replaced */

/**
 * The stored state of a page.
 * @typedef {object} Kept
 * @property {Attributes} attributes
 * @property {Borrowed} borrowed
 * @property {Passage[]} passages the text
 * @property {string} hash the address part after #
 * @property {string[]} earlier the tab's previous ones, newest first
 * @property {boolean} isVisitors whether the text is the visitor's
 * @property {Sheet | KeptSheet | null} sheet the story that the text belongs to
 */

export const LAST = "tokenformer-web";
/**
 * Texts that were replaced: each under a key of its own, after this prefix and a slash, so that two tabs that add one
 * at the same moment do not overwrite each other. Version 0.2.0 stored all of them under this one key.
 */
export const REPLACED = "tokenformer-web-replaced";
/** Their maximum number: they share the few megabytes of the origin with the last text. */
export const MOST_REPLACED = 5;

/**
 * The stored attributes of the element: those with a row in a panel. Never an access token; and neither the text, which
 * is stored with its authors, nor loading at once.
 */
export const KEPT = Object.freeze([...LINKED, "endpoint", "no-cache"]);

/** The stored attributes of the element, by name; null if absent. @param {Pick<Element, "getAttribute">} element @returns {Attributes} */
export function readAttributes(element) {
  return Object.fromEntries(KEPT.map((name) => [name, element.getAttribute(name)]));
}

/**
 * Parses what the browser stored, or null. Parts that are damaged or invalid are left out.
 * @param {string} text
 * @param {Attributes} defaults
 * @returns {Kept & { isEmptied: boolean } | null} `isEmptied`: the visitor left the page empty
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
  const passages = toPassages(kept.passages);
  const [hash, isVisitors] = [String(kept.hash ?? ""), kept.isVisitors !== false];
  const isEmptied = kept.isVisitors === true && Array.isArray(kept.passages) && passages.length === 0;
  return { attributes, borrowed, passages, isEmptied, hash, earlier, isVisitors, sheet: toKeptSheet(kept.sheet) };
}

/**
 * What was stored last: this tab's, or else any tab's, which becomes this tab's: a reload finds the same, whatever
 * other tabs store.
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

/** The last text stored by any tab, with that tab; null if there is none, or it is not the visitor's. */
export function lastText() {
  return visitorsText(parse(read("localStorage", LAST)));
}

/**
 * Marks the last stored text as this tab's, if it is this text: from now on it is not another tab's.
 * @param {string} text
 * @param {string} tab
 */
export function claimLast(text, tab) {
  const kept = parse(read("localStorage", LAST));
  const last = visitorsText(kept);
  if (last && textOf(last.passages) === text) write("localStorage", LAST, JSON.stringify({ ...kept, tab }));
}

/**
 * Stores a page, for this tab alone unless `isLast`; returns whether the next visit will find it.
 * @param {Kept & { tab: string }} state
 * @param {{ isLast: boolean }} place
 */
export function remember(state, { isLast }) {
  const text = JSON.stringify({ version: 1, ...state });
  const isKept = isLast && write("localStorage", LAST, text);
  // If this one does not fit, an older text of this tab would hide the stored one; if that did not fit either, the
  // older ones are better than nothing.
  if (!write("sessionStorage", LAST, text) && isKept) write("sessionStorage", LAST, null);
  return isKept;
}

/** The visitor's texts that were replaced, newest first. @returns {Replaced[]} */
export function replacedTexts() {
  const texts = keys()
    .filter((key) => key.startsWith(`${REPLACED}/`))
    .map(replacedText);
  return texts.filter((text) => text !== null).sort((a, b) => b.at - a.at || (a.key < b.key ? 1 : -1));
}

/**
 * Stores these, only the first one for each tab that is still writing; returns whether they fit. Texts that are already
 * stored, in the same order, are not rewritten, and only those are removed that another tab cannot have added
 * meanwhile.
 * @param {Text[]} texts
 */
export function keepReplaced(texts) {
  const isRepeated = (/** @type {Text} */ { passages, tab }, /** @type {Text[]} */ before) =>
    before.some((other) => textOf(other.passages) === textOf(passages) || (tab !== null && other.tab === tab));
  const different = texts.filter((text, i) => !isRepeated(text, texts.slice(0, i)));
  const before = replacedTexts();
  const first = before[0];
  const isFirst = (/** @type {Text} */ { passages, tab }) =>
    first?.tab === tab && textOf(first.passages) === textOf(passages);
  const kept = different.slice(0, MOST_REPLACED).map((text, i) => (i === 0 && isFirst(text) ? first : text));
  const newest = Math.max(Date.now(), (before[0]?.at ?? 0) + 1) + kept.length;
  const oldest = before.at(-1)?.at ?? newest;
  const isAdded = kept.every((text, i) => {
    const isBehind = kept.slice(0, i).some(({ key }) => key);
    return text.key !== undefined || add(text, isBehind ? oldest - i : newest - i);
  });
  const isKept = (/** @type {Replaced} */ { key }) => kept.some((text) => text.key === key);
  if (isAdded) for (const text of before) if (!isKept(text)) write("localStorage", text.key, null);
  return isAdded;
}

/** Converts texts stored by version 0.2.0 to today's form. */
export function adoptReplaced() {
  const kept = parse(read("localStorage", REPLACED));
  /** @type {unknown[]} */
  const texts = kept?.version === 1 && Array.isArray(kept.texts) ? kept.texts : [];
  const areKept = texts
    .map((text) => toText(Array.isArray(text) ? { passages: text } : text))
    .every((text, i) => text === null || add(text, -i));
  if (areKept && kept !== null) write("localStorage", REPLACED, null);
}

/** @param {Text} text @param {number} at */
function add({ passages, tab, sheet }, at) {
  const key = `${REPLACED}/${Math.random().toString(36).slice(2)}`;
  return write("localStorage", key, JSON.stringify({ version: 1, at, passages, tab, sheet }));
}

/** @param {string} key @returns {Replaced | null} */
function replacedText(key) {
  const kept = parse(read("localStorage", key));
  const text = kept?.version === 1 && Number.isFinite(kept.at) ? toText(kept) : null;
  return text && { ...text, key, at: kept.at };
}

/** @param {any} kept what `remember` wrote, if valid */
function visitorsText(kept) {
  return kept?.version === 1 && kept.isVisitors !== false ? toText(kept) : null;
}

/** @param {unknown} kept @returns {Text | null} */
function toText(kept) {
  const { passages: given, tab, sheet } = Object(kept);
  const passages = toPassages(given);
  if (passages.length === 0) return null;
  return { passages, tab: typeof tab === "string" ? tab : null, sheet: toKeptSheet(sheet) };
}

/** @param {unknown} kept @returns {Passage[]} */
function toPassages(kept) {
  if (!Array.isArray(kept)) return [];
  return kept
    .filter((passage) => typeof passage?.text === "string")
    .map(({ text, written }) => ({ text: plainText(text), written: written === true }));
}

/** Keys that the browser stores for all tabs. */
function keys() {
  try {
    const all = Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i));
    return all.filter((key) => key !== null);
  } catch {
    return [];
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

/** Null removes it. Returns whether it worked: storage may be missing or full. @param {Place} place @param {string} key @param {string | null} text */
function write(place, key, text) {
  try {
    if (text === null) globalThis[place].removeItem(key);
    else globalThis[place].setItem(key, text);
    return true;
  } catch {
    return false;
  }
}
