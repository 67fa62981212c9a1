// Stories that a seed determines, for tests of what must hold for all of them.

import { merged, textOf } from "../../www/page/stories/passages.js";
import { newStory, titleOf } from "../../www/page/stories/story.js";
import { branched, continuedFrom, taken } from "../../www/page/stories/versions.js";

const PIECES = [
  "Once upon a time",
  " ",
  "\n",
  "\n\n",
  "\n\n\n",
  "*",
  "_",
  "#",
  "# A heading\n",
  "`code`",
  "<b>",
  "&amp;",
  "&",
  "</span>",
  "-->",
  "<!--",
  "\\",
  "\\\n",
  "  \n",
  "\t",
  "1. ",
  "- ",
  "> ",
  "===\n",
  "---\n",
  "|",
  "[a](b)",
  "![x]",
  "~~",
  '"',
  "'",
  "é",
  "🙂",
  "漢字",
  "\u00a0",
  "\u2028",
  "\u0000",
  "\ufeff",
  "{{[INPUT]}}",
  "http://a.example",
  "zzz",
  ".",
];

/** @param {ReturnType<typeof import("../browser/monkey/random.mjs").seeded>} random */
export function randomText(random, most = 6) {
  return Array.from({ length: random.below(most + 1) }, () => random.pick(PIECES)).join("");
}

export function randomPassages(random, most = 4) {
  return merged(
    Array.from({ length: random.below(most + 1) }, () => ({ text: randomText(random), written: random.chance(0.5) })),
  );
}

/** A story with every possible part. */
export function randomStory(random) {
  let it = newStory({ passages: randomPassages(random, 8) }, 1 + random.below(1e12));
  for (let i = random.below(8); i > 0; i -= 1) {
    const at = random.below(textOf(it.passages).length + 1);
    const deed = random.below(3);
    if (deed === 0) it = branched(it, at, randomPassages(random)).story;
    else if (deed === 1) it = continuedFrom(it, at);
    else if (it.versions.length > 0) it = taken(it, random.pick(it.versions).id);
  }
  const lore = Array.from({ length: random.below(4) }, () => ({
    names: ["Anna", "🙂", 'a "b"'].slice(0, random.below(4)),
    text: randomText(random),
    isAlways: random.chance(0.3),
  }));
  return {
    ...it,
    title: random.chance(0.5) ? titleOf({ title: null, passages: randomPassages(random) }) : null,
    attributes: random.chance(0.5) ? { temperature: "0.5", seed: "7", "top-p": null, stop: '["\\n"]' } : {},
    memory: randomText(random),
    note: randomText(random),
    noteLines: random.below(9),
    lore,
  };
}
