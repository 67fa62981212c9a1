// Stories as values: their text, their versions, what a model sees of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { areSame, placeIn, plain, sameStart, sliced, textOf } from "../../www/page/stories/passages.js";
import { composed, lastMention } from "../../www/page/stories/prompt.js";
import {
  asTitle,
  copied,
  LONGEST_TITLE,
  newStory,
  renamed,
  titleOf,
  wordsOf,
  write,
} from "../../www/page/stories/story.js";
import {
  alternativesAt,
  asTree,
  branched,
  continuedFrom,
  deleted,
  drafted,
  MOST_DEPTH,
  placesOf,
  putBack,
  taken,
  withoutDeleted,
} from "../../www/page/stories/versions.js";
import { seeded } from "../browser/monkey/random.mjs";
import { randomPassages } from "./random-story.mjs";

const own = (text) => ({ text, written: false });
const model = (text) => ({ text, written: true });
const story = (...passages) => newStory({ passages });
const ways = (it, at) =>
  alternativesAt(it, at).map(({ passages, isTaken }) => (isTaken ? `*${textOf(passages)}` : textOf(passages)));
const wayAt = (it, at, text) => alternativesAt(it, at).find(({ passages }) => textOf(passages) === text)?.id;

test("passages are cut and joined to the letter", () => {
  const passages = [own("Once "), model("upon"), own("")];
  assert.deepEqual(sliced(passages, 3, 7), [own("e "), model("up")]);
  assert.deepEqual(plain([own("a\r"), own("\nb\ud83d"), model("c")]), [own("a\nb\ufffd"), model("c")]);
  assert.equal(areSame([own("a"), own("b")], [own("ab")]), true);
  assert.equal(areSame([own("a"), model("b")], [own("ab")]), false);
  assert.deepEqual([placeIn("a🙂b", 2), placeIn("ab", 9), placeIn("ab", NaN)], [1, 2, 0]);
});

test("a title is what it was given, or the first words", () => {
  assert.equal(titleOf(story(own("  Once\n\nupon a time"))), "Once upon a time");
  assert.equal(titleOf(story(own("word ".repeat(50)))), `${"word ".repeat(9).trim()}…`);
  assert.equal(titleOf(story()), "Untitled");
  assert.equal(titleOf(renamed(story(own("Once")), "  My \n tale ")), "My tale");
  assert.equal(titleOf(renamed(renamed(story(own("Once")), "x"), " ")), "Once");
  assert.ok(Array.from(asTitle("🙂".repeat(500))).length <= LONGEST_TITLE);
  const copy = copied(story(own("Once")), "(other tab)");
  assert.deepEqual([titleOf(copy), wordsOf(copy)], ["Once (other tab)", 1]);
});

test("four ways to go on: the third is taken, then the first, and each is found again", () => {
  let it = story(own("It rained. "), model("First."));
  const at = "It rained. ".length;
  for (const text of ["Second.", "Third.", "Fourth."]) it = branched(it, at, [model(text)]).story;
  assert.deepEqual(ways(it, at), ["*First.", "Second.", "Third.", "Fourth."]);
  const ids = alternativesAt(it, at).map(({ id }) => id);
  it = taken(it, ids[2]);
  assert.deepEqual(it.passages, [own("It rained. "), model("Third.")]);
  assert.deepEqual(ways(it, at), ["First.", "Second.", "*Third.", "Fourth."]);
  it = taken(it, ids[0]);
  assert.deepEqual(ways(it, at), ["*First.", "Second.", "Third.", "Fourth."]);
  assert.deepEqual(
    alternativesAt(it, at).map(({ id }) => id),
    ids,
  );
  // A version that exists already is not added.
  assert.deepEqual(branched(it, at, [model("Second.")]), { story: it, id: ids[1] });
  assert.equal(branched(it, at, [model("First.")]).id, ids[0]);
});

test("who continues from the middle finds what followed as a version, with its own versions", () => {
  let it = story(own("One. "), model("Two. Three."));
  it = branched(it, 10, [model("Four.")]).story;
  it = continuedFrom(it, 5);
  assert.deepEqual([textOf(it.passages), placesOf(it)], ["One. ", [5]]);
  it = write(it, [own("One. "), model("Else.")]);
  assert.deepEqual(ways(it, 5), ["Two. Three.", "*Else."]);
  it = taken(it, wayAt(it, 5, "Two. Three."));
  assert.deepEqual(
    [ways(it, 5), ways(it, 10)],
    [
      ["*Two. Three.", "Else."],
      ["*Three.", "Four."],
    ],
  );
  // A version within a version is taken at once.
  const four = wayAt(it, 10, "Four.");
  it = taken(it, wayAt(it, 5, "Else."));
  assert.deepEqual([placesOf(it), textOf(it.passages)], [[5], "One. Else."]);
  it = taken(it, four);
  assert.equal(textOf(it.passages), "One. Two. Four.");
  // An empty version leaves no trace.
  it = taken(continuedFrom(story(own("One. Two.")), 5), undefined);
  assert.deepEqual(ways(it, 5), ["Two.", "*"]);
  it = taken(it, wayAt(it, 5, "Two."));
  assert.deepEqual([textOf(it.passages), it.versions], ["One. Two.", []]);
});

test("a change before a place moves it, one behind it does not, one around it keeps what was between", () => {
  const base = branched(story(own("One. Two. "), model("Three.")), 10, [model("Four.")]).story;
  const corrected = write(base, [own("Oh, one. Two. "), model("Three.")]);
  assert.deepEqual(ways(corrected, 14), ["*Three.", "Four."]);
  const longer = write(base, [own("One. Two. "), model("Three. And more.")]);
  assert.deepEqual(ways(longer, 10), ["*Three. And more.", "Four."]);
  const cut = write(base, [own("One. ")]);
  assert.deepEqual(ways(cut, 5), ["*", "Two. Four."]);
  assert.equal(textOf(taken(cut, wayAt(cut, 5, "Two. Four.")).passages), "One. Two. Four.");
  assert.equal(write(base, base.passages), base);
});

test("what is being written is a version from its first letter on, and the one that is taken stays in its place", () => {
  const before = [own("It rained. ")];
  let it = story(...before);
  const at = "It rained. ".length;
  const draft = (id, text) => ({ id, passages: text ? [model(text)] : [] });
  it = drafted(it, at, [draft("a", "Fir"), draft("b", ""), draft("c", "Oak"), draft("d", "Fir")]);
  assert.deepEqual(ways(it, at), ["*", "Fir", "Oak"]);
  it = drafted(it, at, [draft("a", "First."), draft("b", "Second."), draft("c", "Third."), draft("d", "First.")]);
  assert.deepEqual(ways(it, at), ["*", "First.", "Third.", "Second."]);
  it = write(it, [...before, model("Third.")]);
  assert.deepEqual(ways(it, at), ["First.", "*Third.", "Second."]);
  // Drafts that arrive late do not bring back the taken one.
  it = drafted(it, at, [draft("c", "Third."), draft("a", "First.")]);
  assert.deepEqual(ways(it, at), ["First.", "*Third.", "Second."]);
  assert.deepEqual(drafted(story(...before), at, [draft("a", "")]).versions, []);
});

test("who undoes and redoes goes from version to version, and none is there twice", () => {
  const text = (it) => textOf(it.passages);
  let it = branched(story(own("One. "), model("Two.")), 5, [model("Three.")]).story;
  const [two, three] = [it.passages, [own("One. "), model("Three.")]];
  it = write(taken(it, wayAt(it, 5, "Three.")), [...three, own(" And more.")]);
  it = write(it, two);
  assert.deepEqual([text(it), ways(it, 5)], ["One. Two.", ["*Two.", "Three. And more."]]);
  it = write(it, [...three, own(" And more.")]);
  assert.deepEqual(ways(it, 5), ["Two.", "*Three. And more."]);
  // The same letters by a different author are a different text.
  it = write(it, [own("One. Two.")]);
  assert.deepEqual(ways(it, 5), ["Two.", "*Two."]);
});

test("what two texts begin with alike is by the same hand", () => {
  const text = [own("One. "), model("Two. Three.")];
  assert.equal(sameStart(text, [own("One. "), model("Two. Four.")]), 10);
  assert.equal(sameStart(text, [own("One. "), own("Two. Three.")]), 5);
  assert.equal(sameStart(text, [own("One. ")]), 5);
  assert.equal(sameStart([own("a🙂")], [own("a🙃")]), 1);
  assert.equal(sameStart(text, text), 16);
});

test("a version that was deleted can be put back, until the story is opened again", () => {
  let it = branched(story(own("One. "), model("Two.")), 5, [model("Three.")]).story;
  const id = wayAt(it, 5, "Three.");
  it = deleted(it, id);
  assert.deepEqual([ways(it, 5), placesOf(it)], [[], []]);
  assert.deepEqual(ways(putBack(it, id), 5), ["*Two.", "Three."]);
  assert.deepEqual(withoutDeleted(it.versions), []);
});

test("a list of versions from outside becomes a tree, whatever it says", () => {
  const at = (id, parent, at, passages = [own(id)]) => ({ id, parent, at, passages });
  const loop = [at("a", "b", 1), at("b", "a", 2)];
  assert.deepEqual(asTree(loop, 5), []);
  const kept = asTree([at("a", null, 1), at("b", "a", 0), at("c", "a", 2), at("d", null, 6), at("a", null, 2)], 5);
  assert.deepEqual(
    kept.filter(({ passages }) => passages).map(({ id }) => id),
    ["a", "c"],
  );
  assert.equal(kept.filter(({ passages }) => !passages).length, 2, "each place says what is taken");
  const deep = Array.from({ length: 2 * MOST_DEPTH }, (_, i) => at(`v${i}`, i ? `v${i - 1}` : null, i, [own(".")]));
  const it = { ...story(own("")), versions: asTree(deep, 0) };
  assert.equal(textOf(taken(it, `v${MOST_DEPTH - 1}`).passages), ".".repeat(MOST_DEPTH));
  assert.equal(textOf(taken(it, `v${MOST_DEPTH}`).passages), "");
});

test("whatever is taken, written and cut, no version's text is lost", () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const random = seeded(seed);
    let it = newStory({ passages: randomPassages(random) });
    /** Every text that existed, and was not changed by typing since. */
    const texts = (it) => {
      const found = new Set();
      const byId = new Map(it.versions.map((one) => [one.id, one]));
      const whole = (one) => {
        const { parent, at, passages } = one;
        const before = parent === null ? textOf(it.passages) : whole(byId.get(parent));
        return before.slice(0, at) + textOf(passages);
      };
      for (const one of it.versions) if (one.passages) found.add(whole(one));
      return found.add(textOf(it.passages));
    };
    for (let step = 0; step < 12; step += 1) {
      const before = texts(it);
      const length = textOf(it.passages).length;
      const deed = random.below(4);
      const some = it.versions[random.below(it.versions.length || 1)];
      if (deed === 0) it = branched(it, random.below(length + 1), randomPassages(random)).story;
      else if (deed === 1) it = continuedFrom(it, random.below(length + 1));
      else if (deed === 2 && some) it = taken(it, some.id);
      else {
        // Writing at the end changes no stored version.
        it = write(it, [...it.passages, ...randomPassages(random)]);
        before.delete([...before].at(-1));
      }
      const after = texts(it);
      for (const text of before)
        assert.ok(
          after.has(text) || [...after].some((one) => one.startsWith(text)),
          `seed ${seed}, step ${step}: ${text}`,
        );
      assert.deepEqual(asTree(it.versions, textOf(it.passages).length), it.versions, `seed ${seed}, step ${step}`);
    }
  }
});

const told = { memory: "", note: "", noteLines: 3, lore: [] };

test("a model sees the memory first, then lore, then the story with the note some lines before its end", () => {
  const passages = [own("A\nB\nC Anna\n"), model("D\nE")];
  const lore = [
    { names: ["Anna", "Ann"], text: "Anna is tall.", isAlways: false },
    { names: ["Bert"], text: "Bert is small.", isAlways: false },
    { names: [], text: "It is 1900.", isAlways: true },
  ];
  const { text, parts, left } = composed(
    { passages, memory: "A tale.", note: "[sad]", noteLines: 2, lore },
    { budget: 1000 },
  );
  assert.equal(text, "A tale.\nAnna is tall.\nIt is 1900.\nA\nB\nC Anna\n[sad]\nD\nE");
  assert.deepEqual(
    parts.map(({ kind }) => kind),
    ["memory", "lore", "story", "note", "story"],
  );
  assert.equal(left, 0);
  assert.equal(composed({ ...told, passages }, { budget: 1000 }).text, textOf(passages));
});

test("what there is no room for is the story's beginning, and what is told takes half at most", () => {
  const passages = [own("one two three four five six seven eight nine ten")];
  const words = (text) => text.match(/\S+/gu)?.length ?? 0;
  const few = composed({ ...told, passages }, { budget: 3, count: words });
  assert.deepEqual([few.text, few.left], ["eight nine ten", textOf(passages).length - "eight nine ten".length]);
  const lore = [
    { names: ["one"], text: "of the beginning", isAlways: false },
    { names: ["ten"], text: "of the end", isAlways: false },
    { names: ["nine"], text: "a long text that has no room at all", isAlways: false },
  ];
  const { text } = composed({ ...told, passages, memory: "a b c d e f g", lore }, { budget: 12, count: words });
  assert.equal(text, "a b c d e f\nfive six seven eight nine ten");
  const some = composed({ ...told, passages, memory: "a b", lore }, { budget: 10, count: words });
  assert.equal(some.text, "a b\nof the end\nsix seven eight nine ten");
  assert.equal(composed({ ...told, passages, memory: "m" }, { budget: 0, count: words }).text, "");
});

test("names occur as words, in whatever case", () => {
  assert.equal(lastMention(["Ann"], "Anna and ANN."), 9);
  assert.equal(lastMention(["Ann"], "Annabel"), -1);
  assert.equal(lastMention(["c++", "(x)", "é"], "in c++ (x)"), 7);
  assert.equal(lastMention(["", " "], "anything"), -1);
});
