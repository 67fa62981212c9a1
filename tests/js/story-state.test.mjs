// What the page remembers, and the library of stories: each text of the visitor's is one story, whatever replaces it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { replacedTexts } from "../../www/page/memory.js";
import { openFile } from "../../www/page/stories/files.js";
import { fitted } from "../../www/page/stories/fitted.js";
import { toCode } from "../../www/page/stories/link.js";
import { textOf } from "../../www/page/stories/passages.js";
import { newStory } from "../../www/page/stories/story.js";
import { alternativesAt, branched, drafted, taken } from "../../www/page/stories/versions.js";
import { keepReplacedPassages } from "../../www/page/replaced-passages.js";
import { Library } from "../../www/page/stories/library.js";
import { FakeRecords } from "./fake-records.mjs";
import { FakeStorage, follow, leave, PAGE, tab, visit } from "./fake-tab.mjs";

const own = (text) => [{ text, written: false }];
const texts = async ({ library }) => (await library.list()).map(({ passages }) => textOf(passages)).sort();
/** Waits until the tab's saved text is in the library. */
const kept = (it) => it.state.currentStory();

async function write(it, text) {
  it.writer.text = text;
  await kept(it);
}

test("texts of before there were stories are stories at the first visit, once", async () => {
  const browser = new FakeStorage();
  const passages = [
    { text: "Written ", written: false },
    { text: "yesterday", written: true },
  ];
  const told = { version: 1, attributes: {}, hash: "", tab: "a" };
  browser.setItem("tokenformer-web", JSON.stringify({ ...told, passages, isVisitors: true }));
  browser.setItem(
    "tokenformer-web-replaced/x",
    JSON.stringify({ version: 1, at: 1, passages: own("Put aside"), tab: null }),
  );
  for (let i = 0; i < 2; i += 1) {
    const it = tab(browser);
    visit(it);
    await it.library.list();
    await it.library.list();
    assert.deepEqual(await texts(it), ["Put aside", "Written yesterday"]);
    assert.deepEqual(
      (await it.library.list()).find((story) => textOf(story.passages) === "Written yesterday").passages,
      passages,
    );
  }
  const it = tab(browser);
  visit(it);
  await write(it, "Written today");
  assert.deepEqual([await texts(it), it.copy], [["Put aside", "Written today"], undefined]);
});

test("a story goes on at the next visit; a link's or an example's text is none until it is changed", async () => {
  const browser = new FakeStorage();
  const it = tab(browser);
  await write((visit(it), it), "Mine");
  leave(it);
  const next = tab(browser);
  visit(next, `${PAGE}#prompt=Theirs`);
  leave(next);
  assert.deepEqual(await texts(next), ["Mine"]);
  await write(next, "Theirs, changed");
  assert.deepEqual(await texts(next), ["Mine", "Theirs, changed"]);
  next.state.bringBack();
  await write(next, "Mine, changed");
  assert.deepEqual(await texts(next), ["Mine, changed", "Theirs, changed"]);
  leave(next);
  const third = tab(browser);
  visit(third);
  await write(third, "Mine, changed again");
  assert.deepEqual([await texts(third), third.copy], [["Mine, changed again", "Theirs, changed"], undefined]);
});

test("undo and redo of what took a text's place lead back to the story that each is", async () => {
  const it = tab(new FakeStorage());
  await write((visit(it), it), "Mine");
  it.state.replace("An example");
  await write(it, "An example, continued");
  await write(it, "Mine"); // undone
  await write(it, "Mine, and more");
  assert.deepEqual(await texts(it), ["An example, continued", "Mine, and more"]);
  await write(it, "An example, continued further"); // redone, and typed within one breath
  assert.deepEqual(await texts(it), ["An example, continued further", "Mine, and more"]);
});

test("who empties the page begins another story; undo returns to the one before", async () => {
  const it = tab(new FakeStorage());
  await write((visit(it), it), "The first");
  await write(it, "");
  await write(it, "A second");
  assert.deepEqual(await texts(it), ["A second", "The first"]);
  await write(it, "The first, after all");
  assert.deepEqual(await texts(it), ["A second", "The first, after all"]);
});

test("an empty page is empty after a reload, and what begins on it then is a story of its own", async () => {
  const it = tab(new FakeStorage());
  for (const text of ["One", "Two"]) {
    await write((visit(it), it), "");
    leave(it);
    visit(it);
    assert.equal(it.writer.text, "");
    await write(it, text);
  }
  assert.deepEqual(await texts(it), ["One", "Two"]);
});

test("a story that is opened takes the place of one that is kept, with its settings, and leaves no copy aside", async () => {
  const it = tab(new FakeStorage());
  await write((visit(it), it), "Mine");
  const mine = it.state.storyId;
  const other = newStory({
    passages: own("Other"),
    attributes: { seed: "5", endpoint: "https://x.example", "top-k": "many" },
  });
  await it.library.add(other);
  const { story, mark } = await it.library.get(other.id);
  await it.state.openStory(story, { mark, isOwn: true });
  assert.deepEqual([it.writer.text, it.state.storyId, it.ownText], ["Other", other.id, null]);
  assert.deepEqual(
    ["seed", "endpoint", "top-k"].map((name) => it.writer.getAttribute(name)),
    ["5", null, null],
  );
  await write(it, "Other, changed");
  assert.deepEqual(await texts(it), ["Mine", "Other, changed"]);
  leave(it);
  visit(it);
  assert.deepEqual([it.writer.text, it.state.storyId], ["Other, changed", other.id]);
  assert.equal(it.writer.getAttribute("seed"), "5");
  assert.notEqual(mine, other.id);
});

test("where the library fails, what an opened story takes the place of is put aside", async () => {
  const it = tab(new FakeStorage());
  visit(it);
  it.localStorage.records.fault = new DOMException("Full.", "QuotaExceededError");
  await write(it, "Mine");
  await it.state.openStory(newStory(), { mark: null, isOwn: true });
  assert.deepEqual([it.writer.text, it.ownText], ["", "Mine"]);
  await write(it, "Another");
  leave(it);
  const next = tab(it.localStorage);
  visit(next);
  assert.deepEqual([next.writer.text, next.ownText], ["Another", "Mine"]);
});

test("what was typed a moment before another story is opened is in the one that it was typed into", async () => {
  const it = tab(new FakeStorage());
  await write((visit(it), it), "Mine");
  it.writer.text = "Mine, and a last word";
  it.writer.dispatchEvent(new Event("input"));
  await it.state.openStory(newStory({ passages: own("Other") }), { mark: null, isOwn: true });
  await kept(it);
  assert.deepEqual(await texts(it), ["Mine, and a last word", "Other"]);
});

test("a version is taken, kept, and found again at the next visit with the others", async () => {
  const it = tab(new FakeStorage());
  visit(it);
  const { story } = branched(newStory({ passages: own("One. Two.") }), 5, [{ text: "Three.", written: true }]);
  await it.state.openStory(story, { mark: null, isOwn: true });
  const ways = async (it) =>
    alternativesAt(await it.state.currentStory(), 5).map((way) => [textOf(way.passages), way.isTaken]);
  const [first, second] = alternativesAt(story, 5);
  await it.state.rework((story) => taken(story, second.id));
  assert.deepEqual(it.writer.passages, [...own("One. "), { text: "Three.", written: true }]);
  await write(it, "One. Three. Four.");
  assert.deepEqual(await ways(it), [
    ["Two.", false],
    ["Three. Four.", true],
  ]);
  leave(it);
  const next = tab(it.localStorage);
  visit(next);
  assert.deepEqual(await ways(next), [
    ["Two.", false],
    ["Three. Four.", true],
  ]);
  await next.state.rework((story) => taken(story, first.id));
  assert.deepEqual([next.writer.text, await texts(next), next.copy], ["One. Two.", ["One. Two."], undefined]);
  assert.deepEqual(await ways(next), [
    ["Two.", true],
    ["Three. Four.", false],
  ]);
});

const ended = (it, at) => it.state.currentStory().then((story) => alternativesAt(story, at).map(wayInWords));
const wayInWords = ({ passages, isTaken }) => `${isTaken ? "*" : ""}${textOf(passages)}`;
const drafts = (...texts) => texts.map((text, i) => ({ id: `draft-${i}`, passages: [{ text, written: true }] }));

test("what is being written when a tab is closed is a version at the next visit, also of a text that nobody changed", async () => {
  for (const text of ["Once", "My own text"]) {
    const it = tab(new FakeStorage());
    visit(it);
    if (text !== "Once") await write(it, text);
    const amend = it.state.hold(it.writer.passages);
    await kept(it);
    amend((story) => drafted(story, text.length, drafts(" upon", " more")));
    amend((story) => drafted(story, text.length, drafts(" upon a time", " more time")));
    leave(it); // before the library has anything
    const next = tab(it.localStorage);
    next.library = new Library(new FakeRecords());
    visit(next);
    assert.deepEqual([next.writer.text, await ended(next, text.length)], [text, ["*", " upon a time", " more time"]]);
    visit(it);
    assert.deepEqual(await ended(it, text.length), ["*", " upon a time", " more time"]);
    assert.equal((await it.library.list()).length, 1);
  }
});

test("versions go to the story that they were written for, whatever is opened meanwhile", async () => {
  const it = tab(new FakeStorage());
  await write((visit(it), it), "Mine");
  const { storyId } = it.state;
  const amend = it.state.hold(it.writer.passages);
  await it.state.openStory(newStory({ passages: own("Other") }), { mark: null, isOwn: true });
  amend((story) => drafted(story, 4, drafts(" and yours")));
  await kept(it);
  await it.library.list();
  const { story } = await it.library.get(storyId);
  assert.deepEqual([textOf(story.passages), alternativesAt(story, 4).map(wayInWords)], ["Mine", ["*", " and yours"]]);
  assert.equal((await it.state.peek()).versions.length, 0);
});

test("what an undo or another passage takes away is a version; what the visitor typed is none", async () => {
  const it = tab(new FakeStorage());
  visit(it);
  keepReplacedPassages(it.writer, it.state);
  const change = (passages) => {
    const before = it.writer.passages;
    it.writer.dispatchesBefore = before;
    it.writer.passages = passages;
  };
  const begun = own("Begun. ");
  await write(it, "Begun. ");
  const written = [...begun, { text: "First.", written: true }];
  it.writer.passages = written; // and at once:
  change(begun);
  it.writer.dispatchesBefore = null;
  it.writer.passages = [...begun, { text: "Second.", written: true }];
  assert.deepEqual(await ended(it, 7), ["First.", "*Second."]);
  change(written);
  assert.deepEqual(await ended(it, 7), ["*First.", "Second."]);
  change([...written, ...own(" Typed.")]);
  change(written);
  assert.deepEqual(await ended(it, 7), ["*First.", "Second."]);
  assert.deepEqual(await ended(it, 13), []);
  // All of that is one story, however fast it was.
  assert.deepEqual([it.copy, (await it.library.list()).length], [undefined, 1]);
});

test("a story that was deleted is not offered any more", async () => {
  const it = tab(new FakeStorage());
  await write((visit(it), it), "Mine");
  const id = it.state.storyId;
  it.state.replace("An example");
  await write(it, "An example!");
  assert.equal(it.ownText, "Mine");
  await it.library.remove(id);
  it.state.forget(id);
  assert.deepEqual([it.ownText, replacedTexts()], [null, []]);
  leave(it);
  const next = tab(it.localStorage);
  visit(next);
  await next.library.list();
  assert.deepEqual(await texts(next), ["An example!"]);
});

test("a link with a whole story changes nothing until it is taken, and its settings are over with the visit", async () => {
  const it = tab(new FakeStorage());
  await write((visit(it), it), "Mine");
  const code = await toCode(newStory({ passages: own("Theirs") }));
  follow(it, `#seed=9&model=o%2Fn&story=${code}`);
  assert.deepEqual([it.writer.text, it.writer.getAttribute("seed"), it.links], ["Mine", null, 0]);
  const shared = it.state.sharedStory();
  assert.deepEqual([shared.code, shared.attributes.seed], [code, "9"]);
  await it.state.openStory(newStory({ passages: own("Theirs"), attributes: shared.attributes }), {
    mark: null,
    isOwn: false,
  });
  assert.deepEqual([it.writer.text, it.writer.getAttribute("seed")], ["Theirs", "9"]);
  await kept(it);
  assert.deepEqual(await texts(it), ["Mine", "Theirs"]);
  leave(it);
  const next = tab(it.localStorage);
  visit(next);
  assert.deepEqual(
    [next.writer.text, next.writer.getAttribute("seed"), next.writer.getAttribute("model")],
    ["Theirs", null, null],
  );
});

test("what a link has set is no setting of a story that is written meanwhile", async () => {
  const it = tab(new FakeStorage());
  visit(it).setAttribute("top-k", "7");
  follow(it, "#prompt=Theirs&seed=9&top-k=3");
  await write(it, "Theirs, changed");
  const [{ attributes }] = await it.library.list();
  assert.deepEqual([attributes.seed ?? null, attributes["top-k"]], [null, "7"]);
  assert.equal((await it.state.currentStory()).attributes.seed ?? null, null);
  it.writer.setAttribute("seed", "11");
  await write(it, "Theirs, changed again");
  assert.equal((await it.library.list())[0].attributes.seed, "11");
});

test("what a link has set is over when a story without settings is opened", async () => {
  const it = tab(new FakeStorage());
  visit(it);
  follow(it, "#prompt=Theirs&seed=9");
  await it.state.openStory(newStory({ passages: own("A file's") }), { mark: null, isOwn: false });
  assert.equal(it.writer.getAttribute("seed"), null);
  leave(it);
  const next = tab(it.localStorage);
  assert.equal(visit(next).getAttribute("seed"), null);
});

test("a tab that only looks at a story does not write it", async () => {
  const it = tab(new FakeStorage());
  await write((visit(it), it), "Mine");
  const [{ id }] = await it.library.list();
  const mark = async () => (await it.library.get(id)).mark;
  const before = await mark();
  for (let i = 0; i < 2; i += 1) await it.state.currentStory();
  assert.equal(await mark(), before);
  await write(it, "Mine, and more");
  assert.notEqual(await mark(), before);
});

test("a link that is made holds the story and its settings", async () => {
  const it = tab(new FakeStorage());
  visit(it).setAttribute("seed", "7");
  it.writer.setAttribute("endpoint", "https://hub.example");
  await write(it, "Mine");
  const href = await it.state.storyLink(await it.state.currentStory());
  assert.match(href, /^https:\/\/site\.example\/#seed=7&story=[\w-]+$/);
});

const withMemory = (memory) => (story) => ({ ...story, memory });

test("what the model is to know goes with the story, also with the page's own text and on an empty page", async () => {
  const it = tab(new FakeStorage());
  visit(it);
  assert.equal(await it.state.told(), null);
  await it.state.tell(withMemory("Of the page's own text"));
  leave(it);
  visit(it);
  assert.equal((await it.state.told()).memory, "Of the page's own text");
  await write(it, "Once upon a time");
  await it.state.openStory(newStory(), { mark: null, isOwn: true });
  await it.state.tell(withMemory("Of a new one"));
  await write(it, "Another");
  const memories = (await it.library.list()).map(({ memory, passages }) => [textOf(passages), memory]);
  assert.deepEqual(memories.sort(), [
    ["Another", "Of a new one"],
    ["Once upon a time", "Of the page's own text"],
  ]);
  assert.equal((await it.state.told()).memory, "Of a new one");
  it.state.replace("An example");
  assert.equal(await it.state.told(), null, "an example is told nothing");
});

test("what a save of KoboldAI says is told, and what the visitor makes of it is kept", async () => {
  const it = tab(new FakeStorage());
  visit(it);
  const save = {
    prompt: "Anna went out.",
    actions: [" It rained."],
    memory: "A sad tale.",
    authorsnote: "short sentences",
    anotetemplate: "[Style: <|>]",
    worldinfo: [
      { key: "Anna, Ann", content: "Anna is tall." },
      { key: "Bert", content: "Bert is small." },
    ],
  };
  const { stories } = openFile("save.json", new TextEncoder().encode(JSON.stringify(save)));
  await it.state.openStory(stories[0], { mark: null, isOwn: false });
  const told = await it.state.told();
  const room = { encode: async (text) => text.split(/\b/u), contextLength: 1000, maxTokens: 10 };
  assert.equal(
    (await fitted(it.writer.text, told, room)).prompt,
    "A sad tale.\nAnna is tall.\n[Style: short sentences]\nAnna went out. It rained.",
  );
  await it.state.tell(withMemory("A merry tale."));
  leave(it);
  visit(it);
  const { memory, note, lore } = await it.state.told();
  assert.deepEqual([memory, note, lore.length], ["A merry tale.", "[Style: short sentences]", 2]);
});

test("without a library what is told counts for the visit all the same", async () => {
  const it = tab(new FakeStorage());
  visit(it);
  it.localStorage.records.fault = new DOMException("Off.", "SecurityError");
  await write(it, "Mine");
  await it.state.tell(withMemory("Told"));
  assert.equal((await it.state.told()).memory, "Told");
  await write(it, "Mine, and more");
  assert.equal((await it.state.told()).memory, "Told");
});
