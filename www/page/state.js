// What the page remembers. The address holds what can be shared: the beginning and every setting that differs from
// the page's own. The browser keeps the same, and the whole text with who wrote what.

import { ATTRIBUTES } from "../lib/attributes.js";

const KEY = "tokenformer-web";
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

/** The address's part for attributes that differ from `defaults`, and a beginning. "" where there is nothing to tell. */
export function toHash(attributes, defaults, beginning) {
  const query = new URLSearchParams();
  if (beginning && beginning.length <= LONGEST_BEGINNING) query.set("prompt", beginning);
  for (const name of SHARED) {
    if (attributes[name] !== defaults[name] && attributes[name] !== null) query.set(name, attributes[name]);
  }
  const text = query.toString();
  return text ? `#${text}` : "";
}

/** The opposite: `{ attributes, beginning }`; null where the address tells nothing. Unknown names are left alone. */
export function fromHash(hash, defaults) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const attributes = { ...defaults };
  for (const name of SHARED) if (query.has(name)) attributes[name] = query.get(name);
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
  const passages = Array.isArray(kept.passages) ? kept.passages.filter((p) => typeof p?.text === "string" && p.text.isWellFormed?.() !== false) : [];
  return { attributes, passages, hash: String(kept.hash ?? "") };
}

/** Puts back what was there at the last visit, or what the address tells, and keeps what changes. */
export function keepState(element) {
  const defaults = readAttributes(element);
  const ownBeginning = element.text;
  let timer = 0;

  function apply({ attributes, passages, beginning }) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === element.getAttribute(name)) continue;
      if (value === null) element.removeAttribute(name);
      else element.setAttribute(name, value);
    }
    if (passages?.length > 0) element.passages = passages;
    else element.passages = [{ text: (beginning ?? ownBeginning).toWellFormed?.() ?? beginning ?? ownBeginning, written: false }];
  }

  function keep({ isLeaving = false } = {}) {
    if (!isLeaving) timer = 0;
    const attributes = readAttributes(element);
    const { passages } = element;
    const beginning = passages[0]?.written === false ? passages[0].text : "";
    const hash = toHash(attributes, defaults, beginning === ownBeginning ? "" : beginning);
    // A page that is being left has its next address already: what is kept must go with the one that it has now.
    if (!isLeaving && hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
    try {
      localStorage.setItem(KEY, JSON.stringify({ version: 1, attributes, passages, hash: location.hash }));
    } catch {
      // No storage here, or it is full: the page works without a memory.
    }
  }
  const keepSoon = () => (timer ||= setTimeout(keep, SETTLE_MS));
  const keepNow = () => timer && keep({ isLeaving: true });

  function restore() {
    const shared = fromHash(location.hash, defaults);
    const kept = fromStorage(stored(), defaults);
    // An address that this page wrote itself tells less than what it kept with it.
    if (kept && (!shared || kept.hash === location.hash)) apply(kept);
    else if (shared) apply(shared);
  }

  restore();
  addEventListener("hashchange", restore);
  element.addEventListener("input", keepSoon);
  element.addEventListener("token", keepSoon);
  element.addEventListener("done", keepSoon);
  new MutationObserver(keepSoon).observe(element, { attributes: true });
  // The last change before a page is left or put aside.
  addEventListener("pagehide", keepNow);
  document.addEventListener("visibilitychange", () => document.hidden && keepNow());
}

function stored() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
