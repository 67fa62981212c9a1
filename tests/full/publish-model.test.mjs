// scripts/publish-model from a hub to a loadable folder, with a small checkpoint.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startHub } from "../browser/hub-simulator.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const fixture = (name) => readFileSync(path(`tests/fixtures/head64/${name}`));
const COMMIT = "e".repeat(40);
const TEXT = path("eval/tokenformer_eval/data/northanger_abbey.txt");

/** A tokenizer whose tokens are bytes, below the model's 512. */
function byteTokenizer() {
  const printable = [...Array(256).keys()].filter((b) => (b > 32 && b < 127) || (b > 160 && b !== 173));
  let next = 256;
  const characters = [...Array(256).keys()].map((b) => String.fromCodePoint(printable.includes(b) ? b : next++));
  const end = {
    id: 0,
    content: "<|endoftext|>",
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  };
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return JSON.stringify({
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [end],
    normalizer: { type: "NFC" },
    pre_tokenizer: level,
    post_processor: level,
    decoder: level,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      vocab: Object.fromEntries([end.content, ...characters].map((token, id) => [token, id])),
      merges: [],
    },
  });
}

let hub;
let folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "publish-"));
  const files = {
    "README.md": Buffer.from("---\nlicense: mit\n---\n"),
    "config.json": fixture("config.json"),
    "tokenizer.json": Buffer.from(byteTokenizer()),
    "pytorch_model.bin": fixture("pytorch_model.bin"),
  };
  hub = await startHub({ "o/small": { files, commit: COMMIT } });
});
after(async () => {
  await hub?.close();
  rmSync(folder, { recursive: true });
  rmSync(path(`target/publish/${COMMIT}`), { recursive: true, force: true });
});

const publish = (...more) => {
  const given = ["o/small", "--endpoint", hub.endpoint, "--calibrate", "512", "--text", `${TEXT}:1500`, ...more];
  return promisify(execFile)(process.execPath, [path("scripts/publish-model.d/main.mjs"), ...given]).catch((e) => e);
};

test("a checkpoint becomes a folder with card and licence, and the command that uploads it", async () => {
  hub.faults.push({ kind: "cut", after: 1 << 20 });
  const output = join(folder, "small-q4");
  const { stdout, stderr } = await publish("--to", output, "--as", "me/small-q4", "--limit", "50");
  assert.equal(stdout, `hf upload me/small-q4 ${JSON.stringify(output)} .\n`, stderr);
  assert.match(stderr, /add the text of the licence mit/);
  assert.deepEqual(readdirSync(output).sort(), [
    "README.md",
    "config.json",
    "manifest.json",
    "model.safetensors",
    "tokenizer.json",
  ]);
  const card = readFileSync(join(output, "README.md"), "utf8");
  assert.match(card, /^---\nlicense: mit\nbase_model: o\/small\n/);
  assert.match(card, /rounded by what 512 tokens make/);
  assert.match(card, /\| northanger_abbey\.txt, first 1,500 characters \| 1,\d{3} \| \d+\.\d{3} \| \d+\.\d{3} \|/);
  assert.deepEqual(hub.violations, []);
});

test("what loses too much is not written", async () => {
  const output = join(folder, "refused");
  hub.requests.length = 0;
  // On this text the small model with random weights is worse by 0.8 %; on others it is better.
  const given = ["--limit", "0.1", "--calibrate", "0", "--text", `${TEXT}:600`];
  const { code, stderr } = await publish("--to", output, ...given);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /Perplexity grows by 0\.\d+ %, more than --limit 0\.1\. Nothing was written/);
  assert.equal(existsSync(output), false);
  assert.equal(hub.sent("pytorch_model.bin"), 0, "the download was there");
});
