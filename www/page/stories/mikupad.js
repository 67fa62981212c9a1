// Sessions of mikupad: each property is JSON in a string, and the prompt consists of typed text and of tokens.

import { plain } from "./passages.js";
import { asList, asNames, asNoteLines, asText, isObject, parsed } from "./reading.js";
import { asTitle, newStory } from "./story.js";

/** @typedef {import("./reading.js").Opened} Opened */

/** Properties for the text, its data, and the window; all others are settings. */
const TAKEN = ["name", "prompt", "memoryTokens", "authorNoteTokens", "authorNoteDepth", "worldInfo"];
const WINDOWS = ["scrollTop", "created", "modified", "darkMode"];

/** A property, which versions of mikupad store as JSON in a string, or as a plain value. @param {unknown} value */
function property(value) {
  return typeof value === "string" ? (parsed(value) ?? value) : value;
}

/** @param {unknown} value */
export function isMikupad(value) {
  if (!isObject(value) || Array.isArray(value.actions)) return false;
  const prompt = property(value.prompt);
  return Array.isArray(prompt) && prompt.every((chunk) => typeof chunk === "string" || isObject(chunk));
}

/** @param {unknown} value of which `isMikupad` is true @returns {Opened} */
export function fromMikupad(value) {
  const session = Object.fromEntries(Object.entries(Object(value)).map(([name, one]) => [name, property(one)]));
  const chunks = asList(session.prompt).map((chunk) => (isObject(chunk) ? chunk : { type: "user", content: chunk }));
  const around = (/** @type {unknown} */ told) => {
    const { prefix, text, suffix } = Object(told);
    return asText(text) === "" ? "" : asText(prefix) + asText(text) + asText(suffix);
  };
  const entries = asList(Object(session.worldInfo).entries).filter(isObject);
  const passages = chunks.map(({ type, content }) => ({
    text: typeof content === "string" ? content : "",
    written: type !== "user",
  }));
  const story = newStory({
    title: asTitle(asText(session.name)),
    passages: plain(passages),
    memory: around(session.memoryTokens),
    note: around(session.authorNoteTokens),
    noteLines: asNoteLines(session.authorNoteDepth),
    lore: entries.map(({ keys, text }) => ({ names: asNames(asList(keys)), text: asText(text), isAlways: false })),
  });
  const isPattern = (/** @type {string} */ name) => /[\\^$*+?()[\]{}|]/.test(name);
  const dropped = [
    Object.keys(session).some((name) => ![...TAKEN, ...WINDOWS].includes(name)) &&
      "its settings, which are another model's",
    chunks.some((chunk) => asList(chunk.completion_probabilities).length > 0) && "the tokens' probabilities",
    story.lore.some(({ names }) => names.some(isPattern)) &&
      "patterns among the names of its world info, which are names here",
  ];
  return { stories: [story], dropped: dropped.filter((one) => typeof one === "string") };
}
