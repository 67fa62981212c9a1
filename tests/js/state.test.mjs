// What the page remembers between visits, with as much of a browser as that needs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { replacedTexts } from "../../www/page/memory.js";
import { textOf } from "../../www/page/stories/passages.js";
import { enter, FakeStorage, follow, leave, PAGE, tab, viewOf, visit } from "./fake-tab.mjs";

test("a tab finds its own text again, a new one what was written last", () => {
  const browser = new FakeStorage();
  const [one, other] = [tab(browser), tab(browser)];
  for (const [it, text] of [
    [one, "The first tab's"],
    [other, "The second tab's"],
  ]) {
    visit(it).text = text;
    leave(it);
  }
  assert.equal(visit(one, PAGE).text, "The first tab's");
  assert.equal(visit(other, PAGE).text, "The second tab's");
  assert.equal(visit(tab(browser)).text, "The second tab's");
});

test("a tab that shows what was written last shows it after a reload, whatever another tab wrote", () => {
  const browser = new FakeStorage();
  const [one, other, reader] = [tab(browser), tab(browser), tab(browser)];
  visit(one).text = "The first tab's";
  leave(one);
  assert.equal(visit(reader).text, "The first tab's");
  visit(other).text = "The second tab's";
  leave(other);
  assert.equal(visit(reader, PAGE).text, "The first tab's");
});

test("a tab whose storage is full does not bring back what it kept before", () => {
  const it = tab(new FakeStorage());
  visit(it).text = "Short";
  leave(it);
  it.sessionStorage.setItem = () => {
    throw new DOMException("Full.", "QuotaExceededError");
  };
  visit(it, PAGE).text = "Long";
  leave(it);
  assert.equal(visit(it, PAGE).text, "Long");
});

test("what was typed a moment before a link is opened is kept, with the address that it had", () => {
  const it = tab(new FakeStorage());
  visit(it).text = "My own text"; // and nothing is written down yet
  follow(it, "#prompt=A+friend");
  assert.deepEqual([it.writer.text, it.links], ["A friend", 1]);
  assert.equal(it.address.hash, "#prompt=A+friend");
  assert.equal(visit(it, PAGE).text, "My own text");
});

test("a visitor's own text can be brought back after a link's was continued and the tab closed", () => {
  const browser = new FakeStorage();
  const first = tab(browser);
  visit(first).text = "My own text";
  leave(first);
  // The link in a new tab, where it is continued.
  const second = tab(browser);
  visit(second, `${PAGE}#prompt=A+friend`);
  assert.deepEqual([second.writer.text, second.ownText, second.links], ["A friend", "My own text", 1]);
  second.writer.passages = [
    { text: "A friend", written: false },
    { text: " went on", written: true },
  ];
  leave(second);
  // The next visit, in a third tab.
  const third = tab(browser);
  visit(third);
  assert.deepEqual([third.writer.text, third.ownText], ["A friend went on", "My own text"]);
  third.state.bringBack();
  assert.deepEqual([third.writer.text, third.ownText], ["My own text", "A friend went on"]);
  leave(third);
  assert.equal(visit(tab(browser)).text, "My own text");
});

test("a link in the same tab, one key and a reload leave the own text where it can be brought back", () => {
  const it = tab(new FakeStorage());
  visit(it).text = "My own text";
  leave(it);
  follow(it, "#prompt=A+friend");
  it.writer.text = "A friend!";
  leave(it);
  visit(it);
  assert.deepEqual([it.writer.text, it.ownText], ["A friend!", "My own text"]);
  // A second link, whose text is not the visitor's either.
  follow(it, "#prompt=Another");
  it.writer.text = "Another?";
  leave(it);
  visit(it);
  it.state.bringBack();
  assert.equal(it.writer.text, "A friend!");
  it.state.bringBack();
  assert.equal(it.writer.text, "My own text");
});

test("two tabs that write by turns push no replaced text out", () => {
  const browser = new FakeStorage();
  const [one, other] = [tab(browser), tab(browser)];
  visit(one).text = "A text that a link took the place of";
  follow(one, "#prompt=A+friend");
  visit(other).text = "";
  for (let i = 0; i < 20; i += 1) {
    for (const [it, another] of [
      [one, other],
      [other, one],
    ]) {
      enter(it);
      it.writer.text = `${it === one ? "First" : "Second"} tab, another text each time: ${i}`;
      it.page.dispatchEvent(new Event("pagehide"));
      enter(another);
      another.page.dispatchEvent(Object.assign(new Event("storage"), { key: "tokenformer-web" }));
    }
  }
  const kept = replacedTexts().map(({ passages }) => textOf(passages));
  assert.deepEqual(kept, ["First tab, another text each time: 19", "A text that a link took the place of"]);
  // Each text gets an entry of its own once its tab has another.
  follow(one, "#prompt=Another+friend");
  assert.equal(one.ownText, "First tab, another text each time: 19");
});

test("two tabs that put a text aside at the same moment keep both", () => {
  const browser = new FakeStorage();
  const [one, other] = [tab(browser), tab(browser)];
  visit(one).text = "First tab's own text";
  leave(one);
  visit(other).text = "Second tab's own text";
  leave(other);
  // Neither process has seen the other's changes.
  const views = [one, other].map((it) => (it.localStorage = viewOf(browser)));
  for (const it of [one, other]) {
    enter(it);
    it.state.replace("An example");
    it.writer.text = "An example, continued";
    leave(it);
  }
  for (const view of views) view.arrive();
  const next = tab(browser);
  visit(next);
  const kept = new Set(replacedTexts().map(({ passages }) => textOf(passages)));
  assert.deepEqual(kept, new Set(["First tab's own text", "Second tab's own text"]));
});

test("a text that two tabs have is not lost with the one that is closed", () => {
  const browser = new FakeStorage();
  const [one, other] = [tab(browser), tab(browser)];
  visit(one).text = "The same in both";
  leave(one);
  visit(other);
  assert.equal(other.writer.text, "The same in both");
  // One tab changes it in the middle, and saves that after the other, which still had the old text, was closed.
  one.writer.text = "The same, changed";
  enter(other);
  other.page.dispatchEvent(new Event("pagehide"));
  enter(one);
  leave(one);
  const next = tab(browser);
  visit(next);
  assert.deepEqual([next.writer.text, next.ownText], ["The same, changed", "The same in both"]);
});

test("what becomes of a text at the next visit leaves no copy of it aside", () => {
  const it = tab(new FakeStorage());
  visit(it).text = "Written yesterday";
  leave(it);
  const next = tab(it.localStorage);
  visit(next).text = "Written today";
  leave(next);
  assert.equal(next.ownText, null);
});

test("a text that was put aside is written once, however long the visitor goes on with another", () => {
  const browser = new FakeStorage();
  const it = tab(browser);
  visit(it).text = "Mine";
  leave(it);
  it.state.replace("An example");
  leave(it);
  const [{ key }] = replacedTexts();
  for (const more of [", continued", ", continued further"]) {
    it.writer.text = `An example${more}`;
    leave(it);
  }
  const kept = replacedTexts().map((text) => [textOf(text.passages), text.key]);
  assert.deepEqual(kept, [["Mine", key]]);
});

test("texts that version 0.2.0 has put aside are still there", () => {
  const browser = new FakeStorage();
  const texts = [{ passages: [{ text: "Newer" }], tab: null }, [{ text: "Older" }]];
  browser.setItem("tokenformer-web-replaced", JSON.stringify({ version: 1, texts }));
  const it = tab(browser);
  visit(it);
  assert.equal(it.ownText, "Newer");
  it.state.bringBack();
  assert.equal(it.ownText, "Older");
  assert.equal(browser.getItem("tokenformer-web-replaced"), null);
});

test("what was brought back by undo, and continued, is not offered again", () => {
  const it = tab(new FakeStorage());
  visit(it).text = "Mine";
  leave(it);
  it.state.replace("An example");
  leave(it);
  assert.equal(it.ownText, "Mine");
  it.writer.text = "Mine"; // undone
  leave(it);
  it.writer.text = "Mine, and more";
  leave(it);
  assert.equal(it.ownText, null);
  assert.equal(visit(it).text, "Mine, and more");
  assert.equal(it.ownText, null);
});

test("a text of the visitor's that cannot be kept aside is not overwritten", () => {
  const browser = new FakeStorage();
  const it = tab(browser);
  visit(it).text = "Mine";
  leave(it);
  const { setItem } = browser;
  browser.setItem = (key, value) => {
    if (key.includes("-replaced/")) throw new DOMException("Full.", "QuotaExceededError");
    setItem(key, value);
  };
  follow(it, "#prompt=A+friend");
  it.writer.text = "A friend!";
  leave(it);
  assert.equal(it.isKept, false);
  assert.equal(visit(tab(browser)).text, "Mine");
});

test("a text that there was no room for stays when the address changes", () => {
  const it = tab(new FakeStorage());
  visit(it).text = "Kept";
  leave(it);
  for (const storage of [it.localStorage, it.sessionStorage])
    storage.setItem = () => {
      throw new DOMException("Full.", "QuotaExceededError");
    };
  it.writer.text = "Written since";
  it.writer.dispatchEvent(new Event("input"));
  // A link may set nothing in this address.
  follow(it, "#endpoint=https://other.example");
  assert.equal(it.writer.text, "Written since");
});

test("what was kept while a reload was on its way is there after it, at the address of before", () => {
  const it = tab(new FakeStorage());
  visit(it).text = "The text";
  it.state.link();
  const asked = it.address.href;
  it.writer.text = "The text goes on";
  it.state.link();
  leave(it);
  it.navigation = "reload";
  visit(it, asked);
  assert.deepEqual([it.writer.text, it.links], ["The text goes on", 0]);
  assert.equal(it.address.hash, "#prompt=The+text+goes+on");
  // Opening that address in any other way means what it says.
  it.navigation = "navigate";
  visit(it, asked);
  assert.deepEqual([it.writer.text, it.links], ["The text", 1]);
});

test("nothing that a link sets outlives the visit, unless the visitor changed it", () => {
  const browser = new FakeStorage();
  const it = tab(browser);
  visit(it).setAttribute("temperature", "0.5");
  it.writer.setAttribute("endpoint", "https://hub.example");
  it.writer.text = "Mine";
  leave(it);
  const hash = `#${new URLSearchParams({ prompt: "Theirs", temperature: "1.5", "top-k": "7", model: "o/n" })}`;
  const other = tab(browser);
  visit(other, PAGE + hash);
  const read = (writer, names = ["temperature", "top-k", "model", "endpoint"]) =>
    names.map((name) => writer.getAttribute(name));
  assert.deepEqual(read(other.writer), ["1.5", "7", "o/n", "https://hub.example"]);
  assert.deepEqual(other.told, [{ isReplaced: true, model: "o/n" }]);
  other.writer.text = "Theirs!";
  other.writer.setAttribute("top-k", "8");
  leave(other);
  // The same tab again is the same visit.
  assert.deepEqual(read(visit(other)), ["1.5", "8", "o/n", "https://hub.example"]);
  leave(other);
  assert.deepEqual(read(visit(tab(browser))), ["0.5", "8", null, "https://hub.example"]);
});

test("what a link may not set, or sets wrongly, changes and keeps nothing", () => {
  const browser = new FakeStorage();
  for (const hash of [
    "#config={",
    "#backend=webgpu",
    "#backend=toaster",
    "#no-cache=",
    "#endpoint=https://x.example",
    "#max-tokens=many&prompt=A",
  ]) {
    const it = tab(browser);
    visit(it, PAGE + hash).text = "Typed";
    leave(it);
    const writer = visit(tab(browser));
    for (const name of ["config", "backend", "no-cache", "endpoint", "max-tokens"])
      assert.equal(writer.getAttribute(name), null, `${hash}: ${name}`);
  }
});

test("what an older version kept of such a link is not put back", () => {
  const browser = new FakeStorage();
  const attributes = { config: "{", backend: "toaster", "logit-bias": "{", temperature: "0.5" };
  browser.setItem("tokenformer-web", JSON.stringify({ version: 1, attributes, passages: [], hash: "" }));
  const writer = visit(tab(browser));
  assert.deepEqual(
    Object.keys(attributes).map((name) => writer.getAttribute(name)),
    [null, null, null, "0.5"],
  );
});

test("a text with half a character, or with other line ends, is kept", () => {
  const it = tab(new FakeStorage());
  visit(it).passages = [
    { text: "One\r\nTwo\rThree ", written: false },
    { text: "wrote \ud83d", written: true },
  ];
  leave(it);
  visit(it);
  assert.deepEqual(it.writer.passages, [
    { text: "One\nTwo\nThree ", written: false },
    { text: "wrote \ufffd", written: true },
  ]);
  follow(it, "#prompt=A%0D%0Afriend");
  assert.equal(it.writer.text, "A\nfriend");
});

test("a storage without room is told, and what was kept before stays", () => {
  const it = tab(new FakeStorage());
  visit(it).text = "Short";
  leave(it);
  assert.equal(it.isKept, true);
  for (const storage of [it.sessionStorage, it.localStorage])
    storage.setItem = () => {
      throw new DOMException("Full.", "QuotaExceededError");
    };
  visit(it, PAGE).text = "Long";
  leave(it);
  assert.equal(it.isKept, false);
  assert.equal(visit(it, PAGE).text, "Short");
});

test("an address that begins with two slashes, or that the browser does not change, loses no text", () => {
  const it = tab(new FakeStorage());
  const doubled = "https://site.example//app/";
  visit(it, doubled).text = "Mine";
  assert.equal(it.state.link().href, `${doubled}#prompt=Mine`);
  assert.equal(it.address.href, `${doubled}#prompt=Mine`);
  visit(it);
  globalThis.history.replaceState = () => {
    throw new DOMException("Too often.", "SecurityError");
  };
  it.writer.text = "Mine, for a link";
  it.state.link();
  assert.equal(visit(it).text, "Mine, for a link");
});
