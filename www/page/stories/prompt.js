// The model's view of a story, in order: the memory, the lore whose names occur, the story, and in it, some lines
// before the end, the author's note. If it does not fit, the start of the story is left out.

import { textOf } from "./passages.js";

/** @typedef {import("./story.js").Story} Story */
/** @typedef {{ kind: "memory" | "lore" | "story" | "note", text: string }} Part */

/** How many code units to search for the start of a word: not every script has spaces. */
const LONGEST_WORD = 40;

/**
 * @param {Pick<Story, "passages" | "memory" | "note" | "noteLines" | "lore">} story
 * @param {object} room
 * @param {number} room.budget maximum size of the prompt
 * @param {number} [room.told] maximum share of memory, note and lore together; default: half
 * @param {(text: string) => number} [room.count] the size of a text: in code units, or a model's tokens. More text must not be smaller
 * @returns {{ text: string, parts: Part[], left: number }} the parts join to the text; `left`: how many code units of the story's
 *     start are left out
 */
export function composed(
  { passages, memory, note, noteLines, lore },
  { budget, told = budget / 2, count = (text) => text.length },
) {
  const story = textOf(passages);
  const noteLine = note === "" ? "" : `${startOf(note, told, count)}\n`;
  const memoryText = memory === "" ? "" : ended(startOf(memory, told - count(noteLine), count));
  const fixed = count(memoryText) + count(noteLine);
  // Lore whose names are not in the visible text would only take space from the text.
  const visible = tailOf(story, budget - fixed, count);
  const loreText = loreFor(lore, visible, told - fixed, count);
  const tail = tailOf(visible, budget - fixed - count(loreText), count);
  const at = note === "" ? tail.length : lineBeforeEnd(tail, noteLines);
  /** @type {Part[]} */
  const parts = [
    { kind: "memory", text: memoryText },
    { kind: "lore", text: loreText },
    { kind: "story", text: tail.slice(0, at) },
    // On a line of its own, even after the last one.
    { kind: "note", text: at > 0 && noteLine && !tail.slice(0, at).endsWith("\n") ? `\n${noteLine}` : noteLine },
    { kind: "story", text: tail.slice(at) },
  ];
  const seen = parts.filter(({ text }) => text !== "");
  return { text: seen.map(({ text }) => text).join(""), parts: seen, left: story.length - tail.length };
}

/** The entries whose names occur, most recently mentioned first as far as they fit, in the order of the list. @param {Story["lore"]} lore @param {string} text @param {number} room @param {(text: string) => number} count */
function loreFor(lore, text, room, count) {
  const named = lore
    .map((entry, index) => ({ entry, index, at: entry.isAlways ? Infinity : lastMention(entry.names, text) }))
    .filter(({ entry, at }) => at >= 0 && entry.text !== "")
    .sort((a, b) => (a.at === b.at ? a.index - b.index : b.at - a.at));
  /** @type {typeof named} */
  let chosen = [];
  const joined = (/** @type {typeof named} */ list) =>
    list
      .toSorted((a, b) => a.index - b.index)
      .map(({ entry }) => ended(entry.text))
      .join("");
  for (const one of named) if (count(joined([...chosen, one])) <= room) chosen = [...chosen, one];
  return joined(chosen);
}

/** Where one of the names last occurs, as a word of its own and ignoring case; -1: nowhere. @param {readonly string[]} names @param {string} text */
export function lastMention(names, text) {
  const places = names.filter(Boolean).map((name) => {
    const escaped = name.trim().replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
    const word = new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "giu");
    return escaped === "" ? -1 : Math.max(-1, ...Array.from(text.matchAll(word), ({ index }) => index));
  });
  return Math.max(-1, ...places);
}

/** A line of its own. @param {string} text */
const ended = (text) => (text === "" || text.endsWith("\n") ? text : `${text}\n`);

/** Where the last `lines` lines begin. @param {string} text @param {number} lines */
function lineBeforeEnd(text, lines) {
  let at = text.length;
  for (let i = 0; i < lines && at > 0; i += 1) at = text.lastIndexOf("\n", at - 2) + 1;
  return at;
}

/** As much of a text's end as fits, from the start of a word. @param {string} text @param {number} room @param {(text: string) => number} count */
function tailOf(text, room, count) {
  if (count(text) <= room) return text;
  return text.slice(
    wordFrom(
      text,
      firstThat((at) => count(text.slice(at)) <= room, text.length),
    ),
  );
}

/** As much of a text's start as fits, up to the end of a word. @param {string} text @param {number} room @param {(text: string) => number} count */
function startOf(text, room, count) {
  if (count(text) <= room) return text;
  const left = firstThat((n) => count(text.slice(0, text.length - n)) <= room, text.length);
  const end = whole(text, text.length - left);
  const words = text.slice(0, end + 1).search(/\s\S{0,40}$/u);
  return text.slice(0, words < 0 ? end : words).trimEnd();
}

/** Where the next word starts; if none does soon, as in scripts without spaces, the position itself. @param {string} text @param {number} at */
export function wordFrom(text, at) {
  const next = text.slice(Math.max(0, at - 1), at + LONGEST_WORD).search(/(?<=\s)\S/u);
  return next < 0 ? whole(text, at) : Math.max(0, at - 1) + next;
}

/** The position, or the one before it if it is within a character. @param {string} text @param {number} at */
const whole = (text, at) => (/^[\udc00-\udfff]/.test(text.slice(at)) ? at - 1 : at);

/** The first of 0 to `last` for which it is true, given that it is true for all later ones; `last` if for none. @param {(i: number) => boolean} isTrue @param {number} last */
function firstThat(isTrue, last) {
  let [low, high] = [0, last];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isTrue(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
