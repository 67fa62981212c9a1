import assert from "node:assert/strict";
import { test } from "node:test";
import { checkIds, checkScoreArguments, checkText, loneSurrogateAt } from "../../www/lib/api/inputs.js";
import {
  checkGenerateOptions,
  checkLoadOptions,
  checkOptions,
  checkRandomOptions,
  complete,
  GENERATE_OPTIONS,
  LOAD_OPTIONS,
  rangeInWords,
} from "../../www/lib/api/options.js";
import { ROWS } from "../fixtures/every-option.js";

const refused = (pattern) => (error) => {
  assert.equal(error.name, "TokenFormerError");
  assert.equal(error.code, "invalid-argument");
  assert.match(error.message, pattern);
  assert.notEqual(error.hint, "");
  return true;
};

test("defaults are those of the contract", () => {
  assert.deepEqual(checkGenerateOptions(), {
    maxTokens: 256,
    temperature: 0.8,
    topK: 0,
    topP: 0.95,
    minP: 0,
    repetitionPenalty: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    seed: undefined,
    stop: [],
    logitBias: {},
    logprobs: 0,
    heal: true,
    minTokens: 0,
    finishSentence: false,
    banned: [],
    overflow: "stop",
    keep: 0,
    penaltyRange: 0,
    dry: { multiplier: 0, base: 1.75, allowedLength: 2, range: 0, breakers: ["\n", ":", '"', "*"] },
    topNSigma: 0,
    xtc: { probability: 0, threshold: 0.1 },
    signal: undefined,
  });
  assert.deepEqual(checkLoadOptions({}), {
    revision: "main",
    endpoint: "https://huggingface.co",
    token: undefined,
    quantization: undefined,
    config: undefined,
    contextLength: undefined,
    cache: true,
    backend: "auto",
    packs: [],
    signal: undefined,
    onProgress: undefined,
  });
});

const { signal } = new AbortController();
const GENERATE_CASES = [
  // name, accepted, refused
  ["maxTokens", [1, 4096], [0, -1, 1.5, "5", 2 ** 53]],
  ["temperature", [0, 0.5, 100], [-0.1, "0.8", Infinity]],
  ["topNSigma", [0, 1.5], [-0.1, "1", Infinity]],
  ["topK", [0, 40], [-1, 0.5, "40"]],
  ["topP", [1e-9, 1], [0, 1.01, -1, "1"]],
  ["minP", [0, 0.999], [1, -0.1, "0"]],
  [
    "xtc",
    [{}, { probability: 0.5 }, { probability: 1, threshold: 0.6 }],
    [1, { probability: 1.1 }, { threshold: -0.1 }],
  ],
  ["repetitionPenalty", [0.1, 1, 5], [0, -1, "1", Infinity]],
  ["presencePenalty", [-2, 0, 2], [-2.01, 2.01, "0"]],
  ["frequencyPenalty", [-2, 0, 2], [-2.01, 2.01, "0"]],
  ["penaltyRange", [0, 64], [-1, 0.5, "64"]],
  [
    "dry",
    [{}, { multiplier: 0.8, base: 1, allowedLength: 1, range: 100, breakers: [] }],
    [[], { multiplier: -1 }, { base: 0.9 }, { allowedLength: 0 }, { range: 0.5 }, { breakers: [""] }],
  ],
  ["seed", [0, 2 ** 53 - 1], [-1, 2 ** 53, 0.5, "1", 1n]],
  ["stop", [[], ["\n\n", "a"], ["😀"]], ["\n", [""], [1], [undefined], ["\ud83d"], {}]],
  [
    "logitBias",
    [{}, { 0: -100, 50256: 1.5 }],
    [
      [],
      { a: 1 },
      { "-1": 1 },
      { "01": 1 },
      { 1.5: 1 },
      { 1: NaN },
      { 1: "2" },
      { 1: Infinity },
      { 4294967296: 1 },
      new Map(),
    ],
  ],
  ["logprobs", [0, 20], [-1, 21, 1.5, "1", true]],
  ["heal", [true, false], ["", "no", 0, 1]],
  ["minTokens", [0, 256], [-1, 0.5, "1", 2 ** 53]],
  ["finishSentence", [true, false], ["", "no", 0, 1]],
  ["banned", [[], ["a phrase", "b"]], ["a", [""], [1], {}]],
  ["overflow", ["stop", "slide"], ["", "Slide", true, 1]],
  ["keep", [0, 512], [-1, 0.5, "1"]],
  ["signal", [signal], [{}, { aborted: false }, "abort", new AbortController()]],
];
const LOAD_CASES = [
  ["revision", ["main", "v1.0", "refs/pr/1", "0123abcd"], ["", "a b", "../x", "a?b", "a\nb", 1]],
  [
    "endpoint",
    ["http://localhost:8080", "https://hub.example/sub/"],
    ["", "hub.example", "ftp://a/", "https://u:p@a/", "https://a/?b", "/x", 5],
  ],
  ["token", ["hf_abc"], ["", "a b", "a\r\nX: y", "ü", 5]],
  ["quantization", ["q4", "q8", "f16"], ["q5", "Q4", 4, ""]],
  [
    "config",
    [{}, { num_layers: 2, rotary_pct: 0.5, anything: "else" }],
    [
      [],
      "{}",
      1,
      new Date(),
      { num_layers: "2" },
      { hidden_size: 0 },
      { rotary_pct: 2 },
      { norm_activation_type: "relu" },
      { model_type: "llama" },
      { tie_word_embeddings: false },
    ],
  ],
  ["contextLength", [1, 2048], [0, -1, 1.5, "2048"]],
  ["cache", [true, false], [0, 1, "false"]],
  ["backend", ["auto", "webgpu", "cpu"], ["gpu", 1]],
  [
    "packs",
    [
      [],
      ["o/n", "./a.safetensors", "https://x.example/a", new Blob([])],
      [{ pack: "o/n", strength: -4 }, { pack: new Blob([]) }],
    ],
    ["o/n", [5], [""], ["a pack"], [{ strength: 1 }], [{ pack: "o/n", strength: 4.1 }], Array(17).fill("o/n")],
  ],
  ["signal", [signal], [{}, 1]],
  ["onProgress", [() => {}], [{}, "f"]],
];

for (const [check, table, cases] of [
  [checkGenerateOptions, GENERATE_OPTIONS, GENERATE_CASES],
  [checkLoadOptions, LOAD_OPTIONS, LOAD_CASES],
]) {
  test(`every option of ${check.name} is checked`, () => {
    assert.deepEqual(
      cases.map(([name]) => name),
      Object.keys(table),
    );
    for (const [name, good, bad] of cases) {
      for (const value of good) assert.doesNotThrow(() => check({ [name]: value }), `${name}: ${String(value)}`);
      for (const value of [...bad, null, NaN, Symbol("s")]) {
        assert.throws(() => check({ [name]: value }), refused(new RegExp(`^${name}`)), `${name}: ${String(value)}`);
      }
      assert.deepEqual(check({ [name]: undefined })[name], table[name].default);
    }
  });
}

test("options of random are checked as others are", () => {
  assert.deepEqual(checkRandomOptions(), {
    quantization: "q4",
    contextLength: undefined,
    subgroups: true,
    f16: true,
    workgroups: undefined,
    threads: undefined,
    arithmetic: undefined,
  });
  for (const [name, good, bad] of [
    ["quantization", ["q4", "q8", "f16"], ["q5", 4]],
    ["contextLength", [1, 2048], [0, 1.5, "2048"]],
    ["subgroups", [true, false], [0, "no"]],
    ["f16", [true, false], [1, "false"]],
    ["workgroups", [0, 132], [-1, 65_536, "132"]],
    ["threads", [64, 1024], [0, 2048, "64"]],
    ["arithmetic", ["f32", "f16", "int8"], ["f64", 8]],
  ]) {
    for (const value of good) assert.equal(checkRandomOptions({ [name]: value })[name], value);
    for (const value of [...bad, null, NaN])
      assert.throws(() => checkRandomOptions({ [name]: value }), refused(new RegExp(`^${name}`)), `${name}: ${value}`);
  }
  assert.throws(() => checkRandomOptions({ Workgroups: 1 }), { hint: "Did you mean workgroups?" });
});

test("unknown options are refused, and a near miss is named", () => {
  assert.throws(
    () => checkGenerateOptions({ max_tokens: 5 }),
    (error) => {
      assert.equal(error.message, 'There is no option "max_tokens".');
      assert.equal(error.hint, "Did you mean maxTokens?");
      return true;
    },
  );
  assert.throws(() => checkLoadOptions({ temperature: 1 }), refused(/"temperature"/));
  assert.throws(() => checkGenerateOptions({ toString: 1 }), refused(/"toString"/));
  for (const bad of [null, 5, "x", [], () => {}]) assert.throws(() => checkLoadOptions(bad), refused(/plain object/));
});

test("the sentence names option, range and value, but never a token", () => {
  assert.throws(() => checkGenerateOptions({ topP: 2 }), {
    message: "topP must be a number above 0, at most 1, not 2.",
  });
  assert.throws(() => checkGenerateOptions({ minP: 1 }), { message: "minP must be a number from 0, below 1, not 1." });
  assert.throws(() => checkGenerateOptions({ temperature: "1" }), {
    message: "temperature must be a number from 0, not a string.",
  });
  assert.throws(
    () => checkLoadOptions({ token: "my secret" }),
    (error) => !error.message.includes("secret"),
  );
  assert.equal(rangeInWords(GENERATE_OPTIONS.logprobs), "from 0 to 20");
});

test("an object's fields are options of their own", () => {
  const table = complete(ROWS);
  const check = (dry) => checkOptions(table, { dry }).dry;
  const standard = { multiplier: 0, base: 1.75, allowedLength: 2, breakers: ["\n", '"'] };
  assert.deepEqual(check(undefined), standard);
  assert.deepEqual(check({}), standard);
  assert.deepEqual(check({ multiplier: 0.8, breakers: [] }), { ...standard, multiplier: 0.8, breakers: [] });
  for (const frozen of [table, table.dry, table.dry.fields.base, table.dry.default, table.dry.default.breakers])
    assert.ok(Object.isFrozen(frozen));
  for (const [bad, message] of [
    [{ base: 0 }, "dry.base must be a number from 1, not 0."],
    [{ allowedLength: 1.5 }, "dry.allowedLength must be an integer from 1, below 2^53, not 1.5."],
    [{ breakers: [""] }, "dry.breakers[0] is empty."],
    [{ Base: 2 }, 'There is no option "dry.Base".'],
    [[], "dry must be a plain object, not an array."],
    [null, "dry must be a plain object, not null."],
  ]) {
    assert.throws(() => check(bad), { name: "TokenFormerError", code: "invalid-argument", message });
  }
  assert.throws(() => check({ Base: 2 }), { hint: "Did you mean dry.base?" });
});

test("half a character is found", () => {
  for (const [text, at] of [
    ["", -1],
    ["😀a", -1],
    ["a\ud83d", 1],
    ["\ude00", 0],
    ["\ude00\ud83d", 0],
    ["😀\ude00", 2],
  ]) {
    assert.equal(loneSurrogateAt(text), at, JSON.stringify(text));
  }
  assert.throws(() => checkText("prompt", "a\ud83d"), refused(/prompt .*index 1/));
});

test("ids come from arrays and typed arrays of integers", () => {
  for (const ids of [[0, 5], new Uint32Array([0, 5]), new Int32Array([0, 5]), new Float64Array([0, 5])]) {
    assert.deepEqual(checkIds("ids", ids), new Uint32Array([0, 5]));
  }
  for (const bad of [
    [],
    new Uint32Array(),
    [1.5],
    [-1],
    ["1"],
    [NaN],
    // eslint-disable-next-line no-sparse-arrays
    [, 1],
    [2 ** 32],
    [1n],
    new BigInt64Array(1),
    "1",
    null,
    new DataView(new ArrayBuffer(4)),
  ]) {
    assert.throws(() => checkIds("ids", bad), refused(/^ids/), String(bad));
  }
  assert.equal(checkIds("ids", [], { allowEmpty: true }).length, 0);
});

test("score takes a text, ids, or a list of items", () => {
  assert.deepEqual(checkScoreArguments("a"), { isList: false, items: [{ text: "a", context: "" }] });
  assert.deepEqual(checkScoreArguments([1, 2], { context: [] }).items[0].text, new Uint32Array([1, 2]));
  assert.deepEqual(checkScoreArguments([{ text: "a", context: "b" }]), {
    isList: true,
    items: [{ text: "a", context: "b" }],
  });
  for (const args of [
    [[]],
    [5],
    [undefined],
    ["a", { ctx: "" }],
    ["a", []],
    [[{ text: "a" }], {}],
    [[{ text: "a" }, 5]],
    [[{ txt: "a" }]],
    [[{ text: "\ud800" }]],
  ]) {
    assert.throws(() => checkScoreArguments(...args), refused(/./), JSON.stringify(args));
  }
});
