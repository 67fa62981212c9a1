// Reading what comes from outside, a file, a link or an older version of this page: whatever it says, a story comes of it
// that is as this page would have made it, or a TokenFormerError that says what is wrong. What is not as it must be is
// left out, and told.

import { invalidArgument } from "../../lib/errors.js";
import { plain, textOf } from "./passages.js";
import { plainText } from "./plain-text.js";
import { asTitle, newStory, NOTE_LINES } from "./story.js";
import { asTree } from "./versions.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./story.js").LoreEntry} LoreEntry */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {import("./versions.js").Version} Version */

/** What was read. `dropped`: what had no place, in words that finish "Not taken over: …". @typedef {{ stories: Story[], dropped: string[] }} Opened */

/** A file's bytes. A story of a million words has a fifth of it. */
export const MOST_BYTES = 32 * 2 ** 20;
/** Versions, entries of the lore and settings of one story. */
export const MOST_VERSIONS = 10_000;
const MOST_LORE = 1000;
const MOST_NAMES = 50;
const MOST_ATTRIBUTES = 100;
/** Code units of a name, and of an attribute's value. */
const LONGEST_NAME = 200;
const LONGEST_VALUE = 10_000;
const MOST_NOTE_LINES = 1000;

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text as the field has it; "" for everything else. @param {unknown} value */
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

/** Which of them an element may have is the page's to say. @param {unknown} value @returns {Story["attributes"]} */
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
 * A story of what this page has written as JSON, or kept. Throws where that is none.
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
