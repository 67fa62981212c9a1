// The README and the types say what the table of options says.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { COMPLETION_OPTIONS } from "../../www/lib/api/completions.js";
import { ERROR_CODES } from "../../www/lib/errors.js";
import { ALTERNATIVES_OPTIONS, complete, LOAD_OPTIONS, TRAIN_OPTIONS } from "../../www/lib/api/options.js";
import { optionMember, optionRow, orderInWords, writtenReadme, writtenTypes } from "../../scripts/options.mjs";
import { ROWS } from "../fixtures/every-option.js";

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test("README and types say what the tables of options say", () => {
  const hint = "run: node scripts/options.mjs";
  assert.equal(read("README.md"), writtenReadme(read("README.md")), hint);
  assert.equal(read("www/tokenformer.d.ts"), writtenTypes(read("www/tokenformer.d.ts")), hint);
});

test("every type of an option can be written", () => {
  const table = complete(ROWS);
  assert.equal(
    optionRow("dry", table.dry),
    "| `dry` | `dry` | object { multiplier: number from 0; base: number from 1; allowedLength: integer from 1, below 2^53; " +
      'breakers: array of strings } | `{"multiplier":0,"base":1.75,"allowedLength":2,"breakers":["\\n","\\""]}` | an object |',
  );
  assert.equal(
    optionMember("dry", table.dry),
    '  /** An object. Default: {"multiplier":0,"base":1.75,"allowedLength":2,"breakers":["\\n","\\""]}. */\n' +
      "  dry?: { multiplier?: number; base?: number; allowedLength?: number; breakers?: readonly string[] };\n",
  );
  assert.equal(optionMember("key", table.key), "  /** A wide integer. Default: a random one. */\n  key?: number;\n");
  assert.match(optionMember("overflow", { ...table.overflow, doc: "One." }), /overflow\?: "stop" \| "slide";/);
  assert.throws(() => optionMember("banned", table.banned), /lacks doc of banned/);
  assert.equal(orderInWords(table), "dry, the share");
});

test("the types name every load option and its default", () => {
  const [, body] = read("www/tokenformer.d.ts").split("export interface LoadOptions {");
  const declared = body.slice(0, body.indexOf("\n}"));
  assert.deepEqual(
    [...declared.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name),
    Object.keys(LOAD_OPTIONS),
  );
  for (const [name, option] of Object.entries(LOAD_OPTIONS)) {
    const [comment] = declared.match(new RegExp(`/\\*\\*[^\\n]*\\n {2}${name}\\?:`));
    if (option.default !== undefined)
      assert.ok(comment.includes(`Default: ${JSON.stringify(option.default)}.`), `${name}: ${comment}`);
  }
});

test("the README's tables of completions' parameters and of alternatives are the code's", () => {
  const readme = read("README.md");
  for (const [name, option] of [COMPLETION_OPTIONS, ALTERNATIVES_OPTIONS].flatMap(Object.entries)) {
    const row = optionRow(name, option, { hasAttribute: false });
    assert.ok(readme.includes(row), `README.md lacks this row:\n${row}`);
  }
});

for (const [type, table] of [
  ["CompletionParams", COMPLETION_OPTIONS],
  ["AlternativesOptions extends GenerateOptions", ALTERNATIVES_OPTIONS],
  ["TrainOptions", TRAIN_OPTIONS],
])
  test(`the types name every parameter of ${type} and its default`, () => {
    const [, body] = read("www/tokenformer.d.ts").split(`export interface ${type} {`);
    const declared = body.slice(0, body.indexOf("\n}"));
    for (const [name, option] of Object.entries(table)) {
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
