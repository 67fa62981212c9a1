// Checks texts and token ids that enter the module.

import { invalidArgument } from "../errors.js";

const LARGEST_ID = 2 ** 32 - 1;

/** A name for a value's type that reads well in a sentence. @param {unknown} value */
export function typeName(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return "a string";
  return typeof value === "object" ? "an object" : `of type ${typeof value}`;
}

/** True for `{…}` and `Object.create(null)`, whichever realm they come from. @param {unknown} value @returns {value is Record<string, unknown>} */
export function isPlainObject(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Index of the first lone surrogate, or -1. @param {string} text */
export function loneSurrogateAt(text) {
  return text.search(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/);
}

/** The text with lone surrogates replaced by U+FFFD, like `toWellFormed()`, which browsers before 2023 lack. @param {string} text */
export function wellFormed(text) {
  return text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");
}

/** Checks that `text` is a string that UTF-8 can hold. @param {string} name @param {unknown} text */
export function checkText(name, text) {
  if (typeof text !== "string") throw invalidArgument(`${name} must be a string, not ${typeName(text)}.`);
  const at = loneSurrogateAt(text);
  if (at >= 0) {
    throw invalidArgument(
      `${name} has half a character (a lone surrogate) at index ${at}.`,
      "Cut strings between whole characters, or call toWellFormed() on them first.",
    );
  }
  return text;
}

/**
 * Copies token ids from an array or a typed array.
 * @param {string} name
 * @param {unknown} given
 * @param {{ allowEmpty?: boolean }} [options]
 * @returns {Uint32Array}
 */
export function checkIds(name, given, { allowEmpty = false } = {}) {
  const isList = Array.isArray(given) || (ArrayBuffer.isView(given) && !(given instanceof DataView));
  if (!isList) throw invalidArgument(`${name} must be an array of token ids, not ${typeName(given)}.`);
  const ids = /** @type {ArrayLike<unknown>} */ (/** @type {unknown} */ (given));
  if (ids.length === 0 && !allowEmpty)
    throw invalidArgument(`${name} is an empty array.`, "Give at least one token id.");
  const copy = new Uint32Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > LARGEST_ID) {
      throw invalidArgument(`${name}[${i}] must be an integer from 0, not ${typeName(id)}.`);
    }
    copy[i] = id;
  }
  return copy;
}

/** A text, or token ids. @param {string} name @param {unknown} value @param {{ allowEmpty?: boolean }} [options] */
export function checkTextOrIds(name, value, options) {
  if (typeof value === "string") return checkText(name, value);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return checkIds(name, value, options);
  throw invalidArgument(`${name} must be a string or an array of token ids, not ${typeName(value)}.`);
}

/** The arguments of `score` as a list of items, and whether the caller gave a list. @param {unknown} text @param {unknown} options */
export function checkScoreArguments(text, options) {
  const isList = Array.isArray(text) && text.some((item) => typeof item === "object" && item !== null);
  if (!isList) {
    const { context } = checkKeys("score's options", options ?? {}, ["context"]);
    return { isList, items: [scoreItem("text", text, "context", context)] };
  }
  if (options !== undefined) {
    throw invalidArgument("score of an array takes no options.", "Give every item its own context.");
  }
  const items = Array.from(text, (item, i) => {
    const { text: own, context } = checkKeys(`score's item ${i}`, item, ["text", "context"]);
    return scoreItem(`[${i}].text`, own, `[${i}].context`, context);
  });
  return { isList, items };
}

/** @param {string} textName @param {unknown} text @param {string} contextName @param {unknown} context */
function scoreItem(textName, text, contextName, context = "") {
  return { text: checkTextOrIds(textName, text), context: checkTextOrIds(contextName, context, { allowEmpty: true }) };
}

/** @param {string} name @param {unknown} value @param {string[]} known */
function checkKeys(name, value, known) {
  if (!isPlainObject(value)) throw invalidArgument(`${name} must be a plain object, not ${typeName(value)}.`);
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw invalidArgument(`${name}: there is no option ${JSON.stringify(key)}.`);
  }
  return value;
}
