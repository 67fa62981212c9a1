// The link from a word of a text to the page that looks inside (inspect/), which explains it there.

import { modelQuery } from "./model-query.js";

/** A longer text makes a link that is hard to share. */
export const LONGEST_TEXT = 8000;
/** Attributes of the element that such a link includes. */
export const MODEL = Object.freeze(["model", "revision", "quantization"]);
/** How much of a longer text before the word is included. */
const BEFORE = 0.75;

/** Gives each word of the token view its link. @param {import("../tokenformer.js").TokenFormerElement} writer */
export function linkWords(writer) {
  writer.wordLink = ({ text, at }) => {
    const href = insideLink((name) => writer.getAttribute(name), text, at);
    return href === null ? null : { href, label: "Why this word?" };
  };
}

/**
 * Null for a model that exists only in this page. For a longer text the link holds the part around the word.
 * @param {(attribute: string) => string | null} attribute of the element
 * @param {string} text
 * @param {number} at where the word begins
 */
export function insideLink(attribute, text, at) {
  const query = modelQuery(attribute, MODEL);
  if (query === null) return null;
  const start = Math.max(0, Math.min(at - LONGEST_TEXT * BEFORE, text.length - LONGEST_TEXT));
  const from = start === 0 ? 0 : cutAt(text, Math.floor(start), at);
  query.set("text", text.slice(from, from + LONGEST_TEXT).replace(/[\ud800-\udbff]$/, ""));
  query.set("at", String(at - from));
  return `inspect.html#${query}`;
}

/** The next blank, where no token is cut; if there is none before the word, the next character. @param {string} text @param {number} from @param {number} at */
function cutAt(text, from, at) {
  const blank = text.slice(from, at + 1).search(/\s/);
  if (blank >= 0) return from + blank;
  return /[\udc00-\udfff]/.test(text[from]) ? from + 1 : from;
}
