// From the element's attributes to options, by the same table that the API checks against.

import { invalidArgument } from "../errors.js";
import { GENERATE_OPTIONS, LOAD_OPTIONS } from "../api/options.js";

/** @typedef {import("../api/options.js").Option} Option */
/** What reads an attribute: its text, or null without it. @typedef {(attribute: string) => string | null} Get */
/** @typedef {{ name: string, option: Readonly<Option>, attribute: string }} Row */

/** Functions and signals cannot be written as attributes. */
const WITHOUT_ATTRIBUTE = ["signal", "function"];

/** `maxTokens` → `max-tokens`; an option that is true by default is switched off: `no-cache`. @param {string} name @param {Readonly<Option>} option */
export function attributeName(name, option) {
  const kebab = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return option.type === "boolean" && option.default === true ? `no-${kebab}` : kebab;
}

/** @param {import("../api/options.js").Table} table @returns {Row[]} */
function attributesOf(table) {
  return Object.entries(table)
    .filter(([, option]) => !WITHOUT_ATTRIBUTE.includes(option.type))
    .map(([name, option]) => ({ name, option, attribute: attributeName(name, option) }));
}

const LOAD_ATTRIBUTES = attributesOf(LOAD_OPTIONS);
const GENERATE_ATTRIBUTES = attributesOf(GENERATE_OPTIONS);

/** Attributes that choose the model: after a change of one of them the next call loads anew. */
export const LOADING_ATTRIBUTES = Object.freeze(["model", ...LOAD_ATTRIBUTES.map(({ attribute }) => attribute)]);

/** Attributes that say how a text is written. */
export const GENERATING_ATTRIBUTES = Object.freeze(GENERATE_ATTRIBUTES.map(({ attribute }) => attribute));

/** Every attribute that the element understands. */
export const ATTRIBUTES = Object.freeze([
  ...LOADING_ATTRIBUTES,
  ...GENERATING_ATTRIBUTES,
  "prompt",
  "autoload",
  "token-view",
]);

/** Load options as written in attributes. `get` returns an attribute's text, or null without it. @param {Get} get */
export function readLoadAttributes(get) {
  return read(LOAD_ATTRIBUTES, get);
}

/** Generate options as written in attributes. @param {Get} get */
export function readGenerateAttributes(get) {
  return read(GENERATE_ATTRIBUTES, get);
}

/** Only what is written; ranges are checked later, where every option is. @param {Row[]} rows @param {Get} get */
function read(rows, get) {
  /** @type {Record<string, unknown>} */
  const options = {};
  for (const { name, option, attribute } of rows) {
    const text = get(attribute);
    if (text !== null) options[name] = parse(attribute, text, option);
  }
  return options;
}

/** @param {string} attribute @param {string} text @param {Readonly<Option>} option */
function parse(attribute, text, option) {
  switch (option.type) {
    case "boolean":
      return option.default !== true; // it is there, whatever it says
    case "integer":
    case "number":
      return parseNumber(attribute, text);
    case "shape":
    case "texts":
    case "biases":
      return parseJson(attribute, text);
    default:
      return text;
  }
}

/** @param {string} attribute @param {string} text */
function parseNumber(attribute, text) {
  const trimmed = text.trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) {
    throw invalidArgument(`The attribute ${attribute} must be a number, not ${JSON.stringify(text)}.`);
  }
  return Number(trimmed);
}

/** @param {string} attribute @param {string} text */
function parseJson(attribute, text) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const example = attribute === "stop" ? `stop='["\\n\\n"]'` : `${attribute}='{"11": -5}'`;
    throw invalidArgument(
      `The attribute ${attribute} is not JSON: ${/** @type {Error} */ (cause).message}`,
      attribute === "config" ? "Write an object with the fields of config.json." : `Write it like this: ${example}.`,
    );
  }
}
