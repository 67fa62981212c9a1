// The README and the types say what the table of options says.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { COMPLETION_OPTIONS } from "../../www/lib/api/completions.js";
import { attributeName } from "../../www/lib/element/attributes.js";
import { ERROR_CODES } from "../../www/lib/errors.js";
import { GENERATE_OPTIONS, LOAD_OPTIONS, rangeInWords } from "../../www/lib/api/options.js";

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const TYPES = {
  string: "string",
  url: "http(s) address",
  boolean: "boolean",
  shape: "object",
  texts: "array of strings",
  biases: "object { id: number }",
  signal: "AbortSignal",
  function: "function",
};

/** An option as the README's table shows it. */
function optionRow(name, option, { hasAttribute = true } = {}) {
  const type =
    option.type === "enum"
      ? option.values.map((v) => `"${v}"`).join(", ")
      : option.type === "integer" || option.type === "number"
        ? `${option.type} ${rangeInWords(option)}`
        : TYPES[option.type];
  const attribute = ["signal", "function"].includes(option.type) ? "" : `\`${attributeName(name, option)}\``;
  const standard = option.default === undefined ? "" : `\`${JSON.stringify(option.default)}\``;
  return `| \`${name}\` | ${hasAttribute ? `${attribute} | ` : ""}${type} | ${standard} | ${option.about} |`;
}

for (const [title, table] of [
  ["load", LOAD_OPTIONS],
  ["generate", GENERATE_OPTIONS],
]) {
  test(`the README's table of ${title} options is the code's`, () => {
    const readme = read("README.md");
    for (const [name, option] of Object.entries(table)) {
      const row = optionRow(name, option);
      assert.ok(readme.includes(row), `README.md lacks this row:\n${row}`);
    }
  });

  test(`the types name every ${title} option and its default`, () => {
    const types = read("www/tokenformer.d.ts");
    const [, body] = types.split(`export interface ${title === "load" ? "Load" : "Generate"}Options {`);
    const declared = body.slice(0, body.indexOf("\n}"));
    assert.deepEqual(
      [...declared.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name),
      Object.keys(table),
    );
    for (const [name, option] of Object.entries(table)) {
      const [comment] = declared.match(new RegExp(`/\\*\\*[^\\n]*\\n {2}${name}\\?:`));
      if (option.default !== undefined)
        assert.ok(comment.includes(`Default: ${JSON.stringify(option.default)}.`), `${name}: ${comment}`);
    }
  });
}

test("the README's table of completions' parameters is the code's", () => {
  const readme = read("README.md");
  for (const [name, option] of Object.entries(COMPLETION_OPTIONS)) {
    const row = optionRow(name, option, { hasAttribute: false });
    assert.ok(readme.includes(row), `README.md lacks this row:\n${row}`);
  }
});

test("the types name every parameter of completions and its default", () => {
  const [, body] = read("www/tokenformer.d.ts").split("export interface CompletionParams {");
  const declared = body.slice(0, body.indexOf("\n}"));
  for (const [name, option] of Object.entries(COMPLETION_OPTIONS)) {
    const [comment] =
      declared.match(new RegExp(`/\\*\\*[^\\n]*\\n {2}${name}\\?:`)) ?? assert.fail(`${name} is not typed`);
    if (option.default !== undefined)
      assert.ok(comment.includes(`Default: ${JSON.stringify(option.default)}.`), `${name}: ${comment}`);
  }
});

test("every error code is typed and has its remedy in the README", () => {
  const [types, readme] = [read("www/tokenformer.d.ts"), read("README.md")];
  for (const code of ERROR_CODES) {
    assert.ok(types.includes(`| "${code}"`), code);
    assert.match(readme, new RegExp(`^\\| \`${code}\` \\| .+ \\| .+ \\|$`, "m"), code);
  }
});

/** A struct's defaults in Rust, by the names of JavaScript. */
function defaultsIn(path) {
  const [, body] = read(path).match(/impl Default for \w+ \{[^]*?Self \{([^]*?)\}/);
  const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  const fields = [...body.matchAll(/(\w+): ([^,\n]+?)(?=,| *$)/gm)].map(([, name, value]) => [camel(name), value]);
  return Object.fromEntries(fields);
}

/** A range as Rust's errors tell it. */
function rangeOf(words) {
  const number = "(-?[\\d.]+(?:\\^\\d+)?)";
  const find = (before) => {
    const found = words.match(new RegExp(`${before} ${number}`))?.[1];
    return found === "2^53" ? 2 ** 53 : found === undefined ? undefined : Number(found);
  };
  const [least, above, most, below] = ["at least", "above", "at most", "below"].map(find);
  const [, from, to] = words.match(new RegExp(`between ${number} and ${number}`)) ?? [];
  return {
    min: least ?? above ?? (from && Number(from)),
    aboveMin: above !== undefined,
    max: most ?? below ?? (to && Number(to)),
    belowMax: below !== undefined,
  };
}

test("defaults and ranges of the generate options are those of Rust", () => {
  const defaults = { ...defaultsIn("src/sampling/options.rs"), ...defaultsIn("src/generate/options.rs") };
  let count = 0;
  for (const [name, { default: standard }] of Object.entries(GENERATE_OPTIONS)) {
    if (!["number", "boolean"].includes(typeof standard)) continue;
    assert.equal(JSON.parse(defaults[name] ?? "null"), standard, name);
    count += 1;
  }
  assert.equal(count, 10);
  const rust = read("src/sampling/options.rs") + read("src/generate/options.rs");
  const ranges = [
    ...[...rust.matchAll(/"(\w+)", "([^"]+)",/g)],
    ...[...rust.matchAll(/"(\w+) is (?:\d+|\{\}); it must be ([^"]+)\."/g)],
  ];
  for (const [, name, words] of ranges) {
    const { min, aboveMin = false, max, belowMax = false } = GENERATE_OPTIONS[name];
    const told = rangeOf(words);
    if (told.min !== undefined) assert.deepEqual([min, aboveMin], [told.min, told.aboveMin], `${name}: ${words}`);
    // Integers in JavaScript: the largest is the one below.
    const isBelow = max === Number.MAX_SAFE_INTEGER && told.max === 2 ** 53;
    if (told.max !== undefined && !isBelow)
      assert.deepEqual([max, belowMax], [told.max, told.belowMax], `${name}: ${words}`);
  }
  assert.deepEqual(ranges.map(([, name]) => name).toSorted(), [
    "frequencyPenalty",
    "logprobs",
    "maxTokens",
    "minP",
    "presencePenalty",
    "repetitionPenalty",
    "seed",
    "temperature",
    "topP",
  ]);
});
