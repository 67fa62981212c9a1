// Story files: which formats there are, what each holds, and how the format of an opened file is detected.

import { invalidArgument } from "../../lib/errors.js";
import { fromJson, isOwnJson, toJson } from "./json-file.js";
import { fromKobold, isKobold } from "./kobold.js";
import { fromLoom, isLoom } from "./loom.js";
import { fromMikupad, isMikupad } from "./mikupad.js";
import { MOST_BYTES } from "./reading.js";
import { asTitle, newStory, titleOf } from "./story.js";
import { fromHtml, fromMarkdown, fromText, toHtml, toMarkdown, toText } from "./text-files.js";

/** @typedef {import("./reading.js").Opened} Opened */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {import("./text-files.js").Read} Read */

/**
 * Files that a story can be saved as.
 * @type {Readonly<Record<string, { type: string, write: (story: Story) => string, hasInks: boolean, hasAll: boolean }>>}
 */
export const FILES = Object.freeze({
  txt: { type: "text/plain", write: toText, hasInks: false, hasAll: false },
  md: { type: "text/markdown", write: toMarkdown, hasInks: false, hasAll: false },
  html: { type: "text/html", write: toHtml, hasInks: true, hasAll: false },
  json: { type: "application/json", write: toJson, hasInks: true, hasAll: true },
});
/** What the file picker accepts. */
export const ACCEPTED = ".txt,.md,.html,.htm,.json,text/plain,text/markdown,text/html,application/json";

/** Whether files dropped on the page are stories, by their names: a model's folder has JSON as well. @param {string[]} paths */
export function areStories(paths) {
  const isStory = (/** @type {string} */ path) =>
    /^[^/]+\.(txt|md|markdown|html?|json)$/i.test(path) && !/^(config|tokenizer|manifest|.*\.index)\.json$/i.test(path);
  return paths.length > 0 && paths.every(isStory);
}

/** @typedef {"txt" | "md" | "html" | "json"} Extension */

/** A file name that is valid on all systems. @param {Story} story @param {Extension} extension */
export function fileName(story, extension) {
  const name = titleOf(story)
    .replace(/[\p{C}\p{Z}/\\:*?"<>|.…]+/gu, " ")
    .trim()
    .slice(0, 80)
    .trim();
  const isReserved = /^(con|prn|aux|nul|com\d|lpt\d)$/i.test(name);
  return `${name === "" || isReserved ? "Story" : name}.${extension}`;
}

/** What a story has that such a file does not hold, in words; "" for nothing. @param {Story} story @param {Extension} extension */
export function missingInFile(story, extension) {
  const { hasInks, hasAll } = FILES[extension];
  const { passages, versions, memory, note, lore } = story;
  const missing = [
    !hasInks && passages.some(({ written }) => written) && "who wrote what",
    !hasAll && versions.some((one) => one.passages !== null && !one.isDeleted) && "versions",
    !hasAll && (memory !== "" || note !== "" || lore.length > 0) && "memory, note and lore",
  ];
  return missing.filter(Boolean).join("; ");
}

/**
 * The stories of a file. Throws a TokenFormerError if it holds none.
 * @param {string} name
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Opened}
 */
export function openFile(name, bytes) {
  if (bytes.length > MOST_BYTES)
    throw invalidArgument(
      `${name} has ${Math.ceil(bytes.length / 2 ** 20)} MB; a story may have ${MOST_BYTES / 2 ** 20}.`,
      "Divide it into several files.",
    );
  const text = decoded(name, bytes);
  const extension = /\.([^.]*)$/.exec(name)?.[1].toLowerCase() ?? "";
  if (extension === "json") return fromAnyJson(name, text);
  if (extension === "htm" || extension === "html") {
    const read = fromHtml(text);
    if (read) return ofText(read, []);
    throw invalidArgument(
      `${name} is a page, but none that was saved here.`,
      "Save its text as a .txt file, and open that.",
    );
  }
  if (extension === "md" || extension === "markdown") return ofText(fromMarkdown(text), []);
  return ofText(fromText(text), []);
}

/** @param {Read} read @param {string[]} dropped @returns {Opened} */
function ofText({ title, passages }, dropped) {
  return { stories: [newStory({ title: title === null ? null : asTitle(title), passages })], dropped };
}

/** @param {string} name @param {string} text @returns {Opened} */
function fromAnyJson(name, text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalidArgument(
      `${name} is not whole: ${/** @type {Error} */ (cause).message}`,
      "Copy or download the file once more.",
    );
  }
  if (isOwnJson(value)) return fromJson(value);
  if (isKobold(value)) return fromKobold(value);
  if (isLoom(value)) return fromLoom(value);
  if (isMikupad(value)) return fromMikupad(value);
  throw invalidArgument(
    `${name} is JSON, but no story of this page, KoboldAI, mikupad or loomsidian.`,
    "Open a file that one of these has saved, or a text file.",
  );
}

/** @param {string} name @param {Uint8Array<ArrayBuffer>} bytes */
function decoded(name, bytes) {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: encoding === "utf-8" }).decode(bytes);
  } catch {
    throw invalidArgument(`${name} is not a text in UTF-8.`, "Save it as UTF-8 in the program that it comes from.");
  }
}
