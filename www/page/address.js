// What an address says behind its #, for others to open: a beginning, and settings that differ from the page's own.
// Whoever made a link wrote it, so it may say only what a visitor sees and can change again (LINKED), and what is not
// right is left out. ARCHITECTURE.md, "What a link may do", has the rules.

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
 * What a link may set. Not the hub, to which a visitor's access token is sent; not whether models are kept, which is the
 * visitor's disk; nothing that has no row in a panel, since nobody could change it again.
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
/** A beginning that is longer makes no usable address. */
const LONGEST_BEGINNING = 2000;

/** The name under which an address holds a whole story (stories/link.js). */
const STORY = "story";

/** Attributes of the element, by name; null for one that is not there. @typedef {Record<string, string | null>} Attributes */

/** Whether others can have it too: a model's files on this computer they can not. @param {string} name @param {string | null} value */
const isShareable = (name, value) => name !== "model" || !isLocal(value);

/** Whether the element would take this value of this attribute. @param {string} name @param {string | null} value */
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
 * The address's part for attributes that differ from `defaults`, and a beginning; "" where there is nothing to tell. An
 * attribute that the page has and the visitor emptied is there without a value.
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
 * The opposite: `{ attributes, beginning }`, the attributes being all that a link may set; null where the address tells
 * nothing. Names that a link may not set, and values that are not valid, are left alone.
 * @param {string} hash
 * @param {Attributes} defaults
 */
export function fromHash(hash, defaults) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  // A whole story is shown first, and changes nothing until the visitor says so.
  if (query.has(STORY)) return null;
  const attributes = Object.fromEntries(LINKED.map((name) => [name, defaults[name]]));
  // A model without a name is none.
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

/** The address's part for a whole story, with settings that differ from `defaults`. @param {string} code of the story @param {Attributes} attributes @param {Attributes} defaults */
export function toStoryHash(code, attributes, defaults) {
  const settings = toHash(attributes, defaults, null);
  return `${settings === "" ? "#" : `${settings}&`}${STORY}=${code}`;
}

/** The opposite: the story's code, and the settings that the link may set; null where there is no story. @param {string} hash @param {Attributes} defaults */
export function fromStoryHash(hash, defaults) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const code = query.get(STORY);
  if (code === null) return null;
  query.delete(STORY);
  return { code, attributes: fromHash(query.toString(), defaults)?.attributes ?? null };
}

/**
 * What a link does not hold of a beginning and of attributes that differ from `defaults`, in words; "" where it holds all of it.
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

/** What the visitor wrote before the model wrote anything. @param {Passage[]} passages */
export function beginningOf(passages) {
  return passages[0]?.written === false ? passages[0].text : "";
}
