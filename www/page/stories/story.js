// A story: its text with who wrote what, the versions that were not chosen, what the author wants the model to know,
// and the settings it is written with. Stories are immutable: every change returns a new one.

import { commonEnd, commonStart } from "../../lib/element/texts.js";
import { areSame, merged, sliced, textOf } from "./passages.js";
import { shiftVersions, taken, versionOf } from "./versions.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./versions.js").Version} Version */

/**
 * What the model should know if one of `names` occurs in the text, or always.
 * @typedef {{ names: string[], text: string, isAlways: boolean }} LoreEntry
 */

/**
 * @typedef {object} Story
 * @property {string} id
 * @property {string | null} title null: its first words
 * @property {Passage[]} passages
 * @property {Version[]} versions
 * @property {Record<string, string | null>} attributes attributes of the element that it is written with; null for an absent one
 * @property {string} memory what the model always sees first
 * @property {string} note the author's note, which the model sees `noteLines` lines before the end
 * @property {number} noteLines
 * @property {LoreEntry[]} lore
 * @property {number} createdAt milliseconds since 1970
 * @property {number} changedAt
 */

/** Maximum length of a title, including the dots of a shortened one. */
export const LONGEST_TITLE = 120;
const FIRST_WORDS = 48;
/** How many lines before the end the author's note is inserted, unless the author says otherwise. */
export const NOTE_LINES = 3;

/** An id that no other story has, in this browser or elsewhere. */
export function newId() {
  // Not `randomUUID`, which insecure pages do not have.
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A story with some fields given. @param {Partial<Story>} [given] @param {number} [now] @returns {Story} */
export function newStory(given = {}, now = Date.now()) {
  return {
    id: newId(),
    title: null,
    passages: [],
    versions: [],
    attributes: {},
    memory: "",
    note: "",
    noteLines: NOTE_LINES,
    lore: [],
    createdAt: now,
    changedAt: now,
    ...given,
  };
}

/** Its title, or its first words. @param {Pick<Story, "title" | "passages">} story */
export function titleOf({ title, passages }) {
  if (title) return title;
  const words = textOf(sliced(passages, 0, 4 * FIRST_WORDS))
    .trim()
    .replace(/\s+/gu, " ");
  return shortened(words, FIRST_WORDS) || "Untitled";
}

/** Normalizes a title; null for none. @param {string} text */
export function asTitle(text) {
  return shortened(text.trim().replace(/\s+/gu, " "), LONGEST_TITLE) || null;
}

/** At most `most` characters, if possible up to the end of a word. @param {string} text @param {number} most */
function shortened(text, most) {
  const characters = Array.from(text);
  if (characters.length <= most) return text;
  const start = characters.slice(0, most - 1).join("");
  return `${start.replace(/\s+\S{0,24}$/u, "")}…`;
}

/** The number of words, separated by spaces. @param {Pick<Story, "passages">} story */
export function wordsOf({ passages }) {
  return textOf(passages).match(/\S+/gu)?.length ?? 0;
}

/**
 * The story with another text, typed or generated. Text before and after the change keeps its versions; a version in
 * the middle of removed text moves to the start of that text, together with the text between. If the text now ends like
 * a version, that version is taken.
 * @param {Story} story
 * @param {readonly Passage[]} passages
 * @returns {Story}
 */
export function write(story, passages, now = Date.now()) {
  if (areSame(story.passages, passages)) return story;
  const version = versionOf(story, passages);
  if (version !== null) return taken(story, version, now);
  const [before, after] = [textOf(story.passages), textOf(passages)];
  const start = commonStart(before, after);
  const end = commonEnd(before, after, Math.min(before.length, after.length) - start);
  const change = { start, end: before.length - end, length: after.length - end - start };
  const versions = shiftVersions(story, change);
  return { ...story, passages: merged(passages), versions, changedAt: now };
}

/** @param {Story} story @param {string} title "" for its first words @returns {Story} */
export function renamed(story, title, now = Date.now()) {
  return { ...story, title: asTitle(title), changedAt: now };
}

/** A copy of a story under a new id. @param {Story} story @param {string} [suffix] of its title @returns {Story} */
export function copied(story, suffix = "(copy)", now = Date.now()) {
  const room = LONGEST_TITLE - suffix.length - 1;
  const title = `${shortened(titleOf(story), room)} ${suffix}`;
  return { ...story, id: newId(), title, createdAt: now, changedAt: now };
}
