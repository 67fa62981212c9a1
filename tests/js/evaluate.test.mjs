// The parts of the evaluation page that need no document: addresses, series, words, reports.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readAddress, toAddress } from "../../www/page/evaluate/address.js";
import { compared, notesOf, number, placeOfRun, report, withError } from "../../www/page/evaluate/results.js";
import {
  bitsInWords,
  envelope,
  layOut,
  meanAround,
  meanWidth,
  mostSurprising,
  startOf,
  summaryInWords,
  sums,
  textBefore,
  visible,
} from "../../www/page/evaluate/series.js";

const PAGE = "https://site.example/app/evaluate.html";

test("an address chooses a model and precisions, and nothing else", () => {
  const read = (search) => readAddress(search, PAGE);
  assert.deepEqual(read("?model=o/n&quantization=q4,q8"), { name: "o/n", precisions: ["q4", "q8"] });
  for (const search of [
    "",
    "?model=",
    "?model=not%20a%20name&token=x",
    "?endpoint=https://hub.example",
    "?model=ftp://x/",
    "?model=./local/~1a~m/",
  ]) {
    assert.deepEqual(read(search), { name: null, precisions: [] }, search);
  }
  assert.deepEqual(read("?model=./m/&quantization=f16,q9,,constructor"), { name: "./m/", precisions: ["f16"] });
  assert.equal(toAddress("o/n", ["q4", "f16"]), "?model=o/n&quantization=q4,f16");
  assert.equal(toAddress(null, [""]), "");
  assert.equal(toAddress("./local/~1a~m/", []), "", "a folder of somebody's computer");
  const name = "https://host.example/a b/é/";
  assert.equal(read(toAddress(name.replace(" ", "%20"), ["q8"])).name, name.replace(" ", "%20"));
});

const document = (line, texts, bits, more = {}) => ({
  source: "it",
  line,
  texts,
  ids: texts.map((_, i) => i),
  logprobs: Float64Array.from(bits, (bit) => -bit * Math.LN2),
  isWhole: true,
  bytes: texts.join("").length,
  words: 1,
  windows: [{ from: 0, to: texts.length }],
  ...more,
});
const result = (kind, ...documents) => ({
  kind,
  isComplete: documents.every(({ isWhole }) => isWhole),
  contextLength: 8,
  totalTokens: 5,
  tokens: documents.reduce((sum, { logprobs }) => sum + logprobs.length, 0),
  seconds: 1,
  tokensPerSecond: 5,
  documents,
});
const given = [
  { source: "it", line: 1, text: "a b" },
  { source: "it", line: 2, context: "so", text: " c d e" },
];
const full = result("texts", document(1, ["a", " b"], [1, 4]), document(2, [" c", " d", " e"], [2, 8, 3]));
const part = result("texts", document(1, ["a", " b"], [1.5, 4]), document(2, [" c"], [2], { isWhole: false }));
const layout = layOut(
  [
    { label: "q4", result: full },
    { label: "q8", result: part },
  ],
  given,
  ({ line }) => `line ${line}`,
);

test("documents stand one after the other, with gaps where a run has not scored", () => {
  assert.deepEqual([layout.length, layout.texts.join("|")], [5, "a| b| c| d| e"]);
  assert.deepEqual(layout.starts, [
    { at: 0, index: 0, label: "line 1", before: "" },
    { at: 2, index: 1, label: "line 2", before: "so" },
  ]);
  const rounded = layout.series.map(({ bits }) => Array.from(bits, (value) => Number(value.toFixed(6))));
  assert.deepEqual(rounded, [
    [1, 4, 2, 8, 3],
    [1.5, 4, 2, NaN, NaN],
  ]);
  assert.deepEqual(
    [0, 1, 2, 4].map((index) => startOf(layout, index).label),
    ["line 1", "line 1", "line 2", "line 2"],
  );
  assert.deepEqual(
    [textBefore(layout, 1, 9), textBefore(layout, 3, 9), textBefore(layout, 4, 3)],
    ["a", "so c", "…c d"],
  );
  assert.deepEqual(mostSurprising(layout, 2), [3, 1]);
  assert.deepEqual(mostSurprising(layout, 9), [3, 1, 4, 2, 0]);
  assert.equal(
    summaryInWords(layout, "texts"),
    "5 tokens of 2 texts. q4: 3.60 bits on average, half of them below 3.00, 0 % below 1, the greatest 8.0. q8: 2.50 bits on average, half of them below 2.00, 0 % below 1, the greatest 4.0.",
  );
});

test("many tokens become columns, and gaps stay gaps", () => {
  const { least, greatest } = envelope([3, 1, NaN, NaN, 5, 2], 0, 6, 3);
  assert.deepEqual(
    [Array.from(least), Array.from(greatest)],
    [
      [1, NaN, 2],
      [3, NaN, 5],
    ],
  );
  assert.deepEqual(Array.from(envelope([9, 1, 2, 9], 1, 3, 2).greatest), [1, 2]);
  const all = sums([4, NaN, 2, 6]);
  assert.deepEqual([meanAround(all, 0, 2), meanAround(all, 3, 4), meanAround(sums([NaN]), 0, 5)], [4, 4, NaN]);
  assert.deepEqual([10, 1000, 98_143].map(meanWidth), [5, 30, 3000]);
  let reads = 0;
  const many = new Proxy({}, { get: (_, i) => ((reads += 1), i % 17) });
  assert.equal(envelope(many, 0, 100_000, 900).greatest[450], 16);
  assert.equal(reads, 100_000, "each token is looked at once");
});

test("tokens and numbers in words", () => {
  assert.deepEqual([" ", "\n\n", " a\n", "", "x"].map(visible), ["␣", "⏎⏎", " a⏎", "part of a character", "x"]);
  assert.deepEqual([1, 3.2, 12, 0.05, NaN].map(bitsInWords), [
    "1.00 bits (50 %)",
    "3.20 bits (11 %)",
    "12.00 bits (1 in 4,100)",
    "0.05 bits (97 %)",
    "not scored",
  ]);
  assert.deepEqual([null, 34.316, 1204.4, 0.98765, 220.55].map(number), ["–", "34.32", "1,204", "0.9877", "220.6"]);
  assert.deepEqual(withError({ value: 34.316, error: 1.2 }), ["34.32", "± 1.20"]);
  assert.deepEqual(withError({ value: -0.0064, error: 0.0008 }, " %", { sign: true, scale: 100, decimals: 2 }), [
    "−0.64 %",
    "± 0.08",
  ]);
  assert.deepEqual(
    [withError({ value: null, error: null }), withError({ value: 2, error: null })],
    [
      ["–", ""],
      ["2.000", ""],
    ],
  );
  assert.equal(
    placeOfRun({
      backend: "webgpu",
      thread: "main",
      adapter: { vendor: "nvidia", architecture: "hopper", device: "", description: "" },
    }),
    "nvidia hopper, in the page's thread",
  );
});

test("a report has every document, what it differs by, and what failed", () => {
  const info = (quantization) => ({
    id: "o/n",
    revision: "1",
    quantization,
    backend: "cpu",
    thread: "worker",
    adapter: {},
    variants: [],
    notes: [],
    weightBytes: 9,
  });
  const runs = compared([
    { label: "q4", info: info("q4"), result: full },
    { label: "q8", info: info("q8"), result: part },
    { label: "f16", info: null, result: null, error: { code: "network", message: "Lost.", hint: "Again." } },
  ]);
  assert.deepEqual(
    runs.map(({ isReference }) => isReference),
    [false, true, false],
  );
  const { runs: told, input } = JSON.parse(
    JSON.stringify(report(runs, { kind: "texts", documents: given, bytes: 9, leftOut: 0 })),
  );
  assert.deepEqual(
    [input.documents, told[0].documents.map(({ line, tokens, isWhole }) => [line, tokens, isWhole])],
    [
      2,
      [
        [1, 2, true],
        [2, 3, true],
      ],
    ],
  );
  assert.deepEqual(
    [told[0].difference.against, told[1].isComplete, told[2].error.code, told[2].documents],
    ["q8", false, "network", undefined],
  );
  assert.match(notesOf(runs, "texts"), /over the 2 documents\..*Only what both have scored is compared\./);
  assert.ok(!JSON.stringify(told).includes("texts"), "the text itself is not in it");
});
