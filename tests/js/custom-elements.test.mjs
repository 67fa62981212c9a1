// The manifest of <token-former> matches the code, and is complete.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { MANIFEST, manifestText } from "../../scripts/custom-elements.mjs";
import { ATTRIBUTES } from "../../www/lib/element/attributes.js";

const text = readFileSync(MANIFEST, "utf8");
const [element] = JSON.parse(text).modules[0].declarations;
const names = (list) => list.map(({ name }) => name).sort();
const room = new URL("../../www/lib/element/", import.meta.url);
const source = readdirSync(room)
  .map((name) => readFileSync(new URL(name, room), "utf8"))
  .join("\n");
const inSource = (pattern) =>
  [...new Set([...source.matchAll(pattern)].flatMap(([, found]) => found.split(" ")))].sort();

test("the manifest is what the code, the types and the documentation say", () => {
  assert.equal(text, manifestText(), "Run node scripts/custom-elements.mjs.");
});

test("it names all attributes, and all that pages can style and fill", () => {
  assert.deepEqual(names(element.attributes), [...ATTRIBUTES].sort());
  assert.deepEqual(names(element.cssParts), inSource(/part: "([^"]+)"/g));
  assert.deepEqual(names(element.slots), ["", ...inSource(/make\("slot", \{ name: "(\w+)" \}\)/g), "fallback"].sort());
  assert.deepEqual(names(element.cssProperties), inSource(/var\((--token-former-[\w-]+)/g));
  assert.deepEqual(names(element.events), [
    "alternative",
    "beforegenerate",
    "done",
    "error",
    "input",
    "load",
    "progress",
    "token",
  ]);
});
