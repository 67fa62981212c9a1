// What the model reads: the story and its notes, within the context; and where in the story that begins.

import "./fake-dom.mjs"; // first: the element looks for HTMLElement when it is imported
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { TokenFormerElement } from "../../www/lib/element/element.js";
import { composePrompts } from "../../www/page/composer.js";
import { fitted, seenFrom } from "../../www/page/stories/fitted.js";
import { FakeEngine, useFakeEngine } from "./fake-engine.mjs";

const nothing = { memory: "", note: "", noteLines: 3, lore: [] };
/** A token per four code units at most, and none across two words. */
const encode = async (text) => text.match(/\s?\S{1,4}|\s/gu) ?? [];
const room = { encode, contextLength: 400, maxTokens: 50 };
const words = (n, from = 0) => Array.from({ length: n }, (_, i) => `w${from + i} `).join("");

test("a story is read whole while it fits, with its memory before it", async () => {
  const told = { ...nothing, memory: "Anna is tall." };
  const { prompt, keep, left } = await fitted("Once upon a time", told, room);
  assert.deepEqual([prompt, left], ["Anna is tall.\nOnce upon a time", 0]);
  assert.equal(keep, (await encode("Anna is tall.\n")).length);
});

test("of a long story the end is read, and what is told takes less than a quarter", async () => {
  const told = {
    ...nothing,
    memory: words(500),
    note: words(20),
    lore: [{ names: ["w9"], text: words(9), isAlways: true }],
  };
  const story = words(3000);
  const { prompt, keep, left, parts } = await fitted(story, told, room);
  assert.ok((await encode(prompt)).length <= 400 - 1 - 50);
  assert.ok(keep > 0 && keep < 100, `${keep}`);
  const read = parts.filter(({ kind }) => kind === "story").map(({ text }) => text);
  assert.equal(read.join(""), story.slice(left));
  assert.ok(left > 0 && read.join("").length > 400);
});

test("what is left out stays the same for many words, so that the rest need not be read again", async () => {
  const told = { ...nothing, memory: "M." };
  const cuts = [];
  for (let n = 1000; n < 1400; n += 10) cuts.push((await fitted(words(n), told, room)).left);
  assert.ok(new Set(cuts).size <= 1 + Math.ceil(words(400, 1000).length / 400), `${new Set(cuts).size} places`);
  assert.deepEqual(
    cuts,
    cuts.toSorted((a, b) => a - b),
  );
});

test("a text of which each letter is a token fits all the same", async () => {
  const each = async (text) => Array.from(text);
  const { prompt } = await fitted("あ".repeat(5000), { ...nothing, memory: "い" }, { ...room, encode: each });
  assert.ok(prompt.length <= 349 && prompt.startsWith("い\nあ"), `${prompt.length}`);
});

test("where what the context held begins in the story", () => {
  const parts = [
    { kind: "memory", text: "Memory.\n" },
    { kind: "story", text: "one two " },
    { kind: "note", text: "[note]\n" },
    { kind: "story", text: "three four" },
  ];
  const read = { parts, left: 100 };
  const all = "one two [note]\nthree four five six";
  assert.equal(seenFrom(read, " five six", null), 100);
  assert.equal(seenFrom(read, " five six", all.slice(4)), 104);
  assert.equal(seenFrom(read, " five six", "note]\nthree four five six"), 108);
  assert.equal(seenFrom(read, " five six", "\uFFFDour five six"), 115);
  assert.equal(seenFrom(read, " five six", "six"), 124);
  // A stop text is in the context, but not in the story.
  assert.equal(seenFrom(read, " five six", "three four five six STOP"), 108);
  assert.equal(seenFrom(read, " five six", "elsewhere"), null);
});

const made = [];
afterEach(() => {
  for (const it of made.splice(0)) ((it.isConnected = false), it.disconnectedCallback());
});

function element(attributes = {}) {
  const it = new TokenFormerElement();
  made.push(it);
  for (const [name, value] of Object.entries({ prompt: "x", "max-tokens": "1", ...attributes }))
    it.setAttribute(name, value);
  it.isConnected = true;
  it.connectedCallback();
  return it;
}

test("an element reads what its page makes of the text, which is the page's text all the same", async () => {
  useFakeEngine();
  FakeEngine.made.length = 0;
  const it = element();
  const asked = [];
  it.compose = (text, model) => {
    asked.push([text, model === it.model]);
    if (asked.length === 1) it.text = "y"; // the visitor, meanwhile
    return asked.length === 4 ? null : { prompt: `M. ${text}`, keep: 2, temperature: 0 };
  };
  const { options } = await it.generate();
  assert.deepEqual(asked, [
    ["x", true],
    ["y", true],
  ]);
  assert.deepEqual([it.text, options.keep, options.temperature], ["yA", 2, 0]);
  assert.throws(() => (it.compose = "M."), { code: "invalid-argument" });
  assert.throws(() => (it.wordLink = "inspect.html"), { code: "invalid-argument" });
  await it.generate([65]);
  await it.generate("z");
  await it.generate();
  assert.equal(asked.length, 4, "ids are taken as they are");
  assert.deepEqual(FakeEngine.made[0].prompts.slice(0, 1).concat(FakeEngine.made[0].prompts.slice(2)), [
    "M. y",
    "M. z",
    "zA",
  ]);
});

test("what stays before every text is read before its tokens are scored", async (t) => {
  useFakeEngine();
  const { info, score } = FakeEngine.prototype;
  t.after(() => Object.assign(FakeEngine.prototype, { info, score }));
  FakeEngine.prototype.info = () => ({ contextLength: 100 });
  const scored = new Promise((resolve) => {
    FakeEngine.prototype.score = async ([{ text, context }]) => {
      resolve([context, text].map((ids) => String.fromCodePoint(...ids)));
      return [{ logprobs: Array.from(text, () => -1) }];
    };
  });
  const it = element({ prompt: "abc", "token-view": "" });
  it.compose = (text) => ({ prompt: `M.${text}`, keep: 2 });
  await it.load();
  assert.deepEqual(await scored, ["M.", "abc"]);
});

test("a page's composer reads the story's memory, tells what was seen, and does without it where it cannot be had", async (t) => {
  useFakeEngine();
  FakeEngine.made.length = 0;
  const it = element({ keep: "1" });
  const seen = [];
  let told = async () => ({ ...nothing, memory: "Memory." });
  composePrompts(
    it,
    () => told(),
    (text) => seen.push(text),
  );
  const { info } = FakeEngine.prototype;
  t.after(() => (FakeEngine.prototype.info = info));
  FakeEngine.prototype.info = () => ({ contextLength: 400 });
  const write = async () => {
    const done = new Promise((resolve) => it.addEventListener("done", resolve, { once: true }));
    const { options } = await it.generate();
    await done;
    return options.keep;
  };
  assert.equal(await write(), 8);
  told = async () => nothing;
  assert.equal(await write(), 1);
  told = async () => {
    throw new Error("No storage.");
  };
  assert.equal(await write(), 1);
  assert.deepEqual(FakeEngine.made[0].prompts, ["Memory.\nx", "xA", "xAA"]);
  assert.deepEqual(seen.slice(0, 2), ["AB", "AB"]);
});
