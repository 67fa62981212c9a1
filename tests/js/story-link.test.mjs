// A story in a link: what it holds, how long it is, and what a damaged one does.

import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import { test } from "node:test";
import { TokenFormerError } from "../../www/lib/errors.js";
import { fromHash, fromStoryHash, toHash, toStoryHash } from "../../www/page/address.js";
import { readAttributes } from "../../www/page/memory.js";
import { fromCode, LONGEST_LINK, toCode } from "../../www/page/stories/link.js";
import { newStory } from "../../www/page/stories/story.js";
import { seeded } from "../browser/monkey/random.mjs";
import { randomStory } from "./random-story.mjs";

const defaults = readAttributes({ getAttribute: (name) => ({ temperature: "0.7", "top-p": "0.9" })[name] ?? null });
const packed = (value) => deflateRawSync(JSON.stringify(value)).toString("base64url");

test("a link holds title and text in two inks, whatever they are", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const story = randomStory(seeded(seed));
    const code = await toCode(story);
    assert.match(code, /^[A-Za-z0-9_-]+$/);
    const { title, passages, versions, memory } = await fromCode(code);
    assert.deepEqual([title, passages, versions, memory], [story.title, story.passages, [], ""], `seed ${seed}`);
  }
});

test("a link's settings are those that a link may have, and count only when the story is taken", async () => {
  const changed = { ...defaults, seed: "7", temperature: "1", endpoint: "https://hub.example" };
  const hash = toStoryHash("abc", changed, defaults);
  assert.equal(fromHash(hash, defaults), null, "nothing is set by opening it");
  const { code, attributes } = fromStoryHash(hash, defaults);
  assert.deepEqual([code, attributes.seed, attributes.temperature, "endpoint" in attributes], ["abc", "7", "1", false]);
  const hostile = fromStoryHash("#story=abc&endpoint=https://x.example&token=hf_x&max-tokens=many", defaults);
  assert.deepEqual(
    hostile.attributes && Object.keys(hostile.attributes).filter((name) => hostile.attributes[name] !== defaults[name]),
    [],
  );
  assert.deepEqual(fromStoryHash(toStoryHash("abc", defaults, defaults), defaults), { code: "abc", attributes: null });
  assert.equal(fromStoryHash(toHash(changed, defaults, "Once"), defaults), null);
});

test("a story of two thousand words fits into a link", async () => {
  const words =
    "the old keeper looked at a sea that had been calm since morning and thought about his daughter who".split(" ");
  const random = seeded(1);
  // Prose is more regular than words at random: this is the worse case.
  const text = Array.from({ length: 2000 }, () => random.pick(words)).join(" ");
  const passages = Array.from({ length: 20 }, (_, i) => ({
    text: text.slice(i * 500, (i + 1) * 500),
    written: i % 2 === 1,
  }));
  assert.ok((await toCode(newStory({ passages }))).length < LONGEST_LINK);
});

test("a link that was cut off, damaged or made up says so, and one that swells is not swallowed", async () => {
  const code = await toCode(newStory({ passages: [{ text: "Once upon a time ".repeat(20), written: false }] }));
  const bad = [
    "",
    "x",
    "!",
    "%%%",
    code.slice(0, -4),
    `${code.slice(0, 9)}AAAA${code.slice(9)}`,
    ...[null, 5, [], {}, { p: 5 }, { p: [5] }].map(packed),
    packed({ p: ["x".repeat(2 ** 22)] }),
    "A".repeat(200_000),
  ];
  for (const one of bad)
    await assert.rejects(
      fromCode(one),
      (error) => error instanceof TokenFormerError && /link/.test(error.message),
      one.slice(0, 60),
    );
  const random = seeded(5);
  for (let i = 0; i < 300; i += 1) {
    const at = random.below(code.length);
    const changed = code.slice(0, at) + random.pick([..."AZaz09-_"]) + code.slice(at + 1);
    await fromCode(changed).catch((error) => assert.ok(error instanceof TokenFormerError, error.stack));
  }
});
