// The rooms of www/ are on floors, and import only from lower ones.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const WWW = fileURLToPath(new URL("../../www/", import.meta.url));
/** The lowest first. Rooms on the same floor do not import each other. */
const FLOORS = [
  ["lib"],
  ["lib/engine", "lib/hub", "lib/store"],
  ["lib/http"],
  ["lib/api"],
  ["lib/element", "lib/ai-sdk"],
  ["tokenformer.js", "ai-sdk.js", "requests.js"],
  ["page/stories"],
  ["page/packs"],
  ["page"],
  ["page/evaluate", "page/bench", "page/inspect"],
];
/** Files that trunk and wasm-bindgen create, and files that a browser starts by itself. */
const APART = ["tokenformer-web.js", "service-worker.js"];

const files = readdirSync(WWW, { recursive: true })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".js") && !APART.includes(path));
const source = (path) => readFileSync(join(WWW, path), "utf8");
const roomOf = (path) => (path.includes("/") ? dirname(path) : path);
const floorOf = (path) => FLOORS.findIndex((rooms) => rooms.includes(roomOf(path)));

/** Files that a file imports, or starts as a worker; type imports only with `types`. */
function importsOf(path, { types = false } = {}) {
  const text = source(path);
  const code = text.replace(/\/\*(?!\s*@vite-ignore)[^]*?\*\/|^\s*\/\/.*$/gm, "");
  const imports = /(?:\bfrom |\bimport |\bimport\(\s*|\bnew URL\()"(\.{1,2}\/[^"]+\.js)"/g;
  const found = [...(types ? text : code).matchAll(imports)];
  return [...new Set(found.map(([, address]) => normalize(join(dirname(path), address))))].filter(
    (target) => !APART.includes(target),
  );
}

test("every file has a floor", () => {
  assert.ok(files.length > 50);
  for (const path of files) assert.notEqual(floorOf(path), -1, path);
  for (const room of FLOORS.flat())
    assert.ok(
      files.some((path) => roomOf(path) === room),
      `nothing is in ${room}`,
    );
});

test("no import goes up, or to another room of the same floor", () => {
  let count = 0;
  for (const path of files)
    for (const target of importsOf(path, { types: true })) {
      assert.ok(files.includes(target), `${path} imports ${target}, which is not there`);
      count += 1;
      // The types of tokenformer.d.ts are the contract, and every room keeps to it.
      if (target === "tokenformer.js" && !importsOf(path).includes(target)) continue;
      const isDown = floorOf(target) < floorOf(path) || roomOf(target) === roomOf(path);
      assert.ok(isDown, `${path} imports ${target}`);
    }
  assert.ok(count > 150, `only ${count} imports were found`);
});

test("no imports go round in a circle", () => {
  const done = new Set();
  const visit = (path, way) => {
    assert.ok(!way.includes(path), [...way.slice(way.indexOf(path)), path].join(" → "));
    if (done.has(path)) return;
    for (const target of importsOf(path)) visit(target, [...way, path]);
    done.add(path);
  };
  for (const path of files) visit(path, []);
});
