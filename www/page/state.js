// The page's memory, and the effect of links on it. The address (address.js) holds what can be shared; the browser
// (memory.js) stores the same, and the whole text with who wrote what; and each text of the visitor's is a story in the
// library (stories/).

import {
  beginningOf,
  fromHash,
  fromStoryHash,
  isValid,
  LINKED,
  missingInWords,
  toHash,
  toStoryHash,
} from "./address.js";
import {
  adoptReplaced,
  claimLast,
  keepReplaced,
  LAST,
  lastText,
  readAttributes,
  recall,
  remember,
  replacedTexts,
} from "./memory.js";
import { isLocal } from "./local-folder.js";
import { Desk } from "./stories/desk.js";
import { toCode } from "./stories/link.js";
import { sameStart, sliced, textOf } from "./stories/passages.js";

/** @typedef {import("../tokenformer.js").Passage} Passage */
/** @typedef {import("./address.js").Attributes} Attributes */
/** @typedef {import("./memory.js").Borrowed} Borrowed */
/** @typedef {import("./memory.js").Text} Text */
/** @typedef {import("./stories/desk.js").Sheets} Sheets */
/** @typedef {import("./stories/sheets.js").Sheet} Sheet */
/** @typedef {import("./stories/story.js").Story} Story */

/** How long a change waits for the next one before both are saved. */
const SETTLE_MS = 300;
/** How many of its earlier addresses a page knows after a reload. */
const MOST_EARLIER = 8;

/**
 * Restores the last visit, or what the address holds, and saves changes.
 *
 * @param {import("../tokenformer.js").TokenFormerElement} element
 * @param {object} told
 * @param {Sheets} told.sheets saves the visitor's texts as stories
 * @param {(link: { isReplaced: boolean, model: string | null }) => void} told.onLink a link's opening has replaced
 *     another text, which `undo` brings back, or a link has chosen a model
 * @param {(passages: Passage[] | null) => void} [told.onReplaced] the visitor's text that can be brought back now
 * @param {(isKept: boolean) => void} [told.onKept] whether the next visit will find the text
 */
export function keepState(element, { sheets, onLink, onReplaced = () => {}, onKept = () => {} }) {
  const defaults = readAttributes(element);
  const ownBeginning = element.text;
  /** This visit of this tab. A duplicated tab has the same storage, so a stored name would not be unique. */
  const tab = Math.random().toString(36).slice(2);
  let timer = 0;
  let isRestoring = false;
  /** Settings for this visit. @type {Borrowed} */
  let borrowed = {};
  /** The last text that was put here and is not the visitor's: a link's, an example's. */
  let brought = ownBeginning;
  /** The visitor's text that it replaced. @type {Text | null} */
  let aside = null;
  /** A text by someone else that has versions by the visitor. @type {string | null} */
  let claimed = null;
  /** The text is the visitor's although it is unchanged: the visitor has added something that the model should know. */
  let isClaimed = false;
  const desk = new Desk(sheets);
  /** The text that this tab saved last, as long as the visitor continues it. Anything else that is stored is another tab's. @type {string | null} */
  let known = null;
  /** The address parts after # that this tab had before the current one, newest first. @type {string[]} */
  let earlier = [];

  const isVisitors = () =>
    isClaimed || element.text === claimed || (element.text !== brought && element.text !== ownBeginning);

  /** @param {Attributes} attributes */
  function setAttributes(attributes) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === element.getAttribute(name)) continue;
      if (value === null) element.removeAttribute(name);
      else element.setAttribute(name, value);
    }
  }

  /** Replaces the current text; `undo` brings it back, and `bringBack` if it is the visitor's. @param {string} text */
  function replace(text) {
    keepNow();
    if (isVisitors()) aside = { passages: element.passages, tab: null, sheet: desk.sheet };
    known = claimed = null;
    isClaimed = false;
    brought = text;
    desk.put(null, text);
    element.text = text;
    tellReplaced();
  }

  const putAside = () => (aside ? [aside] : []);

  /** Texts that were replaced, and are not the current one, last one first. */
  function replaced() {
    const isOther = (/** @type {Text} */ text) => text.tab !== tab && textOf(text.passages) !== element.text;
    return [...putAside(), ...replacedTexts()].filter(isOther);
  }
  const tellReplaced = () => onReplaced(replaced()[0]?.passages ?? null);

  /** Restores the text that was replaced last; the current text goes to the end of the list. */
  function bringBack() {
    keepNow();
    const [back, ...others] = replaced();
    if (!back) return;
    aside = known = null;
    keepReplaced(isVisitors() ? [...others, { passages: element.passages, tab: null, sheet: desk.sheet }] : others);
    isClaimed = textOf(back.passages) === ownBeginning;
    desk.put(desk.remembered(back.passages, back.sheet), textOf(back.passages));
    element.passages = back.passages;
    keep();
  }

  /**
   * Replaces the current text by a story; the text is in the library, or else is put aside.
   * @param {Story} story
   * @param {object} how
   * @param {string | null} how.mark its last write's; null: it is not saved yet
   * @param {boolean} how.isOwn otherwise it comes from a file or a link, and its settings only last for this visit
   * @returns {Promise<{ hasChosenModel: boolean }>}
   */
  async function openStory(story, { mark, isOwn }) {
    keepNow();
    const isKept = (await desk.sheet?.settled()) ?? false;
    if (isVisitors() && element.text !== "" && !isKept)
      aside = { passages: element.passages, tab: null, sheet: desk.sheet };
    known = claimed = null;
    brought = ownBeginning;
    isClaimed = textOf(story.passages) === ownBeginning;
    const model = element.getAttribute("model");
    forgetChanged(observer.takeRecords());
    if (isOwn) setAttributes(settingsOf(story));
    else {
      borrow(settingsOf(story));
      observer.takeRecords();
    }
    const text = textOf(story.passages);
    desk.put(sheets.of(story, mark), text);
    element.passages = story.passages;
    keep();
    return { hasChosenModel: element.getAttribute("model") !== model };
  }

  /** Those of a story's settings that the page allows and the element accepts. @param {Story} story */
  function settingsOf({ attributes }) {
    const given = Object.entries(attributes).filter(([name, value]) => LINKED.includes(name) && isValid(name, value));
    return Object.fromEntries(given);
  }

  /** Applies settings for this visit. @param {Attributes} attributes */
  function borrow(attributes) {
    const own = withoutLink(readAttributes(element), borrowed);
    const differing = Object.keys(attributes).filter((name) => attributes[name] !== own[name]);
    borrowed = Object.fromEntries(differing.map((name) => [name, { given: attributes[name], own: own[name] }]));
    // Settings of an earlier link no longer apply.
    setAttributes({ ...own, ...attributes });
  }

  /** A link's opening counts as a change of the visitor's current text, and can be undone. @param {NonNullable<ReturnType<typeof fromHash>>} link */
  function open({ attributes, beginning }) {
    borrow(attributes);
    const text = beginning ?? ownBeginning;
    const isReplaced = element.text !== ownBeginning && element.text !== text;
    if (isReplaced) replace(text);
    else if (element.text !== text) {
      isClaimed = false;
      brought = text;
      desk.put(null, text);
      element.passages = [{ text, written: false }];
    }
    if (isReplaced || attributes.model !== null) onLink({ isReplaced, model: attributes.model });
  }

  /**
   * `leftAs`: the address part after # at the time of leaving the text; without it the address follows the text.
   * @param {{ leftAs?: string | null }} [how]
   */
  function keep({ leftAs = null } = {}) {
    clearTimeout(timer);
    timer = 0;
    const attributes = readAttributes(element);
    const { passages, text } = element;
    const beginning = beginningOf(passages);
    // When the page is being left, the address has changed already: the state must be saved with the one it has now.
    if (leftAs === null) {
      const { hash } = location;
      setHash(toHash(attributes, defaults, beginning === ownBeginning ? "" : beginning));
      if (location.hash !== hash) earlier = [hash, ...earlier].slice(0, MOST_EARLIER);
    }
    // A text that is saved nowhere else must not be overwritten.
    const isSafe = keepAside(text);
    const hash = leftAs ?? location.hash;
    if (claimed === "" && text !== "") claimed = null; // who empties the page later begins anew
    if (isVisitors()) keepStory(passages);
    const { sheet } = desk;
    const state = { attributes, borrowed, passages, isVisitors: isVisitors(), hash, earlier, tab, sheet };
    const isKept = remember(state, { isLast: isSafe });
    if (isKept) known = text;
    onKept(isKept || text === ownBeginning);
    tellReplaced();
  }

  /** @param {Passage[]} passages */
  function keepStory(passages) {
    const text = textOf(passages);
    const attributes = linkedOf(withoutLink(readAttributes(element), borrowed));
    desk.keep(passages, text, { brought, attributes, isClaimed: text === claimed });
  }

  /**
   * Saves the texts that `text` replaces, for as long as it is not one of them or a continuation: the one that was
   * replaced here, and another tab's. False if they do not fit.
   * @param {string} text
   */
  function keepAside(text) {
    const goesOn = (/** @type {Text} */ { passages }) => text.startsWith(textOf(passages));
    const before = replacedTexts();
    const last = lastText();
    // Another tab may have saved the very text that this one continues, and be closed by now: it still counts as that tab's.
    const isOthers = last && last.tab !== tab && textOf(last.passages) !== ownBeginning && !isAmong(last, before);
    // The text that this tab has put aside is about to be saved as the last one. Another tab may have put aside a text
    // that has become `text` here.
    const others = before.filter((one) => one.tab !== tab && textOf(one.passages) !== known);
    const texts = [...putAside(), ...(isOthers ? [last] : []), ...others].filter((one) => !goesOn(one));
    // Redoing the undone change replaces it again.
    if (aside && goesOn(aside) && text !== textOf(aside.passages)) aside = null;
    return keepReplaced(texts);
  }

  /** Another tab may have stored its text instead of this tab's: then this one is added to the replaced texts. */
  function shelter() {
    const before = replacedTexts();
    const last = lastText();
    const own = { passages: element.passages, tab, sheet: desk.sheet };
    const texts = [...(isVisitors() ? [own] : []), ...putAside()];
    const missing = texts.filter((text) => !isAmong(text, last ? [last, ...before] : before));
    if (missing.length > 0 && keepReplaced([...missing, ...before]) && isVisitors()) known = element.text;
    tellReplaced();
  }
  // A link's text becomes the visitor's only once it is changed: until then the browser keeps storing the text before
  // it.
  const keepSoon = () => isRestoring || (timer ||= setTimeout(keep, SETTLE_MS));
  const keepNow = (leftAs = location.hash) => timer && keep({ leftAs });
  /** A setting changed by the visitor is the visitor's, even if it equals the link's again. @param {MutationRecord[]} changes */
  function forgetChanged(changes) {
    for (const { attributeName } of changes) if (attributeName !== null) delete borrowed[attributeName];
  }
  const observer = new MutationObserver((changes) => {
    forgetChanged(changes);
    keepSoon();
  });

  function restore({ isFirst = false } = {}) {
    isRestoring = true;
    const shared = fromHash(location.hash, defaults);
    const kept = recall(defaults);
    // An address written by this page holds less than what was stored with it. A reload goes to the address at the time
    // of the reload, whatever the page stored until it was left.
    const isLeftEarlier = kept !== null && isFirst && isReload() && kept.earlier.includes(location.hash);
    const isOwn = Boolean(shared) && (kept?.hash === location.hash || isLeftEarlier);
    if (isLeftEarlier) setHash(kept.hash);
    // A text that could not be stored exists only here.
    const isNowhereElse = !isFirst && isVisitors() && element.text !== known;
    if (kept && (kept.passages.length > 0 || kept.isEmptied) && !isNowhereElse && (isOwn || isFirst || !shared)) {
      element.passages = kept.passages;
      known = element.text;
      claimed = kept.isVisitors && kept.sheet && !kept.isEmptied ? known : null;
      isClaimed = kept.isVisitors && !kept.isEmptied && known === ownBeginning;
      if (isFirst) claimLast(known, tab);
      const isOwnText = kept.isVisitors && isVisitors() && !kept.isEmptied;
      desk.put(isOwnText ? desk.remembered(kept.passages, kept.sheet) : null, known);
      if (isOwnText) desk.adopt(kept.passages, kept.sheet);
    }
    if (kept && isOwn) {
      borrowed = kept.borrowed;
      setAttributes(kept.attributes);
    } else if (kept && (isFirst || !shared)) {
      // Without the link, its settings no longer apply.
      borrowed = {};
      setAttributes(withoutLink(kept.attributes, kept.borrowed));
    }
    if (shared && !isOwn) open(shared);
    tellReplaced();
    observer.takeRecords();
    isRestoring = false;
  }

  observer.observe(element, { attributes: true });
  element.addEventListener("input", keepSoon);
  element.addEventListener("token", keepSoon);
  element.addEventListener("done", keepSoon);
  adoptReplaced();
  for (const { passages, sheet } of replacedTexts()) desk.adopt(passages, sheet);
  restore({ isFirst: true });
  addEventListener("hashchange", ({ oldURL }) => {
    keepNow(new URL(oldURL).hash);
    restore();
  });
  // Saves the last change before a page is left or hidden.
  addEventListener("pagehide", () => {
    keepNow();
    shelter();
  });
  addEventListener("storage", ({ key }) => key === LAST && shelter());
  document.addEventListener("visibilitychange", () => document.hidden && keepNow());

  /** The current story, with its current text. @returns {Promise<Story>} */
  async function currentStory() {
    keep();
    const { passages } = element;
    const attributes = linkedOf(withoutLink(readAttributes(element), borrowed));
    await desk.sheet?.settled();
    return { ...(await (desk.sheet ?? sheets.begin()).story(passages)), attributes };
  }

  return {
    /** An address to share, and what it lacks, in words. */
    link() {
      keep();
      return { href: location.href, missing: missingInWords(element.passages, readAttributes(element), defaults) };
    },
    /** An address that holds the whole story. @param {Story} story */
    async storyLink(story) {
      const hash = toStoryHash(await toCode(story), readAttributes(element), defaults);
      return location.href.split("#")[0] + hash;
    },
    /** The story in the address, if it holds a whole one. */
    sharedStory: () => fromStoryHash(location.hash, defaults),
    /** Replaces the visitor's text. */
    replace,
    bringBack,
    openStory,
    currentStory,
    /** The id of the current story; null if it is not the visitor's. */
    get storyId() {
      return isVisitors() ? (desk.sheet?.id ?? null) : null;
    },
    /** Changes data of the current story other than its text, such as its title. @param {(story: Story) => Story} change */
    async revise(change) {
      keep();
      await desk.sheet?.revise(change);
    },
    /** The current story, for what the model should know besides the text; null if it belongs to no one. @returns {Promise<Story | null>} */
    async told() {
      keepNow();
      return (await desk.sheet?.story(element.passages)) ?? null;
    },
    /** Changes that. Makes the text the visitor's if it belonged to no one. @param {(story: Story) => Story} change */
    async tell(change) {
      keepNow();
      isClaimed ||= !isVisitors();
      if (!desk.sheet) desk.put(sheets.begin(), element.text);
      const sheet = /** @type {Sheet} */ (desk.sheet);
      const { passages } = element;
      await sheet.story(passages);
      if (!(await sheet.revise(change))) {
        await sheet.rework(passages, change);
        sheet.change(passages, linkedOf(withoutLink(readAttributes(element), borrowed)));
      }
      keep();
      await sheet.settled();
    },
    /** Gives the current story other versions, and with them another text. @param {(story: Story) => Story} change */
    async rework(change) {
      keep();
      const { sheet } = desk;
      if (!sheet) return;
      const { passages } = await sheet.rework(element.passages, change);
      desk.put(sheet, textOf(passages));
      // The common part keeps its tokens, and the rest can be undone.
      const start = sameStart(element.passages, passages);
      element.splice(start, element.text.length, sliced(passages, start));
      keep();
    },
    /** The current story, as the library has it; null if it is not the visitor's. @returns {Promise<Story | null>} */
    async peek() {
      const { sheet } = desk;
      await sheet?.settled();
      return sheet && sheet === desk.sheet && isVisitors() ? sheet.story(element.passages) : null;
    },
    /**
     * Returns a function that changes versions of the current story, relative to its text in `passages`; a text that
     * belonged to no one becomes the visitor's. It still works if another text replaces this one on the page.
     * @param {Passage[]} passages
     */
    hold(passages) {
      claimed = element.text;
      keepStory(passages);
      const { sheet } = desk;
      return (/** @type {(story: Story) => Story} */ change) => {
        sheet?.amend(passages, change);
        if (desk.sheet === sheet) keep();
        else sheet?.change(passages, linkedOf(withoutLink(readAttributes(element), borrowed)));
      };
    },
    /** A story was deleted: its texts are no longer offered. @param {string} id */
    forget(id) {
      keepReplaced(replacedTexts().filter(({ sheet }) => sheet?.id !== id));
      if (aside?.sheet?.id === id) aside = null;
      tellReplaced();
    },
  };
}

/** Settings that are saved with a story: those that a link may set, except a model on this device. @param {Attributes} attributes @returns {Attributes} */
function linkedOf(attributes) {
  const names = LINKED.filter((name) => name !== "model" || !isLocal(attributes.model));
  return Object.fromEntries(names.map((name) => [name, attributes[name]]));
}

/** Whether a text is one of the others, or the start of one. @param {Text} text @param {Text[]} others */
function isAmong({ passages }, others) {
  return others.some((other) => textOf(other.passages).startsWith(textOf(passages)));
}

function isReload() {
  const [entry] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
  return entry?.type === "reload";
}

/** The attributes without what a link has set and nobody has changed since. @param {Attributes} attributes @param {Borrowed} borrowed @returns {Attributes} */
function withoutLink(attributes, borrowed) {
  const unchanged = Object.entries(borrowed).filter(([name, { given }]) => attributes[name] === given);
  return { ...attributes, ...Object.fromEntries(unchanged.map(([name, { own }]) => [name, own])) };
}

/** Sets the address part after #; "" for none. @param {string} hash */
function setHash(hash) {
  if (hash === location.hash) return;
  try {
    // Use the whole address: a path that begins with // would be taken for a host.
    history.replaceState(history.state, "", location.href.split("#")[0] + hash);
  } catch {
    // Some browsers allow only a hundred calls in half a minute. The text is saved all the same.
  }
}
