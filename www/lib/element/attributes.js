// From the element's attributes to options, by the same table that the API checks against.

import { invalidArgument } from "../errors.js";
import { GENERATE_OPTIONS, LOAD_OPTIONS } from "../api/options.js";

/** @typedef {import("../api/options.js").Option} Option */
/** Reads an attribute: its text, or null if it is absent. @typedef {(attribute: string) => string | null} Get */
/** How an attribute's text is read. @typedef {"text" | "number" | "boolean" | "json" | "list"} Kind */
/** `name`: the option's name. @typedef {{ name: string, option: Readonly<Option>, attribute: string }} Row */
/**
 * An attribute and the property that sets it, with a one-line description.
 * @typedef {{ attribute: string, property: string, kind: Kind, about: string, values?: readonly unknown[], default?: unknown }} Attribute
 */

/** Functions and signals cannot be written as attributes. */
const WITHOUT_ATTRIBUTE = ["signal", "function"];

/** `maxTokens` → `max-tokens`; an option that is true by default has an attribute that turns it off: `no-cache`. @param {string} name @param {Readonly<Option>} option */
export function attributeName(name, option) {
  const kebab = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return isSwitchedOff(option) ? `no-${kebab}` : kebab;
}

/** @param {Readonly<Option>} option */
function isSwitchedOff(option) {
  return option.type === "boolean" && option.default === true;
}

/** @param {import("../api/options.js").Table} table @returns {Row[]} */
function attributesOf(table) {
  return Object.entries(table)
    .filter(([, option]) => !WITHOUT_ATTRIBUTE.includes(option.type))
    .map(([name, option]) => ({ name, option, attribute: attributeName(name, option) }));
}

const LOAD_ATTRIBUTES = attributesOf(LOAD_OPTIONS);
const GENERATE_ATTRIBUTES = attributesOf(GENERATE_OPTIONS);

/** Attributes that are no options. @type {readonly Readonly<Attribute>[]} */
const OWN = Object.freeze([
  {
    attribute: "model",
    property: "model",
    kind: "text",
    about: "a hub repository or the URL of a folder; without it, the embedded model",
  },
  {
    attribute: "assets",
    property: "assets",
    kind: "text",
    about: "URL of the folder with worker, wasm and models; the first element to load sets it for all",
  },
  { attribute: "prompt", property: "prompt", kind: "text", about: "the text to start with" },
  { attribute: "autoload", property: "autoload", kind: "boolean", about: "load the model right away" },
  {
    attribute: "token-view",
    property: "tokenView",
    kind: "boolean",
    about: "show tokens instead of the editable text",
  },
]);

/** Attributes that choose the model: after one of them changes, the next call loads again. */
export const LOADING_ATTRIBUTES = Object.freeze([
  "model",
  "assets",
  ...LOAD_ATTRIBUTES.map(({ attribute }) => attribute),
]);

/** Attributes that control how a text is generated. */
export const GENERATING_ATTRIBUTES = Object.freeze(GENERATE_ATTRIBUTES.map(({ attribute }) => attribute));

/** Every attribute that the element understands. */
export const ATTRIBUTES = Object.freeze([
  ...LOADING_ATTRIBUTES,
  ...GENERATING_ATTRIBUTES,
  "prompt",
  "autoload",
  "token-view",
]);

/** The same, with their properties: `noCache` for `no-cache`. @type {readonly Readonly<Attribute>[]} */
export const ATTRIBUTE_TABLE = Object.freeze([
  ...OWN,
  ...[...LOAD_ATTRIBUTES, ...GENERATE_ATTRIBUTES].map(({ name, option, attribute }) => ({
    attribute,
    property: isSwitchedOff(option) ? `no${name[0].toUpperCase()}${name.slice(1)}` : name,
    kind: kindOf(option),
    about: isSwitchedOff(option) ? `do not ${option.about}` : (option.about ?? ""),
    values: option.values,
    default: option.type === "boolean" ? undefined : option.default,
  })),
]);

/** Load options from attributes. `get` returns an attribute's text, or null if it is absent. @param {Get} get */
export function readLoadAttributes(get) {
  return read(LOAD_ATTRIBUTES, get);
}

/** Generate options from attributes. @param {Get} get */
export function readGenerateAttributes(get) {
  return read(GENERATE_ATTRIBUTES, get);
}

/** Only what is set; ranges are checked later, with all other options. @param {Row[]} rows @param {Get} get */
function read(rows, get) {
  /** @type {Record<string, unknown>} */
  const options = {};
  for (const { name, option, attribute } of rows) {
    const text = get(attribute);
    if (text === null) continue;
    const value = parse(attribute, text, kindOf(option), option);
    options[name] = isSwitchedOff(option) ? !value : value;
  }
  return options;
}

/** @param {Readonly<Option>} option @returns {Kind} */
function kindOf({ type }) {
  switch (type) {
    case "boolean":
      return "boolean";
    case "integer":
    case "number":
      return "number";
    case "shape":
    case "texts":
    case "biases":
    case "object":
      return "json";
    case "packs":
      return "list";
    default:
      return "text";
  }
}

/**
 * Parses an attribute's text. Throws `invalid-argument`.
 * @param {string} attribute
 * @param {string} text
 * @param {Kind} kind
 * @param {Partial<Readonly<Option>>} [option] its option, for an example
 * @returns {unknown}
 */
export function parse(attribute, text, kind, option = {}) {
  switch (kind) {
    case "boolean":
      return true; // it is there, whatever it says
    case "number":
      return parseNumber(attribute, text);
    case "json":
      return parseJson(attribute, text, option);
    case "list":
      return /^\s*\[/.test(text) ? parseJson(attribute, text, option) : text.split(/\s+/).filter((word) => word !== "");
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

/** @param {string} attribute @param {string} text @param {Partial<Readonly<Option>>} option */
function parseJson(attribute, text, { type, default: standard }) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const json =
      { texts: `["\\n\\n"]`, object: JSON.stringify(standard), packs: `["owner/name"]` }[String(type)] ?? `{"11": -5}`;
    throw invalidArgument(
      `The attribute ${attribute} is not JSON: ${/** @type {Error} */ (cause).message}`,
      attribute === "config"
        ? "Write an object with the fields of config.json."
        : `Write it like this: ${attribute}='${json}'.`,
    );
  }
}
