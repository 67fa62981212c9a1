// The part of an address after the #, for sharing: an opening, and settings that differ from the page's own. Anyone can
// make a link, so it may only set what a visitor sees and can change back (LINKED), and invalid parts are ignored.
// ARCHITECTURE.md, "What a link may do", has the rules.

import {
  GENERATING_ATTRIBUTES,
  LOADING_ATTRIBUTES,
  readGenerateAttributes,
  readLoadAttributes,
} from "../lib/element/attributes.js";
import { resolveName } from "../lib/api/names.js";
import { checkGenerateOptions, checkLoadOptions } from "../lib/api/options.js";
import { isLocal } from "./local-folder.js";
import { SETTINGS } from "./settings-panel.js";
import { plainText } from "./stories/plain-text.js";
import { isWays, WAYS } from "./ways.js";

/** @typedef {import("../tokenformer.js").Passage} Passage */

/**
 * What a link may set. Not the hub, which receives a visitor's access token; not whether models are stored, which uses
 * the visitor's disk; nothing without a row in a panel, since visitors could not change it back.
 */
export const LINKED = Object.freeze([
  "model",
  "revision",
  "quantization",
  "context-length",
  ...GENERATING_ATTRIBUTES.filter((name) => SETTINGS.includes(name)),
  "token-view",
  WAYS,
]);
/** A longer opening makes no usable address. */
const LONGEST_BEGINNING = 2000;

/** The parameter that holds a whole story (stories/link.js). */
const STORY = "story";

/** Attributes of the element, by name; null for an absent one. @typedef {Record<string, string | null>} Attributes */

/** Whether others can use the value too: not if it is a model folder on this device. @param {string} name @param {string | null} value */
const isShareable = (name, value) => name !== "model" || !isLocal(value);

/** Whether the element would accept this value for this attribute. @param {string} name @param {string | null} value */
export function isValid(name, value) {
  const only = (/** @type {string} */ other) => (other === name ? value : null);
  try {
    if (value === null) return true;
    if (name === "model") resolveName(value, globalThis.document?.baseURI ?? "https://localhost/");
    else if (name === WAYS) return isWays(value);
    else if (LOADING_ATTRIBUTES.includes(name)) checkLoadOptions(readLoadAttributes(only));
    else checkGenerateOptions(readGenerateAttributes(only));
    return true;
  } catch {
    return false;
  }
}

/**
 * The address part for attributes that differ from `defaults`, and for an opening; "" if there is nothing to store. An
 * attribute that the page sets and the visitor cleared is included without a value.
 * @param {Attributes} attributes
 * @param {Attributes} defaults
 * @param {string | null} beginning
 */
export function toHash(attributes, defaults, beginning) {
  const query = new URLSearchParams();
  if (beginning && beginning.length <= LONGEST_BEGINNING) query.set("prompt", beginning);
  for (const name of LINKED) {
    const value = attributes[name];
    if (value !== defaults[name] && isShareable(name, value)) query.set(name, value ?? "");
  }
  const text = query.toString();
  return text ? `#${text}` : "";
}

/**
 * The reverse: `{ attributes, beginning }`, with all attributes that a link may set; null if the address sets nothing.
 * Names that a link may not set, and invalid values, are ignored.
 * @param {string} hash
 * @param {Attributes} defaults
 */
export function fromHash(hash, defaults) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  // A whole story is shown first, and changes nothing until the visitor confirms.
  if (query.has(STORY)) return null;
  const attributes = Object.fromEntries(LINKED.map((name) => [name, defaults[name]]));
  // An empty model name does not count.
  if (query.get("model") === "" && defaults.model === null) query.delete("model");
  for (const name of LINKED) {
    const value = query.get(name);
    if (value === null || !isShareable(name, value)) continue;
    if (value === "" && defaults[name] !== null) attributes[name] = null;
    else if (isValid(name, value)) attributes[name] = value;
  }
  const prompt = query.get("prompt");
  const beginning = prompt === null ? null : plainText(prompt.slice(0, LONGEST_BEGINNING));
  const tells = beginning !== null || LINKED.some((name) => query.has(name));
  return tells ? { attributes, beginning } : null;
}

/** The address part for a whole story, with settings that differ from `defaults`. @param {string} code of the story @param {Attributes} attributes @param {Attributes} defaults */
export function toStoryHash(code, attributes, defaults) {
  const settings = toHash(attributes, defaults, null);
  return `${settings === "" ? "#" : `${settings}&`}${STORY}=${code}`;
}

/** The reverse: the story's code, and the settings that the link may set; null if there is no story. @param {string} hash @param {Attributes} defaults */
export function fromStoryHash(hash, defaults) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const code = query.get(STORY);
  if (code === null) return null;
  query.delete(STORY);
  return { code, attributes: fromHash(query.toString(), defaults)?.attributes ?? null };
}

/**
 * What a link lacks of an opening and of attributes that differ from `defaults`, in words; "" if it holds all of it.
 * @param {Passage[]} passages
 * @param {Attributes} attributes
 * @param {Attributes} defaults
 */
export function missingInWords(passages, attributes, defaults) {
  const beginning = beginningOf(passages);
  const missing = [
    beginning.length > LONGEST_BEGINNING && "the beginning, which is too long for one",
    beginning === "" && "a beginning, since the text has none of yours",
    !isShareable("model", attributes.model) && "the model, which is only on this device",
    attributes.endpoint !== defaults.endpoint && "the hub's address",
  ];
  return missing.filter(Boolean).join("; ");
}

/** The visitor's text before the model's first passage. @param {Passage[]} passages */
export function beginningOf(passages) {
  return passages[0]?.written === false ? passages[0].text : "";
}
