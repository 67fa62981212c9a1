// The embedded model is defined in one place: what the build, its documents and its tests know about it follows from
// www/lib/embedded.js, and matches the folder. And how scripts/embed-model writes these.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { read, Refused } from "../../scripts/embed-model.d/options.mjs";
import {
  card,
  difference,
  evaluation,
  factsOf,
  parametersOf,
  readme,
  table,
  withFacts,
  withSettings,
} from "../../scripts/embed-model.d/written.mjs";
import { EMBEDDED } from "../../www/lib/embedded.js";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const text = (path) => readFileSync(at(path), "utf8");
const FOLDER = `www/models/${EMBEDDED.name}`;

test("there is one model, and embedded.js says what it is", () => {
  assert.deepEqual(readdirSync(at("www/models")), [EMBEDDED.name]);
  const config = JSON.parse(text(`${FOLDER}/config.json`));
  const { files } = JSON.parse(text(`${FOLDER}/manifest.json`));
  const sum = (all) => all.map((name) => statSync(join(at(FOLDER), name)).size).reduce((a, b) => a + b);
  const names = files.map(({ path }) => path);
  assert.equal(EMBEDDED.weightBytes, sum(names.filter((name) => name.endsWith(".safetensors"))));
  assert.equal(EMBEDDED.downloadBytes, sum([...names, "manifest.json"]));
  assert.equal(EMBEDDED.parameters, parametersOf(config));
  assert.equal(EMBEDDED.contextLength, config.max_position_embeddings);
  const { num_bits: bits } = config.quantization_config?.config_groups.group_0.weights ?? { num_bits: 16 };
  assert.equal(EMBEDDED.quantization, { 4: "q4", 8: "q8", 16: "f16" }[bits]);
});

test("what depends on it is as scripts/embed-model writes it", () => {
  assert.equal(withFacts(text("www/lib/embedded.js"), EMBEDDED), text("www/lib/embedded.js"));
  assert.deepEqual(factsOf(text("www/lib/embedded.js")), EMBEDDED);
  for (const page of [
    "index.html",
    "examples/plain/index.html",
    "examples/vite/src/main.ts",
    "README.md",
    "docs/index.md",
    "docs/element.md",
    "docs/api.md",
  ])
    assert.ok(withSettings(text(page), EMBEDDED) === text(page), `${page} has other settings, or another label`);
  const [, measured] = text(`${FOLDER}/README.md`).split("\n## In this build\n");
  const rows = measured.split("\n").filter((line) => / % \|/.test(line));
  assert.notEqual(rows.length, 0);
  const page = text("docs/evaluation.md");
  for (const row of rows) assert.ok(page.includes(row), `docs/evaluation.md lacks this row of the card:\n${row}`);
});

test("what the page links of it is there", () => {
  const links = [...text("index.html").matchAll(/href="(models\/[^"]+)"/g)].map(([, path]) => path);
  assert.notEqual(links.length, 0);
  for (const path of links) assert.ok(existsSync(at(`www/${path}`)), path);
});

test("nothing else names the model", () => {
  const named = [];
  for (const folder of ["www", "src", "shaders", "tests", "examples", "eval", "scripts", "docs", "fuzz"])
    for (const entry of readdirSync(at(folder), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath ?? entry.path, entry.name);
      if (!entry.isFile() || /node_modules|\/\.venv\/|\/target\/|\/tests\/out\/|\.(bin|safetensors|png)$/.test(path))
        continue;
      if (path.startsWith(at(FOLDER)) || [at("www/lib/embedded.js"), at("docs/evaluation.md")].includes(path)) continue;
      if (/tokenformer-\d+m-[a-z]/.test(readFileSync(path, "utf8"))) named.push(path);
    }
  assert.deepEqual(named, []);
  const paths = [...text("README.md").matchAll(/www\/models\/([^/`)]+)/g)].map(([, name]) => name);
  assert.ok(paths.length > 0 && paths.every((name) => name === EMBEDDED.name), paths.join());
});

const LAST = {
  name: "old",
  label: "Old",
  about: "books",
  quantization: "q8",
  calibrated: 0,
  contextLength: 64,
  perplexityLimit: 0.01,
  sampling: { temperature: 1, topP: 0.5, repetitionPenalty: 1 },
};
const asked = (...given) => read(given, (folder) => folder.split("/").at(-1), LAST);

test("options that are not given are those of the last time, for the same model only", () => {
  const { folder, texts, ...same } = asked("a/old");
  const { name: _name, perplexityLimit: limit, ...last } = LAST;
  assert.deepEqual([folder, texts, same], ["a/old", [], { ...last, limit }]);
  const other = asked("a/new", "--label", "New");
  assert.deepEqual(
    [other.label, other.about, other.quantization, other.calibrated, other.contextLength, other.limit],
    ["New", undefined, "q4", 32768, undefined, 0.02],
  );
  assert.equal(asked("old", "--quantization", "q4").calibrated, 32768);
  assert.equal(asked("old", "--calibrate", "0").calibrated, 0);
  assert.deepEqual(asked("old", "--temperature", "0.7", "--top-p", "0.9").sampling, {
    temperature: 0.7,
    topP: 0.9,
    repetitionPenalty: 1,
  });
  assert.deepEqual(asked("old", "--text", "Four books=/x/y.txt:100", "--text", "b=c").texts, [
    { name: "Four books", file: "/x/y.txt", characters: 100 },
    { name: "b", file: "c", characters: undefined },
  ]);
  for (const given of [
    [],
    ["a", "b"],
    ["old", "--quantization", "q5"],
    ["old", "--calibrate", "1.5"],
    ["old", "--top-p", "2"],
    ["old", "--limit", "x"],
    ["old", "--text", "x"],
    ["old", "--no-such"],
    ["old", "--quantization", "f16", "--calibrate", "5"],
  ])
    assert.throws(() => asked(...given), Refused, given.join(" "));
});

const measured = (...nats) => {
  const sum = nats.reduce((a, b) => a + b);
  return {
    tokensScored: 10 * nats.length,
    bytes: 100,
    perplexity: Math.exp(sum / (10 * nats.length)),
    windows: nats.map((n) => [n, 10]),
  };
};

test("the difference is paired over windows", () => {
  const { part, error } = difference(measured(20, 30), measured(21, 33));
  // 4 nats more in 20 tokens; residuals −1 and 1: √(2 · 2 / 1) / 20.
  assert.ok(
    Math.abs(part - Math.expm1(0.2)) < 1e-12 && Math.abs(error - 0.1 * Math.exp(0.2)) < 1e-12,
    `${part} ${error}`,
  );
  assert.equal(difference(measured(20), measured(19)).error, 0);
});

test("table, card, README and documentation", () => {
  const rows = [
    { name: "A book", exact: measured(20, 30), shipped: measured(21, 33) },
    { name: "B", exact: measured(20), shipped: measured(19) },
  ];
  const [, , first, second] = table("q4", rows).split("\n");
  assert.equal(first, "| A book | 20 | 12.182 | 14.880 | +22.14 ± 12.21 % | 0.7213 | 0.7791 |");
  assert.match(second, /^\| B \| 10 \| 7\.389 \| 6\.686 \| −9\.52 ± 0\.00 % \|/);
  const facts = {
    ...EMBEDDED,
    name: "new",
    quantization: "q4",
    calibrated: 5000,
    weightBytes: 31e6,
    downloadBytes: 33.6e6,
  };
  const whole = card("# A model\n\n", facts, rows);
  assert.ok(whole.startsWith("# A model\n\n## In this build\n") && whole.includes(first) && whole.endsWith("|\n"));
  assert.match(whole, /by what 5,000 tokens make .*; 31\.0 MB of weights, 33\.6 MB to\ndownload/);
  const page = evaluation(text("docs/evaluation.md"), facts, rows);
  assert.ok(page.includes(first) && page.includes("`new`") && !page.includes(EMBEDDED.name));
  assert.equal(evaluation(page, facts, rows), page, "twice is once");
  assert.throws(() => evaluation("", facts, rows), /lacks the line/);
  const other = readme(text("README.md"), EMBEDDED.name, facts);
  assert.ok(other.includes("www/models/new/") && !other.includes(EMBEDDED.name));
  assert.match(text("README.md"), new RegExp(`www/models/${EMBEDDED.name}/README.md`));
});
