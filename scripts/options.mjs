// Writes the tables of options, attributes and errors in docs/, and the options in tokenformer.d.ts, from the tables
// that the code uses for its checks: run it after a change of www/lib/api/generate-options.js,
// www/lib/api/train-options.js, LOAD_OPTIONS or an error's remedy.
//
//     node scripts/options.mjs
//
// A table is in a page between `<!-- scripts/options.mjs: NAME -->` and `<!-- end -->`; NAME is a key of TABLES.
// tests/js/docs.test.mjs fails if it is out of date.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { COMPLETION_OPTIONS } from "../www/lib/api/completions.js";
import {
  ALTERNATIVES_OPTIONS,
  GENERATE_OPTIONS,
  LOAD_OPTIONS,
  rangeInWords,
  TRAIN_OPTIONS,
} from "../www/lib/api/options.js";
import { ATTRIBUTE_TABLE } from "../www/lib/element/attributes.js";
import { REMEDIES } from "../www/lib/errors.js";

/** Types as the documentation names them, and as TypeScript does. */
const TYPES = {
  string: ["string", "string"],
  url: ["http(s) address", "string"],
  boolean: ["boolean", "boolean"],
  shape: ["object", "Partial<ModelConfig>"],
  texts: ["array of strings", "readonly string[]"],
  biases: ["object { id: number }", "Readonly<Record<number, number>>"],
  pack: ["token pack", "PackSource"],
  packs: ["array of token packs", "readonly PackSource[]"],
  signal: ["AbortSignal", "AbortSignal"],
  signals: ["array of AbortSignals", "readonly (AbortSignal | null | undefined)[]"],
  function: ["function", "Function"],
};

function typeInWords(option) {
  const { type, values } = option;
  if (type === "enum") return values.map((v) => `\`"${v}"\``).join(", ");
  // JavaScript's largest exact integer is not a limit that users will meet.
  if (type === "integer" || type === "number") return `${type} ${rangeInWords(option).replace(", below 2^53", "")}`;
  return type === "object" ? "object" : TYPES[type][0];
}

function typeInTypes({ type, values, fields }) {
  if (type === "enum") return values.map((v) => `"${v}"`).join(" | ");
  if (type === "integer" || type === "number") return "number";
  if (type === "object")
    return `{ ${Object.entries(fields)
      .map(([name, field]) => `${name}?: ${typeInTypes(field)}`)
      .join("; ")} }`;
  return TYPES[type][1];
}

/** An option as table rows: one, plus one for each field of an object. */
export function optionRows(name, option) {
  const { fields = {}, default: standard, about } = option;
  const told = standard === undefined || option.fields ? "" : `\`${JSON.stringify(standard)}\``;
  const own = `| \`${name}\` | ${typeInWords(option)} | ${told} | ${about} |`;
  return [own, ...Object.entries(fields).flatMap(([field, its]) => optionRows(`${name}.${field}`, its))];
}

/** An attribute of <token-former> as a table row. */
export function attributeRow({ attribute, kind, values, default: standard, about }) {
  const kinds = { text: "text", number: "number", boolean: "on or off", json: "JSON", list: "addresses, or JSON" };
  const type = values?.map((value) => `\`${value}\``).join(", ") ?? kinds[kind];
  // Text and numbers are written unchanged in an attribute.
  const told = standard === undefined || kind === "json" || kind === "list" ? "" : `\`${standard}\``;
  return `| \`${attribute}\` | ${type} | ${told} | ${about} |`;
}

/** An error code as a table row: what its comment in tokenformer.d.ts says happened, and the usual remedy. */
export function errorRow(code, types) {
  const [, happened] = types.match(new RegExp(`/\\*\\* (.+)\\. \\*/\\n  \\| "${code}"`)) ?? [];
  if (!happened) throw new Error(`tokenformer.d.ts does not say what ${code} means.`);
  return `| \`${code}\` | ${happened} | ${REMEDIES[code]} |`;
}

/** An option as a member of an interface. */
export function optionMember(name, option) {
  const { doc, leftOut, default: standard } = option;
  const told = standard === undefined ? leftOut : JSON.stringify(standard);
  if (!doc || told === undefined)
    throw new Error(`The table lacks doc of ${name}, or leftOut where it has no default.`);
  return `  /** ${doc} Default: ${told}. */\n  ${name}?: ${typeInTypes(option)};\n`;
}

/** The order in which options affect the choice of a token: a numbered list. */
export function orderInWords(table) {
  const steps = Object.values(table).flatMap(({ step }) => (step ? [step] : []));
  const names = steps.toSorted(([a], [b]) => a - b).map(([, name]) => name);
  return names.map((name, i) => `${i + 1}. ${name}\n`).join("");
}

/** `text` with the part between two others replaced. */
function between(text, before, after, middle) {
  const start = text.indexOf(before) + before.length;
  const end = text.indexOf(after, start);
  if (start < before.length || end < 0) throw new Error(`There is no place between ${before} and ${after}.`);
  return text.slice(0, start) + middle + text.slice(end);
}

const ofOptions = (table) => ({
  head: ["option", "type", "default", "what it does"],
  rows: () => Object.entries(table).flatMap(([name, option]) => optionRows(name, option)),
});

/** The tables by their names. */
const TABLES = {
  load: ofOptions(LOAD_OPTIONS),
  generate: ofOptions(GENERATE_OPTIONS),
  alternatives: ofOptions(ALTERNATIVES_OPTIONS),
  train: ofOptions(TRAIN_OPTIONS),
  completions: ofOptions(COMPLETION_OPTIONS),
  attributes: {
    head: ["attribute", "value", "default", "what it does"],
    rows: () => ATTRIBUTE_TABLE.map(attributeRow),
  },
  errors: {
    head: ["code", "what happened", "what to do"],
    rows: (types) => Object.keys(REMEDIES).map((code) => errorRow(code, types)),
  },
};
const PLACE = /(<!-- scripts\/options\.mjs: ([\w-]+) -->\n)[^]*?(<!-- end -->)/g;

/** The pages with tables. */
export const PAGES = ["docs/api.md", "docs/element.md", "docs/openai.md", "docs/packs.md", "docs/troubleshooting.md"];

/** A page with up-to-date tables. */
export function writtenPage(page, types) {
  return page.replace(PLACE, (_, begin, name, end) => {
    if (name === "order") return `${begin}\n${orderInWords(GENERATE_OPTIONS)}\n${end}`;
    const { head, rows } = TABLES[name];
    const lines = [`| ${head.join(" | ")} |`, `|${"---|".repeat(head.length)}`, ...rows(types)];
    return `${begin}\n${lines.join("\n")}\n\n${end}`;
  });
}

/** The tables in a page. */
export function tablesOf(page) {
  return [...page.matchAll(PLACE)].map(([, , name]) => name);
}

/** tokenformer.d.ts with up-to-date options. */
export function writtenTypes(types) {
  const members = (table) => table.map(([name, option]) => optionMember(name, option)).join("");
  const generate = members(Object.entries(GENERATE_OPTIONS));
  const withGenerate = between(types, "export interface GenerateOptions {\n", "}\n\n", generate);
  const train = members(Object.entries(TRAIN_OPTIONS).filter(([, option]) => option.doc));
  const last = "  /** A pack to continue training";
  return between(withGenerate, "export interface TrainOptions {\n", last, train);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = (path) => new URL(`../${path}`, import.meta.url);
  const edit = (path, written) => writeFileSync(at(path), written(readFileSync(at(path), "utf8")));
  edit("www/tokenformer.d.ts", writtenTypes);
  const types = readFileSync(at("www/tokenformer.d.ts"), "utf8");
  for (const path of PAGES) edit(path, (page) => writtenPage(page, types));
}
