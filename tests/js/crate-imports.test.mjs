// What the files of src/ import: no file depends on itself by way of others, and no room imports from a higher floor.
//
// A `mod.rs` that only names what its folder has is a door, not a floor: a name that comes through it counts as an
// import from the file that defines it. Tests may import everything.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

/** The rooms of src/, the lowest first. Rooms on the same floor do not import each other. ARCHITECTURE.md shows the same. */
const FLOORS = [
  ["error"],
  ["config", "hash", "options", "sizes"],
  ["pattention", "platform", "sampling", "tokenizer"],
  ["packs"],
  ["engine", "gpu", "hub"],
  ["checkpoint"],
  ["cpu", "reference", "store"],
  ["model", "quantizer"],
  ["any_model"],
  ["generate", "load", "training"],
  ["api"],
];

const isTest = (path) => /(^|\/)tests(\/|\.rs$)/.test(path);
const files = readdirSync(SRC, { recursive: true })
  .filter((path) => path.endsWith(".rs") && !isTest(path) && !path.startsWith("bin/"))
  .sort();

/** The text without comments, and without the tests at its end. */
const texts = new Map(
  files.map((path) => [
    path,
    readFileSync(join(SRC, path), "utf8")
      .replace(/\n#\[cfg\(test\)\]\n(pub )?mod \w+ \{[^]*$/, "\n")
      .replace(/\/\/.*$/gm, ""),
  ]),
);

/** The module of a file, as the list of its names. */
const moduleOf = (path) => (path === "lib.rs" ? [] : path.replace(/(\/mod)?\.rs$/, "").split("/"));
const fileOf = new Map(files.map((path) => [moduleOf(path).join("::"), path]));

/** `a::{b, c::{d as e}}` as `a::b` and `a::c::d`. */
function leaves(tree) {
  const text = tree.trim().replace(/\s+as\s+\w+$/, "");
  const brace = text.indexOf("{");
  if (brace < 0) return [text.replace(/::self$/, "")];
  const [head, body] = [text.slice(0, brace), text.slice(brace + 1, text.lastIndexOf("}"))];
  const parts = [];
  let [depth, from] = [0, 0];
  for (let i = 0; i <= body.length; i += 1) {
    if (body[i] === "{") depth += 1;
    else if (body[i] === "}") depth -= 1;
    else if (i === body.length || (body[i] === "," && depth === 0)) {
      if (body.slice(from, i).trim()) parts.push(body.slice(from, i));
      from = i + 1;
    }
  }
  return parts.flatMap((part) => leaves(head + part.trim())).map((leaf) => leaf.replace(/::self$/, ""));
}

const uses = (path) => [...texts.get(path).matchAll(/(^|\n)\s*((?:pub(?:\([^)]*\))? )?)use ([^;]+);/g)];

/** A path in its module, as names from the crate's root; null for those of another crate. */
function absolute(names, at, path) {
  let base = [...at];
  let rest = [...names];
  if (rest[0] === "crate") [base, rest] = [[], rest.slice(1)];
  else if (rest[0] === "self") rest = rest.slice(1);
  else if (rest[0] === "super") {
    while (rest[0] === "super") [base, rest] = [base.slice(0, -1), rest.slice(1)];
  } else if (!(path.endsWith("mod.rs") || path === "lib.rs") || !fileOf.has([...at, rest[0]].join("::"))) return null;
  return [...base, ...rest];
}

/** The file that defines `names`: through doors, as often as necessary. */
function definedIn(names, depth = 0) {
  for (let n = names.length; n >= 0; n -= 1) {
    const path = fileOf.get(names.slice(0, n).join("::"));
    if (path === undefined) continue;
    const name = names[n];
    const shown = depth < 8 && name !== undefined ? reexports(path).get(name) : undefined;
    return shown ? definedIn([...shown, ...names.slice(n + 1)], depth + 1) : path;
  }
  return null;
}

function reexports(path) {
  const shown = new Map();
  for (const [, , isPublic, tree] of uses(path)) {
    if (!isPublic) continue;
    for (const leaf of leaves(tree)) {
      const names = absolute(leaf.split("::"), moduleOf(path), path);
      if (names) shown.set(names.at(-1), names);
    }
  }
  return shown;
}

/** The files that a file imports. Names that it only re-exports through its door do not count. */
function imports(path) {
  const found = new Set();
  const add = (names) => {
    const target = names && definedIn(names);
    if (target && target !== path) found.add(target);
  };
  for (const [, , isPublic, tree] of uses(path)) {
    if (isPublic && (path.endsWith("mod.rs") || path === "lib.rs")) continue;
    for (const leaf of leaves(tree)) add(absolute(leaf.split("::"), moduleOf(path), path));
  }
  // Full paths in the text.
  const text = texts.get(path).replace(/(^|\n)\s*(pub(\([^)]*\))? )?use [^;]+;/g, "\n");
  for (const [whole] of text.matchAll(/\b(?:crate|super)(?:::\w+)+/g))
    add(absolute(whole.split("::"), moduleOf(path), path));
  return [...found].sort();
}

/** Sets of more than one file that depend on each other (Tarjan's strongly connected components). */
function circles(graph) {
  const [index, low, stack, found] = [new Map(), new Map(), [], []];
  const visit = (node) => {
    index.set(node, index.size);
    low.set(node, index.get(node));
    stack.push(node);
    for (const next of graph.get(node)) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node), low.get(next)));
    }
    if (low.get(node) === index.get(node)) {
      const circle = stack.splice(stack.indexOf(node));
      if (circle.length > 1) found.push(circle.sort());
    }
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return found.sort();
}

const graph = new Map(files.map((path) => [path, imports(path)]));
if (process.env.TOKENFORMER_GRAPH) {
  for (const [path, needs] of graph) console.log(path, "→", needs.join(" "));
}

test("imports are found, through doors and without", () => {
  assert.deepEqual(leaves("a::{b, c::{self, d as e}}"), ["a::b", "a::c", "a::c::d"]);
  assert.ok(graph.get("model/backend.rs").includes("model/gpu_model.rs"));
  assert.ok(graph.get("model/backend.rs").includes("engine/backend.rs"), "through engine/mod.rs");
  assert.ok(graph.get("api/bench.rs").includes("model/loading.rs"), "through model/mod.rs");
  const ring = new Map([
    ["a", ["b"]],
    ["b", ["c"]],
    ["c", ["b"]],
  ]);
  assert.deepEqual(circles(ring), [["b", "c"]]);
});

test("no circle of files is in src/", () => {
  const found = circles(graph).map((circle) => circle.join(" "));
  assert.deepEqual(found, [], `circles of imports from ${relative(dirname(SRC), SRC)}/`);
});

const roomOf = (path) => path.replace(/(\/.*)?(\.rs)?$/, "");
const floorOf = (path) => FLOORS.findIndex((rooms) => rooms.includes(roomOf(path)));

test("every file of src/ has a floor", () => {
  assert.deepEqual([roomOf("model/kernels/layers/mod.rs"), roomOf("hash.rs")], ["model", "hash"]);
  const rooms = new Set(files.filter((path) => path !== "lib.rs").map(roomOf));
  assert.deepEqual([...rooms].sort(), FLOORS.flat().sort());
});

test("no import goes to a higher floor, or to another room of the same one", () => {
  const isDown = (path, target) => floorOf(target) < floorOf(path) || roomOf(target) === roomOf(path);
  assert.deepEqual([isDown("cpu/mod.rs", "model/plan.rs"), isDown("cpu/mod.rs", "store/mod.rs")], [false, false]);
  let count = 0;
  const up = [];
  for (const [path, targets] of graph)
    for (const target of targets) {
      // The crate's root only names the rooms.
      if (path === "lib.rs" || target === "lib.rs") continue;
      count += 1;
      if (!isDown(path, target)) up.push(`${path} imports ${target}`);
    }
  assert.deepEqual(up, []);
  assert.ok(count > 600, `only ${count} imports were found`);
});

test("ARCHITECTURE.md shows the floors", () => {
  const document = readFileSync(join(SRC, "../ARCHITECTURE.md"), "utf8").replace(/\s+/g, " ");
  const shown = FLOORS.map((rooms) => rooms.map((room) => `\`${room}\``).join(", ")).join(" · ");
  assert.ok(document.includes(shown), `ARCHITECTURE.md lacks: ${shown}`);
});
