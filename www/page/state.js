// What the page remembers. The address holds what can be shared: the beginning and every setting that differs from
// the page's own. The browser keeps the same, and the whole text with who wrote what: for this tab, which finds its own
// text again whatever other tabs write, and for the next visit, which finds what was written last.

import { ATTRIBUTES } from "../lib/attributes.js";
import { isLocal } from "./local-folder.js";

const KEY = "tokenformer-web";
/** Where it is kept: the tab's own first. */
const PLACES = ["sessionStorage", "localStorage"];
/** Never in an address or in the browser: an access token. Not settings: the text, and loading at once. */
const LEFT_OUT = ["token", "prompt", "autoload"];
const KEPT = ATTRIBUTES.filter((name) => !LEFT_OUT.includes(name));
/** Of these, what an address may say: a link must not choose the hub that a visitor's access token is sent to. */
const SHARED = KEPT.filter((name) => name !== "endpoint");
/** A beginning that is longer makes no usable address. */
const LONGEST_BEGINNING = 2000;
/** How long a change waits for the next one before both are kept. */
const SETTLE_MS = 300;

/** The element's attributes that are kept, by name; null where there is none. */
export function readAttributes(element) {
  return Object.fromEntries(KEPT.map((name) => [name, element.getAttribute(name)]));
}

/** Whether others can have it too: a model's files on this computer they can not. */
const isShareable = (name, value) => name !== "model" || !isLocal(value);

/**
 * The address's part for attributes that differ from `defaults`, and a beginning; "" where there is nothing to tell. An
 * attribute that the page has and the visitor emptied is there without a value.
 */
export function toHash(attributes, defaults, beginning) {
  const query = new URLSearchParams();
  if (beginning && beginning.length <= LONGEST_BEGINNING) query.set("prompt", beginning);
  for (const name of SHARED) {
    const value = attributes[name];
    if (value !== defaults[name] && isShareable(name, value)) query.set(name, value ?? "");
  }
  const text = query.toString();
  return text ? `#${text}` : "";
}

/** The opposite: `{ attributes, beginning }`; null where the address tells nothing. Unknown names are left alone. */
export function fromHash(hash, defaults) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const attributes = { ...defaults };
  // A model without a name is none.
  if (query.get("model") === "" && defaults.model === null) query.delete("model");
  for (const name of SHARED) {
    const value = query.get(name);
    if (value === null || !isShareable(name, value)) continue;
    attributes[name] = value === "" && defaults[name] !== null ? null : value;
  }
  const beginning = query.get("prompt")?.slice(0, LONGEST_BEGINNING) ?? null;
  const tells = beginning !== null || SHARED.some((name) => query.has(name));
  return tells ? { attributes, beginning } : null;
}

/** Reads what the browser kept: `{ attributes, passages, hash }`, or null. Whatever is not as it was written is left out. */
export function fromStorage(text, defaults) {
  let kept;
  try {
    kept = JSON.parse(text);
  } catch {
    return null;
  }
  if (kept?.version !== 1) return null;
  const attributes = { ...defaults };
  for (const name of KEPT) {
    const value = kept.attributes?.[name];
    if (value === null || typeof value === "string") attributes[name] = value;
  }
  const passages = Array.isArray(kept.passages)
    ? kept.passages.filter((p) => typeof p?.text === "string" && p.text.isWellFormed?.() !== false)
    : [];
  return { attributes, passages, hash: String(kept.hash ?? "") };
}

/** What a link does not hold of a beginning and of attributes that differ from `defaults`, in words; "" where it holds all of it. */
export function missingInWords(passages, attributes, defaults) {
  const beginning = beginningOf(passages);
  const missing = [
    beginning.length > LONGEST_BEGINNING && "the beginning, which is too long for one",
    beginning === "" && "a beginning, since the text has none of yours",
    !isShareable("model", attributes.model) && "the model, which is on this computer only",
    attributes.endpoint !== defaults.endpoint && "the hub's address",
  ];
  return missing.filter(Boolean).join("; ");
}

/** What the visitor wrote before the model wrote anything. */
function beginningOf(passages) {
  return passages[0]?.written === false ? passages[0].text : "";
}

/**
 * Puts back what was there at the last visit, or what the address tells, and keeps what changes. `onLink` is told when a
 * link's beginning has taken the place of another text, which `undo` brings back.
 *
 * @returns {{ link: () => { href: string, missing: string } }} an address to share, and what it lacks, in words
 */
export function keepState(element, { onLink }) {
  const defaults = readAttributes(element);
  const ownBeginning = element.text;
  let timer = 0;
  let isRestoring = false;

  function setAttributes(attributes) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === element.getAttribute(name)) continue;
      if (value === null) element.removeAttribute(name);
      else element.setAttribute(name, value);
    }
  }

  /** A link's beginning is a change of the visitor's text that is there, and can be undone. */
  function open({ attributes, beginning }) {
    setAttributes(attributes);
    const text = beginning?.toWellFormed?.() ?? beginning ?? ownBeginning;
    if (element.text === ownBeginning) element.passages = [{ text, written: false }];
    else if (element.text !== text) {
      element.text = text;
      onLink();
    }
  }

  /** `leftAs`: the address's part behind # that the text is left with; without it the address follows the text. */
  function keep({ leftAs = null } = {}) {
    clearTimeout(timer);
    timer = 0;
    const attributes = readAttributes(element);
    const { passages } = element;
    const beginning = beginningOf(passages);
    const hash = toHash(attributes, defaults, beginning === ownBeginning ? "" : beginning);
    // A page that is being left has its next address already: what is kept must go with the one that it has now.
    if (leftAs === null && hash !== location.hash)
      history.replaceState(null, "", hash || location.pathname + location.search);
    const kept = JSON.stringify({ version: 1, attributes, passages, hash: leftAs ?? location.hash });
    for (const place of PLACES) store(place, kept);
  }
  // What a link brought is the visitor's only once it was changed: until then the browser keeps the text before it.
  const keepSoon = () => isRestoring || (timer ||= setTimeout(keep, SETTLE_MS));
  const keepNow = (leftAs = location.hash) => timer && keep({ leftAs });
  const observer = new MutationObserver(keepSoon);

  function restore({ isFirst = false } = {}) {
    isRestoring = true;
    const shared = fromHash(location.hash, defaults);
    const kept = PLACES.reduce((found, place) => found ?? fromStorage(stored(place), defaults), null);
    // An address that this page wrote itself tells less than what it kept with it.
    const isOwn = !shared || kept?.hash === location.hash;
    if (kept?.passages.length > 0 && (isOwn || isFirst)) element.passages = kept.passages;
    if (kept && isOwn) setAttributes(kept.attributes);
    else if (shared) open(shared);
    observer.takeRecords();
    isRestoring = false;
  }

  observer.observe(element, { attributes: true });
  element.addEventListener("input", keepSoon);
  element.addEventListener("token", keepSoon);
  element.addEventListener("done", keepSoon);
  restore({ isFirst: true });
  addEventListener("hashchange", ({ oldURL }) => {
    keepNow(new URL(oldURL).hash);
    restore();
  });
  // The last change before a page is left or put aside.
  addEventListener("pagehide", () => keepNow());
  document.addEventListener("visibilitychange", () => document.hidden && keepNow());

  return {
    link() {
      keep();
      return { href: location.href, missing: missingInWords(element.passages, readAttributes(element), defaults) };
    },
  };
}

function stored(place) {
  try {
    return globalThis[place].getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function store(place, text) {
  try {
    // An older text of the tab's own would hide what the browser keeps, should there be no room for this one.
    if (place === "sessionStorage") globalThis[place].removeItem(KEY);
    globalThis[place].setItem(KEY, text);
  } catch {
    // No storage here, or it is full: the page works without a memory.
  }
}
