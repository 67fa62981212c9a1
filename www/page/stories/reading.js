// Parses input from outside: a file, a link or data of an older version of this page. Whatever it contains, the result
// is a story that this page could have made, or a TokenFormerError that says what is wrong. Invalid parts are left out,
// and reported.

import { invalidArgument } from "../../lib/errors.js";
import { plain, textOf } from "./passages.js";
import { plainText } from "./plain-text.js";
import { asTitle, newStory, NOTE_LINES } from "./story.js";
import { asTree } from "./versions.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./story.js").LoreEntry} LoreEntry */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {import("./versions.js").Version} Version */

/** The result. `dropped`: what could not be imported, in words that finish "Not taken over: …". @typedef {{ stories: Story[], dropped: string[] }} Opened */

/** Maximum size of a file. A story of a million words is a fifth of this. */
export const MOST_BYTES = 32 * 2 ** 20;
/** Maximum numbers of versions, lore entries and settings of one story. */
export const MOST_VERSIONS = 10_000;
const MOST_LORE = 1000;
const MOST_NAMES = 50;
const MOST_ATTRIBUTES = 100;
/** Maximum lengths in code units of a name, and of an attribute's value. */
const LONGEST_NAME = 200;
const LONGEST_VALUE = 10_000;
const MOST_NOTE_LINES = 1000;

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text in the form of the text field; "" for everything else. @param {unknown} value */
export function asText(value) {
  return typeof value === "string" ? plainText(value) : "";
}

/** @param {unknown} value @returns {unknown[]} */
export function asList(value) {
  return Array.isArray(value) ? value : [];
}

/** JSON, or null. @param {string} text @returns {unknown} */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {unknown} value @returns {Passage[]} */
function asPassages(value) {
  const passages = asList(value).filter((one) => isObject(one) && typeof one.text === "string");
  return plain(
    passages.map((one) => {
      const { text, written } = /** @type {{ text: string, written?: unknown }} */ (one);
      return { text, written: written === true };
    }),
  );
}

/** @param {unknown} value @returns {LoreEntry[]} */
export function asLore(value) {
  const entries = asList(value).filter(isObject).slice(0, MOST_LORE);
  return entries.map(({ names, text, isAlways }) => ({
    names: asNames(asList(names)),
    text: asText(text),
    isAlways: isAlways === true,
  }));
}

/** @param {unknown[]} names */
export function asNames(names) {
  const texts = names.map((name) => asText(name).trim().slice(0, LONGEST_NAME));
  return texts.filter((name) => name !== "").slice(0, MOST_NAMES);
}

/** How many lines before the end. @param {unknown} value */
export function asNoteLines(value) {
  const isPossible = Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MOST_NOTE_LINES;
  return isPossible ? Number(value) : NOTE_LINES;
}

/** The page decides which of them an element may have. @param {unknown} value @returns {Story["attributes"]} */
export function asAttributes(value) {
  const entries = Object.entries(isObject(value) ? value : {}).filter(
    ([name, one]) =>
      /^[a-z][a-z0-9-]*$/.test(name) && (one === null || (typeof one === "string" && one.length <= LONGEST_VALUE)),
  );
  return /** @type {Story["attributes"]} */ (Object.fromEntries(entries.slice(0, MOST_ATTRIBUTES)));
}

/** @param {unknown} value @returns {value is string} */
const isId = (value) => typeof value === "string" && value !== "" && value.length <= LONGEST_NAME;

/** @param {unknown} value @param {number} length of the story's text @returns {Version[]} */
function asVersions(value, length) {
  const ids = new Set();
  const versions = asList(value)
    .slice(0, MOST_VERSIONS)
    .flatMap((one) => {
      if (!isObject(one) || !Number.isInteger(one.at) || !isId(one.id) || ids.has(one.id)) return [];
      ids.add(one.id);
      const parent = typeof one.parent === "string" ? one.parent : null;
      const passages = one.passages === null ? null : asPassages(one.passages);
      return [{ id: one.id, parent, at: Number(one.at), passages }];
    });
  return asTree(versions, length);
}

/** @param {unknown} value */
const asTime = (value) => (Number.isFinite(value) && Number(value) > 0 ? Number(value) : Date.now());

/**
 * A story from this page's own JSON. Throws if it is not one.
 * @param {unknown} value
 * @returns {Opened}
 */
export function toStory(value) {
  if (!isObject(value) || !Array.isArray(value.passages))
    throw invalidArgument("This is no story: it has no passages.", "Open a story that this page has saved.");
  const passages = asPassages(value.passages);
  const story = newStory({
    title: typeof value.title === "string" ? asTitle(plainText(value.title)) : null,
    passages,
    versions: asVersions(value.versions, textOf(passages).length),
    attributes: asAttributes(value.attributes),
    memory: asText(value.memory),
    note: asText(value.note),
    noteLines: asNoteLines(value.noteLines),
    lore: asLore(value.lore),
    createdAt: asTime(value.createdAt),
    changedAt: asTime(value.changedAt),
  });
  const isLeftOut = (/** @type {unknown} */ given, /** @type {unknown[]} */ read) =>
    asList(given).length > 0 && asList(given).length > read.length;
  const dropped = [
    !value.passages.every((one) => isObject(one) && typeof one.text === "string") && "passages without text",
    isLeftOut(value.versions, story.versions) && "some versions, which have no place in it",
    isLeftOut(value.lore, story.lore) && "some entries of the lore",
  ];
  return { stories: [story], dropped: dropped.filter((one) => one !== false) };
}
