// Stories as plain text, as Markdown that displays the text unchanged, and as a page of its own with two text colours.

import { titleOf } from "./story.js";
import { plain, textOf } from "./passages.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./story.js").Story} Story */
/** What such a file holds of a story. @typedef {Pick<Story, "title" | "passages">} Read */

const BOM = "\ufeff";
/** The first line of Markdown written by this page: the rest is read back exactly. */
const MARKDOWN = "<!-- A story written with TokenFormer in the browser -->";
const HTML = 'data-tokenformer-story="1"';

/** @param {Story} story */
export function toText({ passages }) {
  const text = textOf(passages);
  return text.startsWith(BOM) ? BOM + text : text;
}

/** @param {string} text @returns {Read} */
export function fromText(text) {
  return {
    title: null,
    passages: plain([{ text: text.replace(BOM, (mark, at) => (at === 0 ? "" : mark)), written: false }]),
  };
}

/** @param {Story} story */
export function toMarkdown({ title, passages }) {
  const heading = title === null ? "" : `# ${escapedLine(title)}\n\n`;
  const text = textOf(passages).replace(/[^\n]+/g, escapedLine);
  // In Markdown a single line break is ignored; several start a new paragraph.
  return `${MARKDOWN}\n\n${heading}${text.replace(/(?<!\n)\n(?!\n)/g, "\\\n")}\n`;
}

/** A line with all Markdown syntax escaped. @param {string} line */
function escapedLine(line) {
  return line
    .replace(/[\\`*_[\]<&~|$]/g, "\\$&")
    .replace(/^[#+\-=>:!](?=.?)/, "\\$&")
    .replace(/^(\d+)([.)])/, "$1\\$2")
    .replace(/^ | $/g, "&#32;")
    .replace(/^\t|\t$/g, "&#9;");
}

/** @param {string} text any Markdown: if not written by this page, it is taken literally @returns {Read} */
export function fromMarkdown(text) {
  if (!text.startsWith(`${MARKDOWN}\n`)) return fromText(text);
  const body = text.slice(MARKDOWN.length).replace(/^\n\n/, "").replace(/\n$/, "");
  const heading = /^# ([^\n]*)\n\n/.exec(body);
  const unescaped = (/** @type {string} */ part) =>
    part.replace(/\\([^])|&#(32|9);/g, (_, escaped, code) => escaped ?? String.fromCharCode(Number(code)));
  return {
    title: heading ? unescaped(heading[1]) : null,
    passages: plain([{ text: unescaped(body.slice(heading?.[0].length ?? 0)), written: false }]),
  };
}

const STYLE = `
:root { color-scheme: light dark; --paper: #fbf8f3; --ink: #231f1a; --quiet: #675f55; --written: #35496a; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191715; --ink: #e8e2d8; --quiet: #a79e92; --written: #aebfd9; }
}
body { max-width: 38rem; margin: 3rem auto; padding: 0 1.25rem; background: var(--paper); color: var(--ink);
  font: 1.1875rem/1.62 Georgia, serif; }
h1 { font-weight: 400; line-height: 1.2; }
.story { white-space: pre-wrap; overflow-wrap: break-word; }
.model { color: var(--written); }
.inks { margin-top: 3rem; color: var(--quiet); font: 0.875rem/1.5 system-ui, sans-serif; }`;

/** A page with the text in two colours. @param {Story} story */
export function toHtml(story) {
  const { title, passages } = story;
  const spans = passages.map(
    ({ text, written }) => `<span class="${written ? "model" : "you"}">${escapedHtml(text)}</span>`,
  );
  const heading = title === null ? "" : `<h1 dir="auto">${escapedHtml(title)}</h1>\n`;
  return `<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapedHtml(titleOf(story))}</title>
<style>${STYLE}
</style>
</head>
<body>
${heading}<div class="story" dir="auto" ${HTML}>${spans.join("")}</div>
<p class="inks">Written by a person and <span class="model">a language model</span>, with TokenFormer in the browser.</p>
</body>
</html>
`;
}

/** @param {string} text */
function escapedHtml(text) {
  return text.replace(/[&<>"\0]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** @param {string} text */
function unescapedHtml(text) {
  return text.replace(/&#(\d{1,3});/g, (_, code) => String.fromCharCode(Number(code)));
}

/** The text of a page made by `toHtml`; null for any other page. @param {string} text @returns {Read | null} */
export function fromHtml(text) {
  const page = text.replace(/\r\n?/g, "\n");
  const story = new RegExp(`<div [^>]*${HTML}>((?:<span class="(?:you|model)">[^<]*</span>)*)</div>`).exec(page);
  if (!story) return null;
  const spans = story[1].matchAll(/<span class="(you|model)">([^<]*)<\/span>/g);
  const passages = Array.from(spans, ([, who, part]) => ({ text: unescapedHtml(part), written: who === "model" }));
  const heading = /<h1 dir="auto">([^<]*)<\/h1>/.exec(page.slice(0, story.index));
  return { title: heading ? unescapedHtml(heading[1]) : null, passages: plain(passages) };
}
