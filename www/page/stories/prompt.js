// What a model is to see of a story, in the order in which it sees it: the memory, the lore whose names occur, the story,
// and in it, some lines before the end, the author's note. What there is no room for is the story's beginning.

import { textOf } from "./passages.js";

/** @typedef {import("./story.js").Story} Story */
/** @typedef {{ kind: "memory" | "lore" | "story" | "note", text: string }} Part */

/**
 * @param {Pick<Story, "passages" | "memory" | "note" | "noteLines" | "lore">} story
 * @param {object} room
 * @param {number} room.budget how much the prompt may be; memory, note and lore together take at most half of it
 * @param {(text: string) => number} [room.count] what a text takes of it: code units, or a model's tokens. More text must not take less
 * @returns {{ text: string, parts: Part[], left: number }} the parts join to the text; `left`: how many code units of the story's
 *     beginning are not in it
 */
export function composed({ passages, memory, note, noteLines, lore }, { budget, count = (text) => text.length }) {
  const story = textOf(passages);
  const half = budget / 2;
  const noteLine = note === "" ? "" : `${startOf(note, half, count)}\n`;
  const memoryText = memory === "" ? "" : ended(startOf(memory, half - count(noteLine), count));
  const fixed = count(memoryText) + count(noteLine);
  // Lore of names that nobody reads would take room from the text.
  const visible = tailOf(story, budget - fixed, count);
  const loreText = loreFor(lore, visible, half - fixed, count);
  const tail = tailOf(visible, budget - fixed - count(loreText), count);
  const at = note === "" ? tail.length : lineBeforeEnd(tail, noteLines);
  /** @type {Part[]} */
  const parts = [
    { kind: "memory", text: memoryText },
    { kind: "lore", text: loreText },
    { kind: "story", text: tail.slice(0, at) },
    { kind: "note", text: noteLine },
    { kind: "story", text: tail.slice(at) },
  ];
  const seen = parts.filter(({ text }) => text !== "");
  return { text: seen.map(({ text }) => text).join(""), parts: seen, left: story.length - tail.length };
}

/** The entries whose names occur, those that were named last first as long as there is room, in the order of the list. @param {Story["lore"]} lore @param {string} text @param {number} room @param {(text: string) => number} count */
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

/** Where one of the names begins for the last time, as a word of its own and in whatever case; -1: nowhere. @param {readonly string[]} names @param {string} text */
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

/** As much of a text's end as there is room for, from the beginning of a word. @param {string} text @param {number} room @param {(text: string) => number} count */
function tailOf(text, room, count) {
  if (count(text) <= room) return text;
  const starts = [...Array.from(text.matchAll(/(?<=\s)\S/gu), ({ index }) => index), text.length];
  return text.slice(starts[firstThat((i) => count(text.slice(starts[i])) <= room, starts.length - 1)]);
}

/** As much of a text's beginning as there is room for, up to the end of a word. @param {string} text @param {number} room @param {(text: string) => number} count */
function startOf(text, room, count) {
  if (count(text) <= room) return text;
  const ends = [...Array.from(text.matchAll(/\S(?=\s)/gu), ({ index, 0: last }) => index + last.length), 0];
  ends.sort((a, b) => b - a);
  return text.slice(0, ends[firstThat((i) => count(text.slice(0, ends[i])) <= room, ends.length - 1)]);
}

/** The first of 0 to `last` for which it is true, as for all that follow; `last` where it is true for none. @param {(i: number) => boolean} isTrue @param {number} last */
function firstThat(isTrue, last) {
  let [low, high] = [0, last];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isTrue(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
