// Writes what README.md and tokenformer.d.ts say of options, by the tables that the code checks by: after a change of
// www/lib/api/generate-options.js, www/lib/api/train-options.js or of LOAD_OPTIONS.
//
//     node scripts/options.mjs
//
// tests/js/docs.test.mjs fails where that was not done.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { GENERATE_OPTIONS, LOAD_OPTIONS, rangeInWords, TRAIN_OPTIONS } from "../www/lib/api/options.js";
import { attributeName } from "../www/lib/element/attributes.js";

/** Types as the README tells them, and as TypeScript does. */
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
  const { type, values, fields } = option;
  if (type === "enum") return values.map((v) => `"${v}"`).join(", ");
  if (type === "integer" || type === "number") return `${type} ${rangeInWords(option)}`;
  if (type === "object")
    return `object { ${Object.entries(fields)
      .map(([name, field]) => `${name}: ${typeInWords(field)}`)
      .join("; ")} }`;
  return TYPES[type][0];
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

/** An option as the README's table shows it. */
export function optionRow(name, option, { hasAttribute = true } = {}) {
  const attribute = ["pack", "signal", "signals", "function"].includes(option.type)
    ? ""
    : `\`${attributeName(name, option)}\``;
  const standard = option.default === undefined ? "" : `\`${JSON.stringify(option.default)}\``;
  return `| \`${name}\` | ${hasAttribute ? `${attribute} | ` : ""}${typeInWords(option)} | ${standard} | ${option.about} |`;
}

/** An option as a member of an interface. */
export function optionMember(name, option) {
  const { doc, leftOut, default: standard } = option;
  const told = standard === undefined ? leftOut : JSON.stringify(standard);
  if (!doc || told === undefined)
    throw new Error(`The table lacks doc of ${name}, or leftOut where it has no default.`);
  return `  /** ${doc} Default: ${told}. */\n  ${name}?: ${typeInTypes(option)};\n`;
}

/** The order in which options change the choice of a token, in words. */
export function orderInWords(table) {
  const steps = Object.values(table).flatMap(({ step }) => (step ? [step] : []));
  return steps
    .toSorted(([a], [b]) => a - b)
    .map(([, name]) => name)
    .join(", ");
}

/** `text` with what stands between two parts of it replaced. */
function between(text, before, after, middle) {
  const start = text.indexOf(before) + before.length;
  const end = text.indexOf(after, start);
  if (start < before.length || end < 0) throw new Error(`There is no place between ${before} and ${after}.`);
  return text.slice(0, start) + middle + text.slice(end);
}

/** README.md with the tables of today. */
export function writtenReadme(readme) {
  const head = "\n\n| option | attribute | type | default | |\n|---|---|---|---|---|\n";
  const rows = (table) => Object.entries(table).map(([name, option]) => optionRow(name, option));
  const withLoad = between(readme, `### Options of \`load\`${head}`, "\n\n", rows(LOAD_OPTIONS).join("\n"));
  const title = `### Options of \`generate\` and \`complete\`${head}`;
  const withGenerate = between(withLoad, title, "\n\n", rows(GENERATE_OPTIONS).join("\n"));
  const trainHead = "\n\n| option | type | default | |\n|---|---|---|---|\n";
  const trainRows = Object.entries(TRAIN_OPTIONS).map(([name, option]) =>
    optionRow(name, option, { hasAttribute: false }),
  );
  const withTrain = between(withGenerate, `### Options of \`train\`${trainHead}`, "\n\n", trainRows.join("\n"));
  return between(withTrain, "They apply in this order: ", ", draw.", orderInWords(GENERATE_OPTIONS));
}

/** tokenformer.d.ts with the options of today. */
export function writtenTypes(types) {
  const members = (table) => table.map(([name, option]) => optionMember(name, option)).join("");
  const generate = members(Object.entries(GENERATE_OPTIONS));
  const withGenerate = between(types, "export interface GenerateOptions {\n", "}\n\n", generate);
  const train = members(Object.entries(TRAIN_OPTIONS).filter(([, option]) => option.doc));
  const last = "  /** A pack to go on from";
  return between(withGenerate, "export interface TrainOptions {\n", last, train);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, written] of [
    ["README.md", writtenReadme],
    ["www/tokenformer.d.ts", writtenTypes],
  ]) {
    const file = new URL(`../${path}`, import.meta.url);
    writeFileSync(file, written(readFileSync(file, "utf8")));
  }
}
