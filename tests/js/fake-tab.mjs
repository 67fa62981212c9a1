// A browser's tabs, with as much of a browser as the page's memory needs.

import { afterEach } from "node:test";
import { keepState } from "../../www/page/state.js";
import { Library } from "../../www/page/stories/library.js";
import { sliced, textOf } from "../../www/page/stories/passages.js";
import { sheetsOf } from "../../www/page/stories/sheets.js";
import { FakeRecords } from "./fake-records.mjs";

export const PAGE = "https://site.example/";

export class FakeStorage {
  #items = new Map();
  getItem = (key) => this.#items.get(key) ?? null;
  setItem = (key, value) => this.#items.set(key, value);
  removeItem = (key) => this.#items.delete(key);
  key = (i) => [...this.#items.keys()][i] ?? null;
  get length() {
    return this.#items.size;
  }
}

/** A process's view of the same storage, before others' changes have reached it; `arrive` passes its own on. */
export function viewOf(storage) {
  const view = new FakeStorage();
  for (let i = 0; i < storage.length; i += 1) view.setItem(storage.key(i), storage.getItem(storage.key(i)));
  const changes = [];
  const { setItem, removeItem } = view;
  view.setItem = (...item) => (changes.push(() => storage.setItem(...item)), setItem(...item));
  view.removeItem = (key) => (changes.push(() => storage.removeItem(key)), removeItem(key));
  view.arrive = () => changes.forEach((change) => change());
  return view;
}

/** A tab of the browser with this `localStorage`; `visit` loads the page in it. */
export function tab(localStorage) {
  localStorage.records ??= new FakeRecords();
  const library = new Library(localStorage.records);
  return { localStorage, sessionStorage: new FakeStorage(), address: new URL(PAGE), library };
}

export function visit(it, address = it.address) {
  it.address = new URL(address);
  it.page = new EventTarget();
  it.links = 0;
  enter(it);
  it.writer = new Writer("Once");
  it.told = [];
  it.ownText = null;
  it.state = keepState(it.writer, {
    sheets: sheetsOf(it.library, ({ title }) => (it.copy = title)),
    onLink: (link) => {
      it.links += 1;
      it.told.push(link);
    },
    onReplaced: (passages) => (it.ownText = passages && textOf(passages)),
    onKept: (isKept) => (it.isKept = isKept),
  });
  return it.writer;
}

/** From now on code runs in that tab. */
export function enter(it) {
  Object.assign(globalThis, {
    localStorage: it.localStorage,
    sessionStorage: it.sessionStorage,
    location: it.address,
    history: { replaceState: (state, title, next) => (it.address.href = new URL(next, it.address).href) },
    document: new EventTarget(),
    performance: { getEntriesByType: () => [{ type: it.navigation ?? "navigate" }] },
    MutationObserver: class {
      observe() {}
      takeRecords() {
        return [];
      }
    },
    addEventListener: (...listener) => it.page.addEventListener(...listener),
  });
}

/** Reports, as the browser does, that a link within the page was followed. */
export function follow(it, hash) {
  const oldURL = it.address.href;
  it.address.hash = hash;
  it.page.dispatchEvent(Object.assign(new Event("hashchange"), { oldURL, newURL: it.address.href }));
}

/** The element, reduced to its text and attributes. */
class Writer extends EventTarget {
  #passages;
  #attributes = new Map();
  /** Which text an undo replaced: the detail of the next events. */
  dispatchesBefore = null;
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
    this.dispatchEvent(new CustomEvent("input", { detail: this.dispatchesBefore ?? null }));
  }
  splice(start, end, parts) {
    const rest = end < this.text.length ? sliced(this.#passages, end) : [];
    this.passages = [...sliced(this.#passages, 0, start), ...parts, ...rest];
  }
  get text() {
    return this.#passages.map(({ text }) => text).join("");
  }
  set text(text) {
    this.passages = [{ text, written: false }];
  }
}

export const leave = (it) => it.page.dispatchEvent(new Event("pagehide"));

const real = Object.fromEntries(
  ["localStorage", "sessionStorage", "location", "history", "document", "MutationObserver", "addEventListener"].map(
    (name) => [name, globalThis[name]],
  ),
);
afterEach(() => Object.assign(globalThis, real));
