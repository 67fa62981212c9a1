import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ATTRIBUTES,
  LOADING_ATTRIBUTES,
  readGenerateAttributes,
  readLoadAttributes,
} from "../../www/lib/element/attributes.js";
import { checkGenerateOptions } from "../../www/lib/api/options.js";

const from = (attributes) => (name) => attributes[name] ?? null;

test("attributes mirror the options in kebab case", () => {
  assert.deepEqual(LOADING_ATTRIBUTES, [
    "model",
    "assets",
    "revision",
    "endpoint",
    "token",
    "quantization",
    "config",
    "context-length",
    "no-cache",
    "backend",
    "packs",
  ]);
  assert.deepEqual(ATTRIBUTES.slice(LOADING_ATTRIBUTES.length), [
    "max-tokens",
    "temperature",
    "top-n-sigma",
    "top-k",
    "top-p",
    "min-p",
    "xtc",
    "repetition-penalty",
    "presence-penalty",
    "frequency-penalty",
    "penalty-range",
    "dry",
    "seed",
    "stop",
    "logit-bias",
    "logprobs",
    "no-heal",
    "min-tokens",
    "finish-sentence",
    "banned",
    "overflow",
    "keep",
    "prompt",
    "autoload",
    "token-view",
  ]);
});

test("load attributes are read", () => {
  assert.deepEqual(readLoadAttributes(from({})), {});
  assert.deepEqual(
    readLoadAttributes(
      from({
        model: "a/b",
        revision: "v1",
        "context-length": " 64 ",
        "no-cache": "",
        backend: "cpu",
        config: '{"num_layers":2}',
      }),
    ),
    { revision: "v1", contextLength: 64, cache: false, backend: "cpu", config: { num_layers: 2 } },
  );
  assert.deepEqual(readLoadAttributes(from({ "no-cache": "false" })), { cache: false }); // as boolean attributes are
});

test("packs are addresses with spaces between, or JSON", () => {
  const read = (packs) => readLoadAttributes(from({ packs })).packs;
  assert.deepEqual(read(""), []);
  assert.deepEqual(read(" o/n\n ./a.safetensors"), ["o/n", "./a.safetensors"]);
  assert.deepEqual(read('["o/n", {"pack": "o/m", "strength": 0.5}]'), ["o/n", { pack: "o/m", strength: 0.5 }]);
  assert.throws(() => read("[o/n]"), { code: "invalid-argument", hint: `Write it like this: packs='["owner/name"]'.` });
});

test("generate attributes are read", () => {
  const options = readGenerateAttributes(
    from({
      "max-tokens": "5",
      temperature: ".5",
      "top-p": "9e-1",
      seed: "0",
      stop: '["\\n\\n"]',
      "logit-bias": '{"11": -5}',
      "presence-penalty": "-1",
      prompt: "x",
    }),
  );
  assert.deepEqual(options, {
    maxTokens: 5,
    temperature: 0.5,
    topP: 0.9,
    presencePenalty: -1,
    seed: 0,
    stop: ["\n\n"],
    logitBias: { 11: -5 },
  });
  assert.doesNotThrow(() => checkGenerateOptions(options));
});

test("what is no number or no JSON is refused by name; ranges are the API's", () => {
  for (const [attribute, text] of [
    ["max-tokens", ""],
    ["max-tokens", "many"],
    ["temperature", "0x1"],
    ["temperature", "Infinity"],
    ["top-k", "1,5"],
    ["stop", "\n\n"],
    ["stop", ""],
    ["logit-bias", "{11: 5}"],
  ]) {
    assert.throws(
      () => readGenerateAttributes(from({ [attribute]: text })),
      (error) => {
        assert.equal(error.code, "invalid-argument");
        assert.match(error.message, new RegExp(`attribute ${attribute} `));
        return true;
      },
    );
  }
  assert.throws(() => checkGenerateOptions(readGenerateAttributes(from({ stop: '"a"' }))), {
    code: "invalid-argument",
  });
  assert.throws(() => checkGenerateOptions(readGenerateAttributes(from({ "top-p": "2" }))), {
    code: "invalid-argument",
  });
});
