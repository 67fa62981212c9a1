// What the page remembers from visit to visit, with as much of a browser as that needs.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { keepState } from "../../www/page/state.js";

const PAGE = "https://site.example/";

class FakeStorage {
  #items = new Map();
  getItem = (key) => this.#items.get(key) ?? null;
  setItem = (key, value) => this.#items.set(key, value);
  removeItem = (key) => this.#items.delete(key);
}

/** A tab of the browser that has this `localStorage`; `visit` loads the page in it. */
function tab(localStorage) {
  return { localStorage, sessionStorage: new FakeStorage(), address: new URL(PAGE) };
}

function visit(it, address = it.address) {
  it.address = new URL(address);
  it.page = new EventTarget();
  it.links = 0;
  Object.assign(globalThis, {
    localStorage: it.localStorage,
    sessionStorage: it.sessionStorage,
    location: it.address,
    history: { replaceState: (state, title, next) => (it.address.href = new URL(next, it.address).href) },
    document: new EventTarget(),
    MutationObserver: class {
      observe() {}
      takeRecords() {}
    },
    addEventListener: (...listener) => it.page.addEventListener(...listener),
  });
  it.writer = new Writer("Once");
  it.state = keepState(it.writer, { onLink: () => (it.links += 1) });
  return it.writer;
}

/** As the browser tells that a link within the page was followed. */
function follow(it, hash) {
  const oldURL = it.address.href;
  it.address.hash = hash;
  it.page.dispatchEvent(Object.assign(new Event("hashchange"), { oldURL, newURL: it.address.href }));
}

/** The element, as far as its text and attributes go. */
class Writer extends EventTarget {
  #passages;
  #attributes = new Map();
  constructor(text) {
    super();
    this.#passages = [{ text, written: false }];
  }
  getAttribute = (name) => this.#attributes.get(name) ?? null;
  setAttribute = (name, value) => this.#attributes.set(name, value);
  removeAttribute = (name) => this.#attributes.delete(name);
  get passages() {
    return this.#passages;
  }
  set passages(passages) {
    this.#passages = passages;
    this.dispatchEvent(new Event("input"));
  }
  get text() {
    return this.#passages.map(({ text }) => text).join("");
  }
  set text(text) {
    this.passages = [{ text, written: false }];
  }
}

const leave = (it) => it.page.dispatchEvent(new Event("pagehide"));

const real = Object.fromEntries(
  ["localStorage", "sessionStorage", "location", "history", "document", "MutationObserver", "addEventListener"].map(
    (name) => [name, globalThis[name]],
  ),
);
afterEach(() => Object.assign(globalThis, real));

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
