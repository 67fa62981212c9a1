// Files of stories: saved, opened again, from other programs, and malformed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { TokenFormerError } from "../../www/lib/errors.js";
import { areStories, FILES, fileName, missingInFile, openFile } from "../../www/page/stories/files.js";
import { MOST_BYTES, MOST_VERSIONS } from "../../www/page/stories/reading.js";
import { plain, textOf } from "../../www/page/stories/passages.js";
import { newStory, titleOf } from "../../www/page/stories/story.js";
import { alternativesAt, placesOf, taken, withoutDeleted } from "../../www/page/stories/versions.js";
import { seeded } from "../browser/monkey/random.mjs";
import { randomStory } from "./random-story.mjs";

const FIXTURES = new URL("../fixtures/stories/", import.meta.url);
/** More seeds in `scripts/test full`. */
const TIMES = process.env.TOKENFORMER_FULL ? 20 : 1;
const bytes = (text) => new TextEncoder().encode(text);
const fixture = (name) => openFile(name, new Uint8Array(readFileSync(new URL(name, FIXTURES))));
const own = (text) => ({ text, written: false });
const model = (text) => ({ text, written: true });
const ways = (story, at) => alternativesAt(story, at).map(({ passages }) => textOf(passages));

test("a story is the same after it was saved and opened, as far as the file can hold it", () => {
  for (let seed = 1; seed <= 100 * TIMES; seed += 1) {
    const story = randomStory(seeded(seed));
    for (const [extension, { write, hasInks, hasAll }] of Object.entries(FILES)) {
      const file = write(story);
      const { stories, dropped } = openFile(`a.${extension}`, bytes(file));
      const told = `seed ${seed}: ${extension}: ${file}`;
      assert.deepEqual([stories.length, dropped], [1, []], told);
      const expected = hasInks ? story.passages : plain([own(textOf(story.passages))]);
      assert.deepEqual(stories[0].passages, expected, told);
      if (extension !== "txt") assert.equal(stories[0].title, story.title, told);
      if (!hasAll) continue;
      const { id: _, ...all } = { ...story, versions: withoutDeleted(story.versions) };
      const { id: other, ...read } = stories[0];
      assert.deepEqual(read, all, told);
      assert.notEqual(other, story.id);
    }
  }
});

test("what a file does not hold is said, and its name is one for all systems", () => {
  const plainStory = newStory({ passages: [own("One")] });
  const whole = { ...plainStory, passages: [own("One"), model(" two")], memory: "m" };
  whole.versions = [{ id: "a", parent: null, at: 1, passages: [own("x")] }];
  assert.deepEqual(
    ["txt", "json"].map((extension) => missingInFile(plainStory, extension)),
    ["", ""],
  );
  assert.equal(missingInFile(whole, "txt"), "who wrote what; versions; memory, note and lore");
  assert.equal(missingInFile(whole, "html"), "versions; memory, note and lore");
  assert.equal(missingInFile(whole, "json"), "");
  const named = (title) => fileName({ ...plainStory, title }, "txt");
  assert.deepEqual(["a/b: c?", "..", "con", "\u202e漢字 🙂"].map(named), [
    "a b c.txt",
    "Story.txt",
    "Story.txt",
    "漢字 🙂.txt",
  ]);
});

test("what is dropped on the page is a story by its name, unless it is a model's", () => {
  for (const paths of [["a.txt"], ["a.JSON", "b.md"], ["my.story.html"]])
    assert.equal(areStories(paths), true, paths[0]);
  const others = [
    [],
    ["config.json"],
    ["a.txt", "model.safetensors"],
    ["m/a.json"],
    ["model.safetensors.index.json"],
    ["a.png"],
  ];
  for (const paths of others) assert.equal(areStories(paths), false, paths[0]);
});

test("Markdown and text of others are taken as they stand, a page of another's is refused", () => {
  const open = (name, text) => openFile(name, bytes(text)).stories[0].passages;
  assert.deepEqual(open("a.md", "# One\r\n\r\n*two*\r\n"), [own("# One\n\n*two*\n")]);
  assert.deepEqual(open("a.txt", "\ufeffOnce"), [own("Once")]);
  assert.deepEqual(open("story", "Once"), [own("Once")]);
  const utf16 = new Uint8Array([0xff, 0xfe, 0x4f, 0, 0x6b, 0]);
  assert.deepEqual(openFile("a.txt", utf16).stories[0].passages, [own("Ok")]);
  assert.throws(() => open("a.html", "<p>Once</p>"), /none that was saved here/);
});

test("Markdown shows the text as it is", () => {
  const file = FILES.md.write(newStory({ title: "A *tale*", passages: [own(" a_b_ \n# c\n\n1. d\n\te & <f>")] }));
  const body = file.split("\n\n").slice(1).join("\n\n");
  assert.equal(body, "# A \\*tale\\*\n\n&#32;a\\_b\\_&#32;\\\n\\# c\n\n1\\. d\\\n&#9;e \\& \\<f>\n");
});

test("a page that is saved runs nothing and asks nobody", () => {
  const title = '</title><script src="https://a.example/x.js"></script>';
  const file = FILES.html.write(newStory({ title, passages: [own("<img src=x onerror=alert(1)>"), model("&lt;b>")] }));
  assert.ok(!/<(script|img|link|iframe)/i.test(file), file);
});

test("KoboldAI's saves open with memory, note and world info, and other actions as versions", () => {
  const { stories, dropped } = fixture("kobold-lite.json");
  const [story] = stories;
  assert.equal(
    textOf(story.passages),
    'The keeper lit the lamp. Nobody came. Then the sea rose.\n"Who is there?" he asked.',
  );
  assert.deepEqual([story.memory, story.note], ["A lighthouse in 1890.", "[Author's note: quiet, slow]"]);
  assert.deepEqual(
    story.lore.map(({ names, isAlways }) => [names, isAlways]),
    [
      [["keeper", "Tom"], false],
      [[], true],
      [["ship"], false],
    ],
  );
  const at = "The keeper lit the lamp. Nobody came.".length;
  assert.deepEqual(ways(story, at), [' Then the sea rose.\n"Who is there?" he asked.', " Then a ship came.\n"]);
  assert.deepEqual(dropped, [
    "who wrote what, which the file does not say",
    "its settings, which are another model's",
    "conditions of its world info other than a name",
  ]);
  const united = fixture("kobold-united.json");
  const [other] = united.stories;
  assert.deepEqual(
    [titleOf(other), textOf(other.passages)],
    ["The lamp", "The keeper lit the lamp. Nobody came. He slept."],
  );
  assert.deepEqual(ways(other, 24), [" Nobody came. He slept.", " A bell rang."]);
  assert.deepEqual([other.note, other.lore[0].names], ["[Author's note: slow]", ["Tom", "keeper"]]);
  assert.ok(united.dropped.includes("what was undone in it"));
});

test("mikupad's sessions open with who wrote what", () => {
  const { stories, dropped } = fixture("mikupad.json");
  const [story] = stories;
  assert.deepEqual(story.passages, [own("The keeper lit"), model(" the lamp"), own(", and"), model(" slept.")]);
  assert.deepEqual(
    [titleOf(story), story.memory, story.note, story.noteLines],
    ["The lamp", "[A lighthouse.]\n", "slow", 2],
  );
  assert.deepEqual(story.lore, [{ names: ["Tom", "keepers?"], text: "Tom is old.", isAlways: false }]);
  assert.deepEqual(dropped, [
    "its settings, which are another model's",
    "the tokens' probabilities",
    "patterns among the names of its world info, which are names here",
  ]);
});

test("loomsidian's trees open with every branch, those of the plugin's own file each by its note", () => {
  const { stories, dropped } = fixture("loomsidian.json");
  let [story] = stories;
  assert.equal(textOf(story.passages), "The keeper lit the lamp. He slept.");
  assert.deepEqual(placesOf(story), [0, 11, 24, 34]);
  assert.deepEqual(ways(story, 24), [" He slept.", " A bell rang. Twice."]);
  assert.deepEqual(ways(story, 34), ["", " Morning came."]);
  assert.deepEqual(ways(story, 0), ["The keeper lit the lamp. He slept.", "Another beginning."]);
  story = taken(story, "f");
  assert.equal(textOf(story.passages), "The keeper lit the lamp. A bell rang. Once.");
  assert.deepEqual(dropped, ["who wrote what, which the file does not say", "bookmarks"]);
  const all = fixture("loomsidian-data.json").stories;
  assert.deepEqual(all.map(titleOf), ["The lamp", "Empty"]);
});

test("a tree that goes round in a circle, or hangs on nothing, is told", () => {
  const open = (nodes, current) => openFile("a.json", bytes(JSON.stringify({ nodes, current })));
  const node = (text, parentId) => ({ text, parentId });
  assert.throws(() => open({ a: node("x", "b"), b: node("y", "a") }, "a"), /round in a circle/);
  const { stories, dropped } = open({ r: node("x", null), a: node("x", "b"), b: node("y", "a") }, "r");
  assert.deepEqual([textOf(stories[0].passages), dropped[1]], ["x", "nodes that hang on no other"]);
  // Branches of nodes without text are branches of the node before them.
  const empty = open(
    { r: node("x", null), c: node("y", "r"), e: node("", "r"), f: node("1", "e"), g: node("2", "e") },
    "c",
  );
  assert.deepEqual(ways(empty.stories[0], 1), ["y", "1", "2"]);
  assert.deepEqual(empty.dropped, ["who wrote what, which the file does not say"]);
  const many = Object.fromEntries(
    Array.from({ length: MOST_VERSIONS + 50 }, (_, i) => [`n${i}`, node("x", i ? "n0" : null)]),
  );
  assert.match(open(many, "n1").dropped.join(), /all versions but the first 10,000/);
});

test("a file that is none, too large or of the future says so", () => {
  const open = (text, name = "a.json") => openFile(name, bytes(text));
  assert.throws(() => open("{"), /a\.json is not whole/);
  for (const text of ["null", "5", "[]", "{}", '"x"', '{"prompt":5,"actions":[]}', '{"nodes":[]}'])
    assert.throws(() => open(text), /no story of this page, KoboldAI, mikupad or loomsidian/, text);
  assert.throws(() => open('{"format":"tokenformer-story","version":9,"passages":[]}'), /version 9/);
  assert.throws(() => open('{"format":"tokenformer-story","version":1}'), /no passages/);
  assert.throws(() => openFile("a.txt", new Uint8Array([0x80, 0x81])), /not a text in UTF-8/);
  assert.throws(() => openFile("a.txt", { length: MOST_BYTES + 1 }), /33 MB; a story may have 32/);
  const odd = open(
    JSON.stringify({
      format: "tokenformer-story",
      version: 1,
      passages: [{ text: 5 }, own("a")],
      versions: [{ at: 9, id: "x", passages: [] }],
      noteLines: 1e9,
      attributes: { onclick: 5, seed: "1" },
    }),
  );
  assert.deepEqual(odd.dropped, ["passages without text", "some versions, which have no place in it"]);
  assert.deepEqual([odd.stories[0].noteLines, odd.stories[0].attributes], [3, { seed: "1" }]);
});

/** Replaces a value at a random place. */
function mutated(value, random) {
  const other = () =>
    random.pick([null, true, -1, 1e308, 0.5, "", "x", "[", [], {}, [[]], { text: {} }, ["a", 5], "\ud800"]);
  if (typeof value !== "object" || value === null || random.chance(0.15)) return other();
  const copy = Array.isArray(value) ? [...value] : { ...value };
  const keys = Object.keys(copy);
  const key = keys.length > 0 ? random.pick(keys) : "text";
  if (random.chance(0.2)) delete copy[key];
  else copy[key] = mutated(copy[key], random);
  return copy;
}

test("files that were damaged open to a sound story, or say what is wrong", () => {
  const foreign = ["kobold-lite.json", "kobold-united.json", "mikupad.json", "loomsidian.json", "loomsidian-data.json"];
  const values = foreign.map((name) => JSON.parse(readFileSync(new URL(name, FIXTURES), "utf8")));
  const outcomes = { opened: 0, refused: 0 };
  for (let seed = 1; seed <= 1000 * TIMES; seed += 1) {
    const random = seeded(seed);
    const isOwn = random.chance(0.3);
    let value = isOwn ? JSON.parse(FILES.json.write(randomStory(random))) : random.pick(values);
    for (let i = 1 + random.below(4); i > 0; i -= 1) value = mutated(value, random);
    let text = JSON.stringify(value);
    if (random.chance(0.1)) text = text.slice(0, random.below(text.length + 1));
    const name = random.chance(0.9) ? "a.json" : random.pick(["a.html", "a.md", "a.txt"]);
    try {
      for (const story of openFile(name, bytes(text)).stories) {
        assert.deepEqual(story.passages, plain(story.passages));
        assert.deepEqual(
          openFile("b.json", bytes(FILES.json.write(story))).stories[0].versions,
          withoutDeleted(story.versions),
        );
        for (const at of placesOf(story)) for (const { id } of alternativesAt(story, at)) taken(story, id);
      }
      outcomes.opened += 1;
    } catch (error) {
      assert.ok(error instanceof TokenFormerError && error.hint, `seed ${seed}: ${error.stack}: ${text}`);
      outcomes.refused += 1;
    }
  }
  assert.ok(outcomes.opened > 100 && outcomes.refused > 100, JSON.stringify(outcomes));
});
