// The input of an evaluation: plain texts, or JSON lines with texts, or with pairs of a context and its continuation.

import { invalidArgument } from "../../lib/errors.js";
import { isPlainObject, loneSurrogateAt, typeName } from "../../lib/api/inputs.js";

/**
 * A text with a name, and its format: "plain", "jsonl", or, if left out, detected.
 * @typedef {{ name: string, text: string, format?: "plain" | "jsonl" }} Source
 */

/** @typedef {"texts" | "pairs"} Kind */

/**
 * A unit that is evaluated by itself; the line is null for a plain text.
 * @typedef {{ source: string, line: number | null, text: string, context?: undefined, continuation?: undefined }} TextDocument
 * @typedef {{ source: string, line: number | null, text?: undefined, context: string, continuation: string }} PairDocument
 * @typedef {TextDocument | PairDocument} Document
 */

/**
 * All that is evaluated, with its length in bytes of UTF-8, and the number of empty texts left out.
 * @typedef {{ kind: Kind, documents: Document[], bytes: number, leftOut: number }} Input
 */

/**
 * The same for one source, with the place of its first document; without lines, both are null.
 * @typedef {Omit<Input, "kind"> & ({ kind: Kind, place: string } | { kind: null, place: null })} Read
 */

/** By its name alone: the format of other files is detected. @param {string} fileName @returns {Source["format"]} */
export function formatOf(fileName) {
  if (/\.(jsonl|ndjson)$/i.test(fileName)) return "jsonl";
  return /\.(txt|text|md|markdown)$/i.test(fileName) ? "plain" : undefined;
}

/** Whether a text starts like JSON lines. @param {string} text */
export function looksLikeJsonLines(text) {
  return /^\ufeff?\s*\{\s*"/.test(text);
}

/**
 * Combines all sources. Empty texts have nothing to score and are left out. Throws `invalid-argument`, which names
 * source and line.
 *
 * @param {Iterable<Source>} sources
 */
export function readInput(sources) {
  return together(Array.from(sources, readSource));
}

/** Reads one source, for `together`. @param {Source} source @returns {Read} */
export function readSource({ name, text, format }) {
  const isLines = (format ?? (looksLikeJsonLines(text) ? "jsonl" : "plain")) === "jsonl";
  const found = isLines ? readLines(name, text) : [{ source: name, line: null, text: text.replace(/^\ufeff/, "") }];
  /** @type {Omit<Input, "kind">} */
  const read = { documents: [], bytes: 0, leftOut: 0 };
  if (found.length === 0) return { kind: null, place: null, ...read };
  const kind = kindOf(found[0]);
  for (const document of found) {
    const where = placeOf(document);
    checkKind(where, kindOf(document), kind);
    for (const field of FIELDS) checkWhole(where, field, document[field] ?? "");
    if (document.text === "") read.leftOut += 1;
    else read.documents.push(document);
    read.bytes += utf8Length(document.text ?? document.context + document.continuation);
  }
  return { kind, place: placeOf(found[0]), ...read };
}

/** Same as `readInput`, from the results of `readSource`. @param {Read[]} read @returns {Input} */
export function together(read) {
  const kind = read.find((one) => one.kind)?.kind;
  for (const { kind: own, place } of read) if (own && kind) checkKind(place, own, kind);
  const documents = read.flatMap((one) => one.documents);
  if (!kind || documents.length === 0)
    throw invalidArgument(
      "There is no text to evaluate.",
      'Give a text, or JSON lines with "text" or with "context" and "continuation".',
    );
  const sum = (/** @type {"bytes" | "leftOut"} */ field) => read.reduce((total, one) => total + one[field], 0);
  return { kind, documents, bytes: sum("bytes"), leftOut: sum("leftOut") };
}

const FIELDS = /** @type {const} */ (["text", "context", "continuation"]);
const IN_WORDS = { texts: "a text", pairs: "a pair of context and continuation" };

/** @param {Document} document @returns {Kind} */
function kindOf({ text }) {
  return text === undefined ? "pairs" : "texts";
}

/** "Line 3 of pairs.jsonl", "notes.txt". @param {Pick<Document, "source" | "line">} document */
export function placeOf({ source, line }) {
  return line === null ? source : `Line ${line} of ${source}`;
}

/** Bytes of a text in UTF-8. @param {string} text */
export function utf8Length(text) {
  return new TextEncoder().encode(text).length;
}

/** A summary: "12 documents, 45,310 bytes", "50 pairs, 1,204 bytes, 2 empty texts left out". @param {Input} input */
export function inputInWords({ kind, documents, bytes, leftOut }) {
  const [one, many] = kind === "pairs" ? ["pair", "pairs"] : ["document", "documents"];
  const parts = [countInWords(documents.length, one, many), countInWords(bytes, "byte", "bytes")];
  if (leftOut > 0) parts.push(`${countInWords(leftOut, "empty text", "empty texts")} left out`);
  return parts.join(", ");
}

/** "1 token", "2,400 tokens". @param {number} count @param {string} one @param {string} many */
export function countInWords(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** @param {string} source @param {string} text */
function readLines(source, text) {
  /** @type {Document[]} */
  const found = [];
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  lines.forEach((content, i) => {
    if (content.trim() === "") return;
    found.push({ ...readLine(`Line ${i + 1} of ${source}`, content), source, line: i + 1 });
  });
  return found;
}

/** @param {string} where @param {string} content */
function readLine(where, content) {
  let value;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw invalidArgument(
      `${where} is not JSON: ${/** @type {SyntaxError} */ (cause).message}`,
      "JSON lines have one object in each line. To take it as it stands, give it as a .txt file.",
    );
  }
  if (!isPlainObject(value))
    throw invalidArgument(
      `${where} must be an object with "text", or with "context" and "continuation", not ${typeName(value)}.`,
    );
  const hasText = value.text !== undefined;
  const hasPair = value.context !== undefined || value.continuation !== undefined;
  if (hasText && hasPair)
    throw invalidArgument(`${where} has "text" and a pair: it is not clear which to score.`, "Leave one of both out.");
  if (!hasText && !hasPair)
    throw invalidArgument(`${where} has neither "text" nor "context" and "continuation".`, "Rename its fields.");
  const string = (/** @type {string} */ name) => {
    const given = value[name];
    if (typeof given === "string") return given;
    const got = given === undefined ? "missing" : `not a string, but ${typeName(given)}`;
    throw invalidArgument(`${where}: "${name}" is ${got}.`);
  };
  if (hasText) return { text: string("text") };
  const pair = { context: string("context"), continuation: string("continuation") };
  if (pair.continuation === "")
    throw invalidArgument(`${where}: "continuation" is empty, so there is nothing to score.`);
  return pair;
}

/** @param {string} where @param {Kind} own @param {Kind} kind */
function checkKind(where, own, kind) {
  if (own === kind) return;
  throw invalidArgument(
    `${where} is ${IN_WORDS[own]}, but what came before it is ${IN_WORDS[kind]}.`,
    "Evaluate texts and pairs one after the other.",
  );
}

/** @param {string} where @param {string} field @param {string} text */
function checkWhole(where, field, text) {
  const at = loneSurrogateAt(text);
  if (at >= 0) throw invalidArgument(`${where}: "${field}" has half a character (a lone surrogate) at index ${at}.`);
}
