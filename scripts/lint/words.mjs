// Checks the words that users read: README, docs/, what www/ shows, messages of www/ and src/, and the comments of the
// published types. It
// finds phrases that stop a native reader, and sentences of the interface that are too long.
//
//     node scripts/lint/words.mjs

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** What not to write, and what to write instead. */
const BANNED = [
  [/\b(is|are|was|be) had\b/i, "is available; can be downloaded"],
  [/\b(goes|go|going|went) on (with|where|by|from|to|until|as|in)\b/i, "continues, resumes"],
  [/\bwrit(es?|ing|ten) (a text )?on\b/i, "continues"],
  [/\bgoes on\b/i, "continues, resumes"],
  [/\btells\b/i, "says, shows, reports"],
  [/\bis told\b|\bare told\b/i, "is reported, is passed"],
  [/\bnobody (should|needs?|has to)\b/i, "say who does what"],
  [/\banew\b/i, "again"],
  [/\bso many (?!that)/i, "this many, that many"],
  [/\bwhoever\b/i, "anyone who"],
  [/\blikeliest\b/i, "most likely"],
  [/\bsome \d/i, "about"],
  [/\bat length\b/i, "in full"],
  [/\b(as|what stands) above\b/i, "the text above, like …"],
  [/\bhas no room any ?more\b|\bhas room\b/i, "fits, no longer fits"],
  [/\bany more\b/i, "no longer"],
  [/\bin the place of\b/i, "instead of"],
  [/\bfor ever\b/i, "forever"],
  [/\bthis computer\b/i, "this device"],
  [/\bthe text is one\b/i, "share one text"],
  [/\bother beginnings\b|\bthis beginning\b/i, "openings, this opening"],
  [/\bmost tokens to write\b|\bdraw from\b/i, "maximum length, sample from"],
  [/\bkept here\b/i, "saved"],
  [/(^|[.!?] )(Of|Who) (an?|the|another|all|has|finds|wants)\b/, "begin with the subject"],
  [/\bget short\b|\bgets short\b/i, "runs out"],
  [/\bas it comes\b/i, "as published"],
  [/\bwhat can be given\b/i, "accepted formats"],
];
const MOST_WORDS = 25;
/** Text by others, and text that no user reads: the types of the engine's glue. */
const APART =
  /node_modules|www\/models|\.vitepress|evaluate\/samples\.js|tokenformer-web\.d\.ts|tests?\.rs|\/(tests|scripted|conformance)\//;

/**
 * The faults of a text: "phrase: instead". `isInterface`: sentences have a maximum length.
 *
 * @param {string} text
 * @param {{ isInterface?: boolean }} [options]
 * @returns {string[]}
 */
export function faultsOf(text, { isInterface = false } = {}) {
  const flat = text.replace(/\s+/g, " ").trim();
  const found = BANNED.flatMap(([pattern, instead]) => {
    const [phrase] = pattern.exec(flat) ?? [];
    return phrase ? [`"${phrase.trim()}": write ${instead}`] : [];
  });
  if (!isInterface) return found;
  const long = flat.split(/(?<=[.!?:;])\s+/).filter((sentence) => sentence.split(" ").length > MOST_WORDS);
  return [...found, ...long.map((sentence) => `${sentence.split(" ").length} words: "${sentence}"`)];
}

/** The prose of a Markdown file, a paragraph, item or row at a time. @param {string} text */
export function proseOf(text) {
  return text
    .replace(/^```[^]*?^```$/gm, "")
    .replace(/<!--[^]*?-->/g, "")
    .split(/\n\n+|\n(?=\|)|\n(?=\s*(?:[-*]|\d+\.) )/)
    .map((part) => part.replace(/`[^`]*`/g, "X").replace(/\]\([^)]*\)/g, "]"));
}

/** The texts that a page shows, and attributes that are read aloud or displayed. @param {string} html */
export function shownBy(html) {
  const bare = html.replace(/<!--[^]*?-->|<(script|style)[^]*?<\/\1>/g, "");
  const attributes = [...bare.matchAll(/\b(?:content|aria-label|title|placeholder|alt)="([^"]*)"/g)].map(([, v]) => v);
  // An inline element is part of its sentence.
  const texts = bare.replace(/<\/?(?:a|b|code|em|i|kbd|span|strong)\b[^>]*>/g, " ").split(/<[^>]*>/);
  return [...texts, ...attributes.filter((text) => !text.includes("default-src"))].filter((text) => text.trim());
}

/** The strings of a script that are sentences, or parts of one. @param {string} code */
export function stringsOf(code) {
  const found = [];
  const visit = (node) => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) found.push(node.text);
    else if (ts.isTemplateExpression(node))
      found.push([node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join("X"));
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("a.js", code, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS));
  return found.filter((text) => /[a-z] [a-z]/i.test(text) && !/[{};]\s*\n|^\s*@|<!doctype/.test(text));
}

/** The strings of a Rust file that are sentences, or parts of one; without its tests. @param {string} code */
export function rustStringsOf(code) {
  const [own] = code.split("#[cfg(test)]");
  const strings = own.replace(/^\s*\/\/.*$/gm, "").matchAll(/"((?:[^"\\]|\\[^])*)"/g);
  const found = [...strings].map(([, text]) => text.replace(/\\\n\s*/g, "").replaceAll("\\n", "\n"));
  return found.filter((text) => /[a-z] [a-z]/i.test(text));
}

/** The comments of a file of types. @param {string} types */
export function commentsOf(types) {
  return [...types.matchAll(/\/\*\*([^]*?)\*\//g)].map(([, comment]) =>
    comment.replace(/^\s*\*\s?/gm, "").replace(/`[^`]*`/g, "X"),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const below = (folder, ending) =>
    readdirSync(join(root, folder), { recursive: true })
      .map((name) => join(folder, String(name)))
      .filter((path) => path.endsWith(ending) && !APART.test(path));
  const kinds = [
    [["README.md", ...below("docs", ".md")], proseOf, {}],
    [["index.html", ...below("www", ".html")], shownBy, { isInterface: true }],
    [below("www", ".js"), stringsOf, { isInterface: true }],
    [below("src", ".rs"), rustStringsOf, { isInterface: true }],
    [below("www", ".d.ts"), commentsOf, {}],
  ];
  for (const [paths, partsOf, options] of kinds)
    for (const path of paths)
      for (const part of partsOf(readFileSync(join(root, path), "utf8")))
        for (const fault of faultsOf(part, options)) {
          console.error(`${path}: ${fault}`);
          process.exitCode = 1;
        }
}
