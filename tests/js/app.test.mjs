// The page as an app: its name and icons, what other programs share with it, its first view and its looks.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { costInWords, placeInWords, slownessInWords } from "../../www/page/first-view.js";
import { presetIn, presetsOf } from "../../www/page/presets.js";
import { looksIn, propertiesOf } from "../../www/page/reading-looks.js";
import { LONGEST_SHARED, receiveShared, sharedText, withoutShared } from "../../www/page/share-target.js";
import { textOf } from "../../www/page/stories/passages.js";
import { placesOf, withPlaces } from "../../scripts/site.mjs";
import { FakeStorage, leave, PAGE, tab, visit } from "./fake-tab.mjs";

const at = (path) => new URL(`../../${path}`, import.meta.url);
const text = (path) => readFileSync(at(path), "utf8");

/** Size of a PNG, and whether it is transparent. @param {string} path */
function picture(path) {
  const bytes = readFileSync(at(`www/${path}`));
  assert.equal(bytes.toString("latin1", 12, 16), "IHDR", path);
  return { size: `${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`, isClear: [4, 6].includes(bytes[25]) };
}

test("the manifest's icons are what it says, and a card stands beside the page", () => {
  const { icons } = JSON.parse(text("www/app.webmanifest"));
  const drawn = icons.filter(({ type }) => type === "image/png");
  for (const { src, sizes } of drawn) assert.equal(picture(src).size, sizes, src);
  for (const size of ["192x192", "512x512"])
    assert.ok(
      drawn.some(({ sizes, purpose }) => sizes === size && !purpose),
      size,
    );
  const maskable = drawn.filter(({ purpose }) => purpose === "maskable");
  assert.deepEqual(
    maskable.map(({ src, sizes }) => [sizes, picture(src).isClear]),
    [["512x512", false]],
  );
  const page = text("index.html");
  const [, touch] = /rel="apple-touch-icon" href="([^"]+)"/.exec(page);
  assert.deepEqual(picture(touch), { size: "180x180", isClear: false });
  const [, card] = /property="og:image" content="([^"]+)"/.exec(page);
  assert.equal(picture(card).size, "1200x630");
  assert.ok(statSync(at(`www/${card}`)).size < 300_000);
  for (const name of ["og:title", "og:description", "og:image:alt"])
    assert.match(page, new RegExp(`property="${name}"\\s+content="[^"]{10,}"`));
});

test("a page that is built for a place has its picture's whole address, and its source", () => {
  const page = text("index.html");
  const env = { TOKENFORMER_SITE: "https://site.example/a$1b", TOKENFORMER_SOURCE: "https://code.example/x?a=1&b=2" };
  const placed = withPlaces(page, placesOf(env));
  assert.match(placed, /property="og:image" content="https:\/\/site\.example\/a\$1b\/pictures\/card\.png"/);
  assert.match(placed, /property="og:url" content="https:\/\/site\.example\/a\$1b\/" \/>/);
  assert.match(placed, /<a id="source" href="https:\/\/code\.example\/x\?a=1&amp;b=2">Source<\/a>/);
  assert.equal(withPlaces(placed, placesOf(env)), placed, "twice is once");
  assert.equal(withPlaces(page, placesOf({})), page, "without an address all stays relative");
  const manifest = { homepage: "https://a.example", repository: { url: "git+https://b.example/c.git" } };
  assert.deepEqual(placesOf({}, manifest), { site: "https://a.example/", source: "https://b.example/c" });
  for (const site of ["javascript:alert(1)", "site.example"])
    assert.throws(() => placesOf({ TOKENFORMER_SITE: site }), /must be an http or https address/);
});

test("what is shared is text, its title the story's, its address behind it", () => {
  const shared = (given) => sharedText(`?${new URLSearchParams(given)}`);
  assert.equal(sharedText(""), null);
  assert.equal(shared({ text: " \n", title: "", other: "x" }), null);
  assert.deepEqual(shared({ title: "A  day", text: "It\r\nrained.", url: "https://a.example/" }), {
    text: "It\nrained.\n\nhttps://a.example/",
    title: "A day",
    isCut: false,
  });
  assert.equal(shared({ text: "See https://a.example/", url: "https://a.example/" }).text, "See https://a.example/");
  assert.deepEqual(shared({ title: "Only this" }), { text: "Only this", title: null, isCut: false });
  const long = shared({ text: `${"x".repeat(LONGEST_SHARED - 1)}🙂` });
  assert.deepEqual([long.text.length, long.isCut], [LONGEST_SHARED, true]);
  assert.ok(long.text.isWellFormed?.() ?? true);
  const markup = shared({ text: "<img src=x onerror=alert(1)>", model: "evil/model", "max-tokens": "1" });
  assert.deepEqual(Object.keys(markup), ["text", "title", "isCut"]);
  assert.equal(withoutShared("https://a.example/x/?text=a&b=c&title=&url=#seed=1"), "https://a.example/x/?b=c#seed=1");
});

test("what is shared becomes a new story; what was being written stays one", async () => {
  const it = tab(new FakeStorage());
  visit(it).text = "Half a sen";
  leave(it);
  const writer = visit(it, `${PAGE}?text=Shared+%F0%9F%99%82&title=A+walk&model=evil`);
  assert.equal(writer.text, "Half a sen");
  const told = [];
  await receiveShared(it.state, (sentence) => told.push(sentence));
  assert.deepEqual(writer.passages, [{ text: "Shared 🙂", written: false }]);
  assert.equal(told.length, 1);
  assert.deepEqual([it.address.search, writer.getAttribute("model")], ["?model=evil", null]);
  leave(it);
  const stories = async () =>
    (await it.library.list()).map(({ title, passages }) => `${title}: ${textOf(passages)}`).sort();
  await it.state.currentStory();
  assert.deepEqual(await stories(), ["A walk: Shared 🙂", "null: Half a sen"]);
  // A reload does not share it again.
  visit(it);
  await receiveShared(it.state, (sentence) => told.push(sentence));
  assert.deepEqual([told.length, it.writer.text], [1, "Shared 🙂"]);
  assert.equal((await stories()).length, 2);
});

test("the first view says what the press downloads, and where it runs", () => {
  const model = { state: "downloadable", downloadBytes: 28_600_000 };
  assert.equal(costInWords(model, 3_500_000), "The first press downloads 32 MB, once.");
  assert.match(costInWords({ state: "stored", downloadBytes: 0 }, 3_500_000), /is saved/);
  for (const nothing of [
    { state: "unavailable", downloadBytes: null },
    { state: "downloadable", downloadBytes: null },
  ])
    assert.equal(costInWords(nothing, 1), "");
  // The sentence has the same length wherever the model runs: what is below must not move.
  const places = [null, "webgpu", "cpu"].map(placeInWords);
  assert.equal(new Set(places).size, 3);
  assert.equal(new Set(places.map(({ length }) => length)).size, 1);
  const page = { isSecure: true, isAsked: false };
  assert.equal(slownessInWords("webgpu", "gpu", page), "");
  assert.match(
    slownessInWords("cpu", "none", page),
    /^No GPU available, so the small model runs on your CPU\. .*WebGPU\.$/,
  );
  assert.match(slownessInWords("cpu", "none", { ...page, isSecure: false }), /over https/);
  assert.match(slownessInWords(null, "none", page), /^No GPU available/);
  assert.equal(slownessInWords("cpu", "none", { ...page, isAsked: true }), "");
  assert.match(slownessInWords("cpu", "software", page), /only a software GPU, so the model runs on your CPU/);
  assert.match(slownessInWords("webgpu", "software", page), /software GPU, which is slow/);
});

test("which preset is chosen follows from the settings", () => {
  const own = {
    temperature: String(EMBEDDED.sampling.temperature),
    "top-p": String(EMBEDDED.sampling.topP),
    "repetition-penalty": String(EMBEDDED.sampling.repetitionPenalty),
  };
  const presets = presetsOf(own);
  assert.deepEqual(Object.keys(presets), ["calm", "balanced", "wild"]);
  for (const [name, attributes] of Object.entries(presets)) assert.equal(presetIn(attributes, presets), name);
  assert.equal(presetIn({ ...own, temperature: "0.70", "top-k": "0", seed: "7" }, presets), "balanced");
  assert.equal(presetIn({ ...own, temperature: "0.71" }, presets), null);
  assert.equal(presetIn({ ...presets.wild, "frequency-penalty": "0.1" }, presets), null);
  assert.equal(presetIn({}, presets), null, "the API's own defaults are none of them");
  const { calm, balanced, wild } = presets;
  const temperatures = [calm, balanced, wild].map(({ temperature }) => Number(temperature));
  assert.deepEqual(
    temperatures.toSorted((a, b) => a - b),
    temperatures,
  );
});

test("kept looks are right ones, or the page's own", () => {
  assert.deepEqual(looksIn('{"size":"large","width":"wide"}'), { size: "large", width: "wide" });
  for (const kept of [null, "", "{", "7", '{"size":"toString","width":3}', '{"size":"1em;color:red"}'])
    assert.deepEqual(looksIn(kept), { size: "medium", width: "medium" }, String(kept));
  assert.deepEqual(propertiesOf({ size: "larger", width: "narrow" }), {
    "--reading-scale": "1.6",
    "--reading-width": "34rem",
  });
});
