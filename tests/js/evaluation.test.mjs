// Evaluating texts without an engine: what is read, windows, order, numbers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluate, Evaluation, tokenTexts } from "../../www/page/evaluate/evaluation.js";
import { formatOf, inputInWords, readInput, readSource, together } from "../../www/page/evaluate/documents.js";
import { difference, metrics, mostPrecise, ratio } from "../../www/page/evaluate/metrics.js";
import { countWords, encodePair, rollingWindows, splitPair } from "../../www/page/evaluate/windows.js";

const read = (text, format, name = "it") => readInput([{ name, text, format }]);
const lines = (...values) =>
  values.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join("\n");

test("a plain text is one document, whatever it looks like inside", () => {
  const input = read("\ufeffOnce\n\nupon “a” time");
  assert.deepEqual(input, {
    kind: "texts",
    documents: [{ source: "it", line: null, text: "Once\n\nupon “a” time" }],
    bytes: 23,
    leftOut: 0,
  });
  assert.equal(read('{"text": "x"}', "plain").documents[0].text, '{"text": "x"}');
  assert.deepEqual(["a.jsonl", "a.NDJSON", "a.txt", "b.md", "c.json", "d"].map(formatOf), [
    "jsonl",
    "jsonl",
    "plain",
    "plain",
    undefined,
    undefined,
  ]);
});

test("JSON lines with texts are documents; empty ones are left out, blank lines do not count", () => {
  const input = read(lines({ text: "a", id: 7 }, "", { text: "" }, "  ", { text: "bé" }).replace(/\n/g, "\r\n"));
  assert.deepEqual(input.documents, [
    { source: "it", line: 1, text: "a" },
    { source: "it", line: 5, text: "bé" },
  ]);
  assert.equal(inputInWords(input), "2 documents, 4 bytes, 1 empty text left out");
});

test("JSON lines with context and continuation are pairs; several sources are read together", () => {
  const pair = { context: "The sky is", continuation: " blue" };
  const input = readInput([
    { name: "a", text: lines(pair) },
    { name: "b", text: lines({ context: "", continuation: "x" }), format: "jsonl" },
  ]);
  assert.deepEqual(input.documents, [
    { source: "a", line: 1, ...pair },
    { source: "b", line: 1, context: "", continuation: "x" },
  ]);
  assert.deepEqual([input.kind, inputInWords(input)], ["pairs", "2 pairs, 16 bytes"]);
});

test("sources that were read by themselves are put together, as often as wanted", () => {
  const [a, b, none, empty, pair] = [
    lines({ text: "é" }, { text: "" }),
    "plain",
    lines(),
    lines({ text: "" }),
    lines({ context: "a", continuation: "b" }),
  ].map((text, i) => readSource({ name: `s${i}`, text, format: text === "plain" ? "plain" : "jsonl" }));
  const wanted = {
    kind: "texts",
    documents: [
      { source: "s0", line: 1, text: "é" },
      { source: "s1", line: null, text: "plain" },
    ],
    bytes: 7,
    leftOut: 1,
  };
  for (let i = 0; i < 2; i++) assert.deepEqual(together([none, a, b]), wanted);
  assert.deepEqual(together([none, pair]).kind, "pairs");
  assert.throws(() => together([empty, pair]), {
    code: "invalid-argument",
    message: /^Line 1 of s4 is a pair .* is a text\.$/,
  });
  assert.throws(() => together([none, empty]), { message: "There is no text to evaluate." });
});

test("what cannot be read is told with its line", () => {
  const wrong = [
    [lines({ text: "a" }, "{"), /^Line 2 of it is not JSON: /],
    [lines({ text: "a" }, "[1]"), /^Line 2 of it must be an object .* not an array\.$/],
    [lines({ text: "a" }, "", { text: 5 }), /^Line 3 of it: "text" is not a string, but 5\.$/],
    [lines({ text: null }), /^Line 1 of it: "text" is not a string, but null\.$/],
    [lines({ context: "a" }), /^Line 1 of it: "continuation" is missing\.$/],
    [lines({ context: ["a"], continuation: "b" }), /^Line 1 of it: "context" is not a string, but an array\.$/],
    [lines({ context: "a", continuation: "" }), /^Line 1 of it: "continuation" is empty/],
    [lines({ prompt: "a" }), /^Line 1 of it has neither "text" nor/],
    [lines({ text: "a", context: "b" }), /^Line 1 of it has "text" and a pair/],
    [
      lines({ text: "a" }, { context: "b", continuation: "c" }),
      /^Line 2 of it is a pair of context and continuation, but what came before it is a text\.$/,
    ],
    [lines('{"text": "a \\ud800"}'), /^Line 1 of it: "text" has half a character \(a lone surrogate\) at index 2\.$/],
    [lines({ text: "" }), /^There is no text to evaluate\.$/],
    ["", /^There is no text to evaluate\.$/],
  ];
  for (const [text, message] of wrong) assert.throws(() => read(text), { code: "invalid-argument", message }, text);
  assert.throws(() => readInput([]), { code: "invalid-argument" });
  assert.throws(() => read("plain", "jsonl", "a.jsonl"), { message: /^Line 1 of a\.jsonl is not JSON/, hint: /\.txt/ });
});

test("windows are the harness's", () => {
  const ids = (n) => Array.from({ length: n }, (_, i) => i + 1);
  assert.deepEqual(rollingWindows([], 5), []);
  assert.deepEqual(rollingWindows(ids(3), 5), [{ context: [0], from: 0, to: 3 }]);
  assert.deepEqual(rollingWindows(ids(4), 5), [{ context: [0], from: 0, to: 4 }]);
  // get_rolling_token_windows(range(1, 11), 0, 4, 1): (0 1 2 3 | 1 2 3 4), (4 5 6 7 | 5 6 7 8), (6 7 8 9 | 9 10).
  assert.deepEqual(rollingWindows(ids(10), 5), [
    { context: [0], from: 0, to: 4 },
    { context: [4], from: 4, to: 8 },
    { context: [6, 7, 8], from: 8, to: 10 },
  ]);
  assert.deepEqual(rollingWindows(ids(5), 5), [
    { context: [0], from: 0, to: 4 },
    { context: [1, 2, 3, 4], from: 4, to: 5 },
  ]);
  assert.deepEqual(rollingWindows(ids(2), 2), [
    { context: [0], from: 0, to: 1 },
    { context: [1], from: 1, to: 2 },
  ]);
  assert.throws(() => rollingWindows(ids(2), 1), { code: "invalid-argument" });
  for (const [n, length] of [
    [1000, 64],
    [63, 64],
    [64, 64],
    [127, 64],
  ]) {
    const windows = rollingWindows(ids(n), length);
    assert.equal(
      windows.reduce((sum, { from, to }) => sum + to - from, 0),
      n,
    );
    assert.ok(
      windows
        .slice(1)
        .every(({ context, from, to }) => context.length + to - from === length && context.at(-1) === from),
    );
  }
});

/** One token for each word with the space before it, named by its length and first letter; "end" joins the token before it. */
const encode = async (text) =>
  (text.match(/\s*\S+(end)?|\s+/g) ?? []).map((word) => word.length * 1000 + word.trim().charCodeAt(0));

test("pairs are cut where the harness cuts them", async () => {
  assert.deepEqual(splitPair({ context: "a b \n", continuation: "c" }), { context: "a b", continuation: " \nc" });
  assert.deepEqual(
    splitPair({ context: "a\u001f\u00a0", continuation: "c" }),
    { context: "a", continuation: "\u001f\u00a0c" },
    "as Python's rstrip",
  );
  assert.deepEqual(splitPair({ context: "a\ufeff", continuation: "c" }), { context: "a\ufeff", continuation: "c" });
  const pair = (context, continuation, length = 99) => encodePair({ context, continuation }, encode, length, "Line 4");
  const [a, b, c] = [1097, 2098, 2099];
  assert.deepEqual(await pair("a b", " c"), { context: [a, b], ids: [c], text: " c", leftOut: 0 });
  assert.deepEqual(await pair("a b ", "c"), { context: [a, b], ids: [c], text: " c", leftOut: 0 });
  assert.deepEqual(await pair("", "a b"), { context: [0], ids: [a, b], text: "a b", leftOut: 0 });
  assert.deepEqual(await pair("  ", "a"), { context: [0], ids: [3097], text: "  a", leftOut: 0 });
  assert.deepEqual(
    await pair("a b", " c", 2),
    { context: [b], ids: [c], text: " c", leftOut: 1 },
    "the context's beginning is left out",
  );
  await assert.rejects(pair("a", " b c", 2), {
    code: "invalid-argument",
    message: /^Line 4: the continuation has 2 tokens, and 1 are/,
  });
  await assert.rejects(pair("a", "end"), { code: "invalid-argument", message: /^Line 4: nothing is left to score/ });
  // A prefix that is written out is not scored.
  assert.deepEqual((await encodePair({ context: "", continuation: "x" }, async () => [0, 5], 9)).ids, [5]);
});

test("words are counted as Python splits", () => {
  assert.deepEqual(["", "a", "a b", " a  b\n", "a\u0085b\u001cc", "a\ufeffb"].map(countWords), [1, 1, 2, 4, 3, 1]);
});

test("a ratio's standard error is a mean's where all sizes are the same", () => {
  const values = [1, 2, 4, 9];
  const { value, error } = ratio(values.map((value) => ({ value, size: 1 })));
  assert.equal(value, 4);
  assert.ok(Math.abs(error - Math.sqrt(38 / 3) / 2) < 1e-12);
  assert.deepEqual(ratio([{ value: 3, size: 2 }]), { value: 1.5, error: null });
  assert.deepEqual(ratio([]), { value: null, error: null });
});

/** A model whose token ids are code points, and whose log-probabilities follow from token and position in the window. */
class FakeModel {
  info;
  calls = [];
  encoded = 0;

  constructor(contextLength, { shift = 0 } = {}) {
    this.info = { contextLength };
    this.shift = shift;
  }

  async encode(text) {
    this.encoded += 1;
    return Array.from(text, (c) => c.codePointAt(0));
  }

  async decode(ids) {
    return String.fromCodePoint(...ids);
  }

  async score(items) {
    this.calls.push(items);
    await this.beforeScore?.(this.calls.length);
    return items.map(({ text, context }) => {
      assert.ok(context.length > 0 && text.length > 0 && context.length + text.length <= this.info.contextLength);
      return {
        logprobs: text.map((id, i) => this.logprob(id, context.length + i)),
        isGreedy: !text.includes("x".codePointAt(0)),
      };
    });
  }

  logprob(id, position) {
    return -((id % 7) + 1) / position - this.shift * (1 + (id % 3));
  }
}

const texts = (...all) => readInput([{ name: "it", text: lines(...all.map((text) => ({ text }))) }]);

test("all tokens are scored once, in the windows that they belong to, in pieces that follow their own beginning", async () => {
  const model = new FakeModel(200);
  const long = "the quick brown fox ".repeat(30);
  const progress = [];
  const result = await evaluate(model, texts("short", long, "end"), { onProgress: (p) => progress.push(p) });
  assert.equal(result.isComplete, true);
  assert.deepEqual(
    result.documents.map(({ line, ids, bytes, words, isWhole, windows }) => [
      line,
      ids.length,
      bytes,
      words,
      isWhole,
      windows.length,
    ]),
    [
      [1, 5, 5, 1, true, 1],
      [2, 600, 600, 121, true, 4],
      [3, 3, 3, 1, true, 1],
    ],
  );
  const wanted = rollingWindows(
    Array.from(long, (c) => c.codePointAt(0)),
    200,
  ).flatMap(({ context, from, to }) =>
    Array.from(long)
      .slice(from, to)
      .map((c, i) => model.logprob(c.codePointAt(0), context.length + i)),
  );
  assert.deepEqual(Array.from(result.documents[1].logprobs), wanted);
  assert.equal(result.documents[1].texts.join(""), long);
  const items = model.calls.flat();
  assert.ok(items.length > 8, "long windows are scored in pieces");
  assert.ok(
    items.every(({ context }) => (context.length - 1) % 64 === 0 || context[0] !== 0),
    "which end where the engine's own do",
  );
  const last = progress.at(-1);
  assert.deepEqual(
    [last.phase, last.documents, last.totalDocuments, last.tokens, last.totalTokens],
    ["score", 3, 3, 608, 608],
  );
  assert.ok(last.tokensPerSecond > 0 && result.tokensPerSecond > 0);
  assert.equal(progress[0].phase, "encode");
});

test("metrics are the harness's", async () => {
  const { documents, ...rest } = await evaluate(new FakeModel(50), texts("one two", "thrée"));
  const sum = documents.reduce((total, { logprobs }) => total + logprobs.reduce((a, b) => a + b), 0);
  const found = metrics({ documents, ...rest });
  const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-12 * Math.abs(b), `${a} ${b}`);
  near(found.tokenPerplexity.value, Math.exp(-sum / 12));
  near(found.bitsPerByte.value, -sum / Math.LN2 / 13);
  near(found.wordPerplexity.value, Math.exp(-sum / 3));
  assert.ok(found.bitsPerByte.error > 0);
  assert.deepEqual(
    [found.accuracy, found.pairPerplexity],
    [
      { value: null, error: null },
      { value: null, error: null },
    ],
  );
  const one = metrics(await evaluate(new FakeModel(50), texts("one two")));
  assert.equal(one.tokenPerplexity.error, null, "one document has no spread");
});

test("pairs are scored next to those that they share a context with, and answered in their own order", async () => {
  const pair = (context, continuation) => JSON.stringify({ context, continuation });
  const input = read(lines(pair("bb", "yes"), pair("aa", "x"), pair("bb", "no"), pair("aa", "ok")));
  const model = new FakeModel(20);
  const result = await evaluate(model, input);
  assert.deepEqual(
    model.calls.flat().map(({ context, text }) => String.fromCodePoint(...context, ...text)),
    ["aaok", "aax", "bbno", "bbyes"],
  );
  assert.deepEqual(
    result.documents.map(({ line, isGreedy, bytes, texts }) => [line, isGreedy, bytes, texts.join("")]),
    [
      [1, true, 3, "yes"],
      [2, false, 1, "x"],
      [3, true, 2, "no"],
      [4, true, 2, "ok"],
    ],
  );
  const { accuracy, wordPerplexity, pairPerplexity, tokenPerplexity } = metrics(result);
  assert.equal(accuracy.value, 0.75);
  assert.ok(Math.abs(accuracy.error - Math.sqrt((0.75 * 0.25) / 3)) < 1e-12, "the harness's mean_stderr");
  assert.ok(wordPerplexity.value === null && pairPerplexity.value > tokenPerplexity.value);
});

test("an abort keeps what was scored, and it is marked as a part", async () => {
  const controller = new AbortController();
  const model = new FakeModel(1000);
  model.beforeScore = (call) => call === 2 && controller.abort();
  const result = await evaluate(model, texts("é".repeat(900), "never"), { signal: controller.signal });
  assert.deepEqual(
    [result.isComplete, result.documents[0].isWhole, result.documents[1].logprobs.length],
    [false, false, 0],
  );
  const { length } = result.documents[0].logprobs;
  assert.ok(length >= 128 && length < 900, String(length));
  assert.equal(result.documents[0].bytes, 2 * length, "of what was scored");
  assert.equal(result.tokens, length);
  assert.ok(
    Math.abs(
      metrics(result).bitsPerByte.value * 2 * length * Math.LN2 + result.documents[0].logprobs.reduce((a, b) => a + b),
    ) < 1e-9,
  );
  const early = new AbortController();
  early.abort();
  const nothing = await evaluate(new FakeModel(100), texts("a"), { signal: early.signal });
  assert.deepEqual([nothing.tokens, nothing.documents, metrics(nothing).tokenPerplexity.value], [0, [], null]);
});

test("after an error what was scored is still there", async () => {
  const model = new FakeModel(1000);
  model.beforeScore = (call) => {
    if (call === 3) throw Object.assign(new Error("gone"), { code: "device-lost" });
  };
  const evaluation = new Evaluation(model, texts("a".repeat(900)));
  await assert.rejects(evaluation.run(), { code: "device-lost" });
  const { isComplete, tokens } = evaluation.result();
  assert.ok(!isComplete && tokens >= 128);
  await assert.rejects(evaluation.run(), { code: "invalid-argument" });
});

test("differences are paired: over documents, or over the windows of a single one", async () => {
  const run = (input, shift, length = 20) => evaluate(new FakeModel(length, { shift }), input);
  const many = texts("abc", "defgh", "ij klm", "nopqr");
  const [a, b] = await Promise.all([run(many, 0.01), run(many, 0)]);
  const found = difference(a, b);
  assert.deepEqual([found.units, found.count], ["documents", 4]);
  const perToken = Math.log(metrics(a).tokenPerplexity.value) - Math.log(metrics(b).tokenPerplexity.value);
  assert.ok(Math.abs(found.perplexity.value - Math.expm1(perToken)) < 1e-12);
  assert.ok(Math.abs(found.bitsPerByte.value - (metrics(a).bitsPerByte.value - metrics(b).bitsPerByte.value)) < 1e-12);
  // What both have in common is not noise.
  assert.ok(found.perplexity.error > 0 && found.perplexity.error < metrics(a).tokenPerplexity.error / 10);
  const single = texts("the quick brown fox jumps over the lazy dog");
  const windows = difference(await run(single, 0.01), await run(single, 0));
  assert.deepEqual([windows.units, windows.count], ["windows", 3]);
  assert.ok(windows.perplexity.error > 0);
  const short = difference(await run(texts("abc"), 0.01), await run(texts("abc"), 0));
  assert.ok(short.count === 1 && short.perplexity.value > 0 && short.perplexity.error === null);
  const uneven = difference(await run(single, 0.01, 30), await run(single, 0));
  assert.deepEqual(
    [uneven.hasSameWindows, uneven.perplexity.error],
    [false, null],
    "windows of two lengths are no pairs",
  );
});

test("of a part, only what both have scored is compared; accuracies are too", async () => {
  const controller = new AbortController();
  const input = texts("a".repeat(900));
  const part = new FakeModel(1000, { shift: 0.1 });
  part.beforeScore = (call) => call === 2 && controller.abort();
  const found = difference(
    await evaluate(part, input, { signal: controller.signal }),
    await evaluate(new FakeModel(1000), input),
  );
  // Every token is "a", which 0.1 × (1 + 97 % 3) makes less likely.
  assert.ok(Math.abs(found.perplexity.value - Math.expm1(0.2)) < 1e-9);
  assert.equal(difference({ kind: "texts", documents: [] }, { documents: [] }), null);
  const document = (isGreedy) => ({ isGreedy, isWhole: true, logprobs: [-1], bytes: 1, windows: [] });
  const pairs = (...greedy) => ({ kind: "pairs", contextLength: 9, documents: greedy.map(document) });
  const { accuracy } = difference(pairs(true, false, true, false), pairs(true, true, true, false));
  assert.equal(accuracy.value, -0.25);
  assert.ok(Math.abs(accuracy.error - 0.25) < 1e-12);
});

test("the most precise result is what others are compared with", () => {
  const run = (quantization, tokens = 1) => ({ quantization, result: tokens === null ? null : { tokens } });
  assert.equal(mostPrecise([run("q4"), run("f16"), run("q8")]), 1);
  assert.equal(mostPrecise([run("q4"), run("f16", 0), run("q8", null)]), 0);
  assert.equal(mostPrecise([]), -1);
});

test("a character that is several tokens is the last one's", async () => {
  const parts = new Map([
    [1, "a"],
    [2, "\ufffd"],
    [3, "\ufffd"],
    [4, "b"],
  ]);
  const asked = [];
  const decode = async (ids) => {
    asked.push(ids);
    return ids.length > 1 ? "é" : parts.get(ids[0]);
  };
  const known = new Map([[4, "b"]]);
  assert.deepEqual(await tokenTexts({ decode }, [1, 2, 3, 4, 1, 2, 3], known), ["a", "", "é", "b", "a", "", "é"]);
  assert.deepEqual(asked, [[1], [2], [3], [2, 3]]);
  assert.equal(known.get(1), "a");
});

/** Every byte is a token, or, from 256 on, one of `merged`. */
function byteModel(...merged) {
  const model = { calls: 0, decoded: 0 };
  model.decode = async (ids) => {
    model.calls += 1;
    model.decoded += ids.length;
    return new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => (id < 256 ? [id] : merged[id - 256]))));
  };
  return model;
}

test("characters of several tokens each, one after another, are told apart", async () => {
  const bytes = (text) => [...new TextEncoder().encode(text)];
  assert.deepEqual(await tokenTexts(byteModel(), bytes("😀é😀a한국")), [
    "",
    "",
    "",
    "😀",
    "",
    "é",
    "",
    "",
    "",
    "😀",
    "a",
    "",
    "",
    "한",
    "",
    "",
    "국",
  ]);
  // A tail that is cut off is shown as it decodes, and so is a real replacement character.
  assert.deepEqual(await tokenTexts(byteModel(), bytes("😀😀").slice(0, 6)), ["", "", "", "😀", "", "\ufffd"]);
  assert.deepEqual(await tokenTexts(byteModel(), bytes("é\ufffda")), ["", "é", "", "", "\ufffd", "a"]);
  // Tokens that end one character and begin the next: " 한국" as " " and a part, the rest and a part, the rest.
  const [space, a, b, c, d, e, f] = bytes(" 한국");
  assert.deepEqual(await tokenTexts(byteModel([space, a], [b, c, d], [e, f]), [256, 257, 258, 256, b, c]), [
    "",
    "",
    " 한국",
    "",
    "",
    " 한",
  ]);
});

test("long texts of such characters are not decoded again and again", async () => {
  const long = (text, count) => new TextEncoder().encode(text.repeat(count));
  const emoji = byteModel();
  const texts = await tokenTexts(emoji, long("😀한", 15_000));
  assert.ok(
    texts.length === 105_000 &&
      texts.filter((text) => text === "😀").length === 15_000 &&
      texts.join("").length === 45_000,
  );
  assert.ok(emoji.calls < 20, `${emoji.calls}`);
  const broken = byteModel();
  assert.equal((await tokenTexts(broken, long("\ufffd", 35_000))).join("").length, 35_000);
  assert.ok(broken.calls < 30 && broken.decoded < 106_000, `${broken.calls} ${broken.decoded}`);
});
