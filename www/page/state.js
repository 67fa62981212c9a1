// What the page remembers, and what a link does to it. The address (address.js) holds what can be shared; the browser
// (memory.js) keeps the same, and the whole text with who wrote what; and each text of the visitor's is a story in the
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

/** How long a change waits for the next one before both are kept. */
const SETTLE_MS = 300;
/** How many of its earlier addresses a page knows after a reload. */
const MOST_EARLIER = 8;

/**
 * Puts back what was there at the last visit, or what the address tells, and keeps what changes.
 *
 * @param {import("../tokenformer.js").TokenFormerElement} element
 * @param {object} told
 * @param {Sheets} told.sheets where the visitor's texts are kept as stories
 * @param {(link: { isReplaced: boolean, model: string | null }) => void} told.onLink a link's beginning has taken the place
 *     of another text, which `undo` brings back, or a link has chosen a model
 * @param {(passages: Passage[] | null) => void} [told.onReplaced] the text of the visitor's that can be brought back now
 * @param {(isKept: boolean) => void} [told.onKept] whether the next visit will find the text
 */
export function keepState(element, { sheets, onLink, onReplaced = () => {}, onKept = () => {} }) {
  const defaults = readAttributes(element);
  const ownBeginning = element.text;
  /** This visit of this tab. A tab that was duplicated has the same storage, so a name that is kept there would not do. */
  const tab = Math.random().toString(36).slice(2);
  let timer = 0;
  let isRestoring = false;
  /** It counts for this visit. @type {Borrowed} */
  let borrowed = {};
  /** The last text that was put here and is not the visitor's: a link's, an example's. */
  let brought = ownBeginning;
  /** The visitor's text that it has taken the place of. @type {Text | null} */
  let aside = null;
  /** A text that somebody else wrote, and that has versions of the visitor's. @type {string | null} */
  let claimed = null;
  /** The text is the visitor's, though nothing of it is changed: there is something that the model is to know with it. */
  let isClaimed = false;
  const desk = new Desk(sheets);
  /** The text that this tab has kept last, as long as the visitor goes on with it. What else is kept is another tab's. @type {string | null} */
  let known = null;
  /** Addresses' parts behind # that this tab had before the one of now, the newest first. @type {string[]} */
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

  /** Another text in the place of the one that is there, which `undo` brings back, and `bringBack` if it is the visitor's. @param {string} text */
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

  /** Texts that were replaced, and are not what is there, the last one first. */
  function replaced() {
    const isOther = (/** @type {Text} */ text) => text.tab !== tab && textOf(text.passages) !== element.text;
    return [...putAside(), ...replacedTexts()].filter(isOther);
  }
  const tellReplaced = () => onReplaced(replaced()[0]?.passages ?? null);

  /** The text that was replaced last; what stands in its place goes behind the others. */
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
   * Puts a story in the place of what is there, which is in the library, or else is put aside.
   * @param {Story} story
   * @param {object} how
   * @param {string | null} how.mark its last write's; null: it is not kept yet
   * @param {boolean} how.isOwn otherwise a file or a link brought it, and its settings are over with the visit
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

  /** Of a story's settings those that the page may have and the element takes. @param {Story} story */
  function settingsOf({ attributes }) {
    const given = Object.entries(attributes).filter(([name, value]) => LINKED.includes(name) && isValid(name, value));
    return Object.fromEntries(given);
  }

  /** Settings that hold for this visit. @param {Attributes} attributes */
  function borrow(attributes) {
    const own = withoutLink(readAttributes(element), borrowed);
    const differing = Object.keys(attributes).filter((name) => attributes[name] !== own[name]);
    borrowed = Object.fromEntries(differing.map((name) => [name, { given: attributes[name], own: own[name] }]));
    // What another link has set before is over.
    setAttributes({ ...own, ...attributes });
  }

  /** A link's beginning is a change of the visitor's text that is there, and can be undone. @param {NonNullable<ReturnType<typeof fromHash>>} link */
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
   * `leftAs`: the address's part behind # that the text is left with; without it the address follows the text.
   * @param {{ leftAs?: string | null }} [how]
   */
  function keep({ leftAs = null } = {}) {
    clearTimeout(timer);
    timer = 0;
    const attributes = readAttributes(element);
    const { passages, text } = element;
    const beginning = beginningOf(passages);
    // A page that is being left has its next address already: what is kept must go with the one that it has now.
    if (leftAs === null) {
      const { hash } = location;
      setHash(toHash(attributes, defaults, beginning === ownBeginning ? "" : beginning));
      if (location.hash !== hash) earlier = [hash, ...earlier].slice(0, MOST_EARLIER);
    }
    // Nothing takes the place of a text that is kept nowhere else.
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
   * Keeps the texts that `text` takes the place of, for as long as it is none of them and no continuation: the one that was
   * replaced here, and another tab's. False if there is no room.
   * @param {string} text
   */
  function keepAside(text) {
    const goesOn = (/** @type {Text} */ { passages }) => text.startsWith(textOf(passages));
    const before = replacedTexts();
    const last = lastText();
    // Another tab may have kept the very text that this one goes on with, and be closed by now: it is that tab's all the same.
    const isOthers = last && last.tab !== tab && textOf(last.passages) !== ownBeginning && !isAmong(last, before);
    // What this tab has sheltered is about to be kept as the last text. Another tab may have put aside what has become
    // `text` here.
    const others = before.filter((one) => one.tab !== tab && textOf(one.passages) !== known);
    const texts = [...putAside(), ...(isOthers ? [last] : []), ...others].filter((one) => !goesOn(one));
    // Redoing what was undone takes it away once more.
    if (aside && goesOn(aside) && text !== textOf(aside.passages)) aside = null;
    return keepReplaced(texts);
  }

  /** Another tab may have kept its text in the place of the visitor's here, which then goes to those that were replaced. */
  function shelter() {
    const before = replacedTexts();
    const last = lastText();
    const own = { passages: element.passages, tab, sheet: desk.sheet };
    const texts = [...(isVisitors() ? [own] : []), ...putAside()];
    const missing = texts.filter((text) => !isAmong(text, last ? [last, ...before] : before));
    if (missing.length > 0 && keepReplaced([...missing, ...before]) && isVisitors()) known = element.text;
    tellReplaced();
  }
  // What a link brought is the visitor's only once it was changed: until then the browser keeps the text before it.
  const keepSoon = () => isRestoring || (timer ||= setTimeout(keep, SETTLE_MS));
  const keepNow = (leftAs = location.hash) => timer && keep({ leftAs });
  /** What the visitor has changed is the visitor's, also where it is as the link had it again. @param {MutationRecord[]} changes */
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
    // An address that this page wrote itself tells less than what it kept with it. A reload goes to the address that the
    // page had when it was asked for, whatever the page has kept until it left.
    const isLeftEarlier = kept !== null && isFirst && isReload() && kept.earlier.includes(location.hash);
    const isOwn = Boolean(shared) && (kept?.hash === location.hash || isLeftEarlier);
    if (isLeftEarlier) setHash(kept.hash);
    // What there was no room for is nowhere but here.
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
      // Without the link, what it has set is over.
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
  // The last change before a page is left or put aside.
  addEventListener("pagehide", () => {
    keepNow();
    shelter();
  });
  addEventListener("storage", ({ key }) => key === LAST && shelter());
  document.addEventListener("visibilitychange", () => document.hidden && keepNow());

  /** The story that is there, as it is now. @returns {Promise<Story>} */
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
    /** What the address holds, if that is a whole story. */
    sharedStory: () => fromStoryHash(location.hash, defaults),
    /** Another text in the place of the visitor's. */
    replace,
    bringBack,
    openStory,
    currentStory,
    /** The id of the story that is there; null where that is none of the visitor's. */
    get storyId() {
      return isVisitors() ? (desk.sheet?.id ?? null) : null;
    },
    /** Changes what the story that is there is told, such as its title. @param {(story: Story) => Story} change */
    async revise(change) {
      keep();
      await desk.sheet?.revise(change);
    },
    /** What the model is to know of the story that is there, besides its text; null for nobody's. @returns {Promise<Story | null>} */
    async told() {
      keepNow();
      return (await desk.sheet?.story(element.passages)) ?? null;
    },
    /** Changes that. A text that was nobody's is the visitor's then. @param {(story: Story) => Story} change */
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
    /** Gives the story that is there other versions, and with them another text. @param {(story: Story) => Story} change */
    async rework(change) {
      keep();
      const { sheet } = desk;
      if (!sheet) return;
      const { passages } = await sheet.rework(element.passages, change);
      desk.put(sheet, textOf(passages));
      // What is the same keeps its tokens, and what is not can be undone.
      const start = sameStart(element.passages, passages);
      element.splice(start, element.text.length, sliced(passages, start));
      keep();
    },
    /** The story that is there, with what the library knows of it; null where it is none of the visitor's. @returns {Promise<Story | null>} */
    async peek() {
      const { sheet } = desk;
      await sheet?.settled();
      return sheet && sheet === desk.sheet && isVisitors() ? sheet.story(element.passages) : null;
    },
    /**
     * Changes versions of the story that is there, at once, of the text as it was with `passages`; a text that was nobody's is
     * the visitor's from now on. What takes its place on the page later changes nothing of that.
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
    /** A story was deleted: its texts are not offered any more. @param {string} id */
    forget(id) {
      keepReplaced(replacedTexts().filter(({ sheet }) => sheet?.id !== id));
      if (aside?.sheet?.id === id) aside = null;
      tellReplaced();
    },
  };
}

/** Settings that a story is kept with: those that a link may have, and no model of this computer. @param {Attributes} attributes @returns {Attributes} */
function linkedOf(attributes) {
  const names = LINKED.filter((name) => name !== "model" || !isLocal(attributes.model));
  return Object.fromEntries(names.map((name) => [name, attributes[name]]));
}

/** Whether a text is one of those, or the beginning of one. @param {Text} text @param {Text[]} others */
function isAmong({ passages }, others) {
  return others.some((other) => textOf(other.passages).startsWith(textOf(passages)));
}

function isReload() {
  const [entry] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
  return entry?.type === "reload";
}

/** Attributes with what a link has set, and nobody changed since, taken back. @param {Attributes} attributes @param {Borrowed} borrowed @returns {Attributes} */
function withoutLink(attributes, borrowed) {
  const unchanged = Object.entries(borrowed).filter(([name, { given }]) => attributes[name] === given);
  return { ...attributes, ...Object.fromEntries(unchanged.map(([name, { own }]) => [name, own])) };
}

/** The address with this part behind #; "" for none. @param {string} hash */
function setHash(hash) {
  if (hash === location.hash) return;
  try {
    // The whole address: a path that begins with // would be taken for a host.
    history.replaceState(history.state, "", location.href.split("#")[0] + hash);
  } catch {
    // Some browsers allow it a hundred times in half a minute. The text is kept all the same.
  }
}
