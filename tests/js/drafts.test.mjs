// Several continuations: what is kept of them while they are written, and which one an ending follows best.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Drafts } from "../../www/page/stories/drafts.js";
import { orderedByEnding } from "../../www/page/stories/endings.js";
import { textOf } from "../../www/page/stories/passages.js";
import { newStory } from "../../www/page/stories/story.js";
import { alternativesAt } from "../../www/page/stories/versions.js";
import { isWays, waysOf } from "../../www/page/ways.js";

test("what is written of several ways is kept once it is there, each before what follows the place", () => {
  let story = newStory({ passages: [{ text: "One. Two.", written: false }] });
  let changes = 0;
  const amend = (change) => {
    story = change(story);
    changes += 1;
  };
  const drafts = new Drafts({ n: 3, at: 5, ending: [{ text: "Two.", written: false }], amend });
  drafts.keep();
  assert.equal(changes, 0);
  const write = (index, text) => drafts.add({ index, text, tokenId: 1 });
  write(1, "More\r");
  drafts.keep();
  const ways = () => alternativesAt(story, 5).map(({ passages }) => textOf(passages));
  assert.deepEqual(ways(), ["Two.", "More\nTwo."]);
  write(1, "\n");
  write(0, "Less ");
  drafts.keep();
  drafts.keep();
  assert.deepEqual([ways(), changes], [["Two.", "More\nTwo.", "Less Two."], 2]);
  assert.deepEqual(alternativesAt(story, 5)[2].passages, [
    { text: "Less ", written: true },
    { text: "Two.", written: false },
  ]);
  assert.deepEqual(drafts.partsOf(0), [{ text: "Less ", tokenId: 1, written: true }]);
});

/** A model whose tokens are letters, and for which letters in its context are likely. */
function modelOf(contextLength) {
  const asked = [];
  const letters = (text) => Array.from(text, (letter) => letter.codePointAt(0));
  return {
    asked,
    info: { contextLength },
    encode: async (text) => letters(text),
    score: async (items) => {
      asked.push(...items);
      return items.map(({ text, context }) => ({ logprobs: text.map((id) => (context.includes(id) ? -1 : -9)) }));
    },
  };
}

test("texts are ordered by how well an ending follows them, whatever the context holds", async () => {
  const model = modelOf(100);
  assert.deepEqual(await orderedByEnding(model, ["xyz", "abx", "abc", "axc"], "abc"), [2, 1, 3, 0]);
  const small = modelOf(8);
  assert.deepEqual(await orderedByEnding(small, [`${"-".repeat(90)}d`, `d${"-".repeat(90)}abc`], "abcde"), [1, 0]);
  // The ending takes half of the context, and the rest is what immediately precedes it.
  assert.deepEqual(
    small.asked.map(({ text, context }) => [text.length, String.fromCodePoint(...context)]),
    [
      [4, "---d"],
      [4, "-abc"],
    ],
  );
});

test("how many ways there are is a number from 1 to 6, or one", () => {
  assert.deepEqual([null, "1", "6", "7", "0", "", "2.5", "12"].map(isWays), [
    true,
    true,
    true,
    ...Array(5).fill(false),
  ]);
  assert.deepEqual(
    ["4", "9", null].map((value) => waysOf({ getAttribute: () => value })),
    [4, 1, 1],
  );
});
