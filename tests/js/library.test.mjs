// The stories of a browser: several tabs, storage that fails, visits that end in the middle of a write.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeRecords } from "./fake-records.mjs";
import { Library, matches } from "../../www/page/stories/library.js";
import { textOf } from "../../www/page/stories/passages.js";
import { sheetOfText, sheetsOf, toKeptSheet } from "../../www/page/stories/sheets.js";
import { newStory, renamed, titleOf } from "../../www/page/stories/story.js";
import { branched, placesOf } from "../../www/page/stories/versions.js";

const own = (text) => [{ text, written: false }];

/** A tab with records that all tabs of a browser share. */
function tabOf(records) {
  const told = { faults: [], copies: [] };
  const library = new Library(records, { onFault: (sentence) => told.faults.push(sentence) });
  return { library, sheets: sheetsOf(library, (story) => told.copies.push(titleOf(story))), told };
}
const titles = async (library) => (await library.list()).map(titleOf).sort();
const texts = async (library) => (await library.list()).map(({ passages }) => textOf(passages)).sort();
/** What a page knows about a sheet after a reload. */
const remembered = (sheet) => toKeptSheet(JSON.parse(JSON.stringify(sheet)));

async function write(sheet, text) {
  sheet.change(own(text), {});
  return sheet.settled();
}

test("what is written goes into one story, with its settings", async () => {
  const { library, sheets } = tabOf(new FakeRecords());
  const sheet = sheets.begin();
  sheet.change(own("Once"), { seed: "7" });
  sheet.change(own("Once upon"), { seed: "8" });
  assert.equal(await sheet.settled(), true);
  const [story, ...others] = await library.list();
  assert.deepEqual(
    [textOf(story.passages), story.attributes, story.id, others],
    ["Once upon", { seed: "8" }, sheet.id, []],
  );
});

test("two tabs that write one story make two of it, and each goes on with its own", async () => {
  const records = new FakeRecords();
  const [one, other] = [tabOf(records), tabOf(records)];
  const sheet = one.sheets.begin();
  await write(sheet, "The beginning");
  const second = other.sheets.from(remembered(sheet), own("The beginning"));
  await write(sheet, "The beginning, and one end");
  await write(second, "The beginning, and another");
  assert.deepEqual(await texts(one.library), ["The beginning, and another", "The beginning, and one end"]);
  assert.deepEqual(other.told.copies, ["The beginning, and another (other tab)"]);
  await write(second, "The beginning, and another one");
  await write(sheet, "Changed");
  assert.deepEqual(await texts(one.library), ["Changed", "The beginning, and another one"]);
});

test("who goes on with what another tab has written goes on with the same story", async () => {
  const records = new FakeRecords();
  const [one, other] = [tabOf(records), tabOf(records)];
  const sheet = one.sheets.begin();
  await write(sheet, "One");
  const second = other.sheets.from({ ...remembered(sheet), known: ["of long ago"] }, own("One"));
  await write(second, "On"); // the same text was there when it was remembered
  assert.deepEqual([await texts(one.library), other.told.copies], [["On"], []]);
  const third = other.sheets.from({ ...remembered(sheet), known: [] }, own("something else"));
  await write(third, "On and on");
  assert.deepEqual([await texts(one.library), other.told.copies], [["On and on"], []]);
});

test("a visit that ended in the middle of a write is no other tab", async () => {
  const records = new FakeRecords();
  const first = tabOf(records);
  const sheet = first.sheets.begin();
  await write(sheet, "Once upon a time");
  let open;
  records.gate = new Promise((resolve) => (open = resolve));
  sheet.change(own("Once upon two"), {});
  const kept = remembered(sheet);
  // The page is gone; its write arrives, or does not.
  for (const isDone of [true, false]) {
    const copy = new FakeRecords();
    if (isDone) {
      open();
      await sheet.settled();
    }
    records.gate = null;
    copy.entries = new Map(structuredClone([...records.entries]));
    const next = tabOf(copy);
    await next.sheets.adopt(kept, own("Once upon two"));
    assert.deepEqual(await texts(next.library), ["Once upon two"]);
    await write(next.sheets.from(kept, own("Once upon two")), "Once");
    assert.deepEqual([await texts(next.library), next.told.copies], [["Once"], []], String(isDone));
  }
});

test("a text whose write never came is adopted, and what another has made of the story since is not undone", async () => {
  const records = new FakeRecords();
  const { library, sheets } = tabOf(records);
  const sheet = sheets.begin();
  await write(sheet, "One");
  const kept = remembered(sheet);
  await sheets.adopt({ ...kept, known: [...kept.known, "never done"] }, own("One, two"));
  assert.deepEqual(await texts(library), ["One, two"]);
  await write(sheets.from(kept, own("x")), "One, two, three");
  await sheets.adopt(kept, own("One"));
  assert.deepEqual(await texts(library), ["One, two, three"]);
});

test("texts that older versions have put aside become stories, once", async () => {
  const { library, sheets } = tabOf(new FakeRecords());
  for (let i = 0; i < 3; i += 1)
    for (const text of ["Older", "Newer"]) await sheets.adopt(sheetOfText(own(text)), own(text));
  assert.deepEqual(await texts(library), ["Newer", "Older"]);
  // And that story is continued.
  await write(sheets.from(sheetOfText(own("Older")), own("Older")), "Old");
  assert.deepEqual(await texts(library), ["Newer", "Old"]);
});

test("a title that is given in one tab stays when another writes", async () => {
  const records = new FakeRecords();
  const [one, other] = [tabOf(records), tabOf(records)];
  const sheet = one.sheets.begin();
  await write(sheet, "Once");
  await other.library.change(sheet.id, (story) => renamed(story, "A tale"));
  await write(sheet, "Twice");
  assert.deepEqual([await titles(one.library), one.told.copies], [["A tale"], []]);
  await sheet.revise((story) => renamed(story, "Two tales"));
  await write(sheet, "Twice more");
  assert.deepEqual(await titles(one.library), ["Two tales"]);
});

test("what was deleted can be put back, and is back where somebody goes on writing it", async () => {
  const { library, sheets } = tabOf(new FakeRecords());
  const sheet = sheets.begin();
  await write(sheet, "One");
  const [story] = await library.list();
  assert.equal(await library.remove(story.id), true);
  assert.deepEqual(await library.list(), []);
  assert.equal(await library.add(story), true);
  assert.deepEqual(await library.list(), [story]);
  await library.remove(story.id);
  await write(sheet, "One, two");
  assert.deepEqual(await texts(library), ["One, two"]);
});

test("a storage that fails says so once for all, and what is on the page is written when it works again", async () => {
  const records = new FakeRecords();
  const { library, sheets, told } = tabOf(records);
  const { story } = branched(newStory({ passages: own("One. Two."), title: "T", memory: "m" }), 5, own("Three."));
  const sheet = sheets.of(story, null);
  records.fault = new DOMException("Full.", "QuotaExceededError");
  assert.equal(await write(sheet, "One. Two. Four."), false);
  assert.match(told.faults.at(-1), /storage for this site is full/);
  records.fault = new DOMException("No.", "SecurityError");
  for (const text of ["One. Two. Five.", "One. Two. Six.", "One. Two. Seven."])
    assert.equal(await write(sheet, text), false);
  assert.match(told.faults.at(-1), /keeps no stories here/);
  assert.equal(await library.list(), null);
  // The next visit finds everything that belongs to the text.
  const kept = remembered(sheet);
  records.fault = null;
  const next = tabOf(records);
  await next.sheets.adopt(kept, own("One. Two. Seven."));
  const [there] = await next.library.list();
  assert.deepEqual(
    [titleOf(there), there.memory, placesOf(there), textOf(there.passages)],
    ["T", "m", [5], "One. Two. Seven."],
  );
  assert.equal(await write(sheet, "One."), true);
  assert.deepEqual([told.faults.at(-1), told.copies, await texts(library)], ["", [], ["One."]]);
});

test("what a page remembered of a sheet may be anything", async () => {
  for (const kept of [null, 5, "x", [], {}, { id: 5 }, { id: "" }, { id: "x".repeat(500) }])
    assert.equal(toKeptSheet(kept), null);
  const kept = toKeptSheet({ id: "a", known: [5, "m"], story: { versions: 7, passages: 9, title: {} } });
  const { library, sheets } = tabOf(new FakeRecords());
  await write(sheets.from(kept, own("x")), "One");
  assert.deepEqual(await texts(library), ["One"]);
});

test("an entry that another version of the page wrote does no harm", async () => {
  const records = new FakeRecords();
  records.entries.set("a", { id: "a", mark: "m", story: { id: "a", chapters: [] } });
  const { library, sheets } = tabOf(records);
  assert.deepEqual([await library.list(), await library.get("a")], [[], null]);
  await write(sheets.from({ id: "a", known: [] }, own("x")), "One");
  assert.deepEqual(await texts(library), ["One"]);
  assert.deepEqual(records.entries.get("a").story, { id: "a", chapters: [] });
});

test("a story is found by words of its title and its text", () => {
  const story = newStory({ title: "The Lamp", passages: own("Es war einmal\nein Leuchtturm") });
  for (const words of ["", "lamp", "LEUCHT", "lamp einmal"]) assert.equal(matches(story, words), true, words);
  assert.equal(matches(story, "lamp zweimal"), false);
});
