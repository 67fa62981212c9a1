// scripts/publish-model without the programs it calls: arguments, downloads from a hub with faults, the card.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { card, frontMatter, licenseOf } from "../../scripts/publish-model.d/card.mjs";
import { Repository } from "../../scripts/publish-model.d/hub.mjs";
import { read, Refused } from "../../scripts/publish-model.d/options.mjs";
import { startHub } from "../browser/hub-simulator.mjs";

const LARGE = Buffer.from(Uint8Array.from({ length: 3 << 20 }, (_, i) => (i * 7 + (i >> 8)) % 251));
const COMMIT = "d".repeat(40);
const OWN = `---
language:
- en
license: "apache-2.0"
tags: [x]
---
# A model
`;

let hub;
let folder;
let waits;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "publish-"));
  const files = {
    "README.md": Buffer.from(OWN),
    "a.json": Buffer.from("{}"),
    "b.json": Buffer.from("[]"),
    "pytorch_model.bin": LARGE,
  };
  hub = await startHub({
    "o/n": { files, commit: COMMIT },
    "o/wrong": { files, commit: COMMIT, hashes: { "pytorch_model.bin": "0".repeat(64) } },
    "o/private": { files, token: "hf_secret" },
  });
});
after(async () => {
  await hub.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  [hub.faults.length, hub.requests.length, waits] = [0, 0, 0];
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
});

const open = (name = "o/n", more = {}) =>
  Repository.open({ endpoint: hub.endpoint, wait: async () => void (waits += 1), ...more }, name, "main");
const target = () => join(folder, "model.bin");

test("arguments are checked, and follow from each other", () => {
  const text = { file: "t", characters: 9 };
  const asked = read(["o/n", "--to", "out"], text);
  assert.deepEqual([asked.as, asked.quantization, asked.calibrated, asked.limit], ["o/n-q4", "q4", 32768, 0.02]);
  assert.equal(asked.text, text);
  const other = read(["o/n", "--to", "x", "--quantization", "q8", "--text", "a:b.txt:70", "--as", "me/m"], text);
  assert.deepEqual([other.calibrated, other.text, other.as], [0, { file: "a:b.txt", characters: 70 }, "me/m"]);
  for (const given of [
    [],
    ["o/n"],
    ["n", "--to", "x"],
    ["o/n", "o/m", "--to", "x"],
    ["o/n", "--to", "x", "--quantization", "f16"],
    ["o/n", "--to", "x", "--calibrate", "1.5"],
    ["o/n", "--to", "x", "--limit", "-1"],
    ["o/n", "--to", "x", "--as", "../x"],
    ["o/n", "--to", "x", "--unknown"],
  ])
    assert.throws(() => read(given, text), Refused, given.join(" "));
});

test("a download is what the hub says, and asks once for what is there", async () => {
  const repository = await open();
  assert.equal(repository.commit, COMMIT);
  assert.deepEqual(repository.paths.sort(), ["README.md", "a.json", "b.json", "pytorch_model.bin"]);
  for (const path of ["README.md", "pytorch_model.bin"]) await repository.download(path, join(folder, path));
  assert.deepEqual(readFileSync(join(folder, "pytorch_model.bin")), LARGE);
  assert.equal(readFileSync(join(folder, "README.md"), "utf8"), OWN);
  hub.requests.length = 0;
  await repository.download("pytorch_model.bin", join(folder, "pytorch_model.bin"));
  assert.equal(hub.requests.length, 0);
});

test("a download that breaks off goes on where it was, also in another run", async () => {
  hub.faults.push({ kind: "cut", after: 1 << 20 }, { kind: "status", status: 503 });
  await (await open()).download("pytorch_model.bin", target());
  assert.deepEqual(readFileSync(target()), LARGE);
  assert.ok(
    hub.requests.some(({ server, range }) => server === "cdn" && /^bytes=[1-9]/.test(range)),
    "it began anew",
  );
  assert.ok(waits >= 2);
  rmSync(target());
  hub.requests.length = 0;
  writeFileSync(`${target()}.part`, LARGE.subarray(0, 2 << 20));
  await (await open()).download("pytorch_model.bin", target());
  assert.deepEqual(readFileSync(target()), LARGE);
  assert.equal(hub.sent("pytorch_model.bin"), 1 << 20);
  // A server that ignores ranges sends the whole file.
  rmSync(target());
  writeFileSync(`${target()}.part`, LARGE.subarray(0, 2 << 20));
  hub.faults.push({ kind: "no-range" });
  await (await open()).download("pytorch_model.bin", target());
  assert.deepEqual(readFileSync(target()), LARGE);
});

test("bytes that are wrong are refused and not kept", async () => {
  await assert.rejects((await open("o/wrong")).download("pytorch_model.bin", target()), /hash is wrong/);
  assert.deepEqual(readdirSync(folder), []);
});

test("what asking again would not change is told at once", async () => {
  await assert.rejects(open("o/nothing"), (e) => e instanceof Refused && /HF_TOKEN/.test(e.message));
  await assert.rejects(open("o/private"), Refused);
  const repository = await open("o/private", { token: "hf_secret" });
  await repository.download("a.json", join(folder, "a.json"));
  assert.deepEqual(hub.violations, []);
  assert.equal(waits, 0);
  await assert.rejects(open("o/n", { endpoint: "http://127.0.0.1:9" }), /cannot be reached/);
});

test("the card keeps the licence and says what the model is of", () => {
  assert.deepEqual([...frontMatter(OWN).keys()], ["language", "license", "tags"]);
  assert.equal(licenseOf(OWN), "apache-2.0");
  assert.equal(licenseOf("# none", "mit"), "mit");
  assert.throws(() => licenseOf("# none"), Refused);
  const score = {
    windows: [
      [20, 10],
      [22, 10],
    ],
    tokensScored: 20,
    perplexity: 8.1,
    bytes: 60,
  };
  const facts = {
    repository: "o/n",
    commit: COMMIT,
    as: "me/n-q4",
    quantization: "q4",
    calibrated: 32768,
    license: "apache-2.0",
    bytes: 281e6,
    original: 1.82e9,
    row: { name: "A text", exact: score, shipped: score },
  };
  const written = card(facts, OWN);
  assert.match(
    written,
    /^---\nlicense: apache-2\.0\nlanguage:\n- en\nbase_model: o\/n\nbase_model_relation: quantized\n/,
  );
  assert.match(written, /281 MB to download instead of 1,820 MB/);
  assert.match(written, /TokenFormer\.load\("me\/n-q4"\)/);
  assert.match(written, /\| A text \| 20 \| 8\.100 \| 8\.100 \| \+0\.00/);
});
