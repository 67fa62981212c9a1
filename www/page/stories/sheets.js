// A sheet is the story on the page, on its way into the library: it is saved in one write after another, and what the
// page stores of a sheet tells the next visit where it belongs, even after a write whose completion nobody saw.

import { areSame, textOf } from "./passages.js";
import { newMark } from "./library.js";
import { asAttributes, isObject, toStory } from "./reading.js";
import { newId, newStory, write } from "./story.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./library.js").Library} Library */
/** @typedef {import("./story.js").Story} Story */
/** What a page stores of a sheet. `story` is what the library does not have yet, except for the text. @typedef {{ id: string, known: string[], story?: Story }} KeptSheet */

/** Up to this size, a story that the library could not save is stored beside the text. */
const LONGEST_KEPT = 500_000;

export class Sheet {
  /** @type {string} */
  #id;
  #library;
  /** The last write that is known to be complete, and those in progress. @type {string[]} */
  #known;
  /** The text at the time when it was stored: a record with the same text counts as known, whoever wrote it. @type {Passage[] | null} */
  #seen;
  /** As in the library, now or after the next write; null until it was read. @type {Story | null} */
  #story;
  /** The next write. @type {{ passages: Passage[], attributes: Story["attributes"], mark: string } | null} */
  #next = null;
  /** @type {Promise<void> | null} */
  #writing = null;
  #isSaved = false;
  /** Changes of its versions that wait to be written, in order. @type {((story: Story) => Story)[]} */
  #amendments = [];
  #onCopy;

  /**
   * @param {Library} library
   * @param {{ id?: string, known?: string[], story?: Story | null, isSaved?: boolean, seen?: Passage[] | null }} what
   * @param {(story: Story) => void} onCopy called if it becomes a copy, since another tab has written the same story
   */
  constructor(library, { id = newId(), known = [], story = null, isSaved = false, seen = null }, onCopy) {
    this.#library = library;
    this.#id = story?.id ?? id;
    this.#known = known;
    this.#seen = seen;
    this.#story = story;
    this.#isSaved = isSaved;
    this.#onCopy = onCopy;
  }

  get id() {
    return this.#id;
  }

  /** Sets another text. It is written soon; the state that the page stores before that already includes the write's mark. @param {Passage[]} passages @param {Story["attributes"]} attributes */
  change(passages, attributes) {
    if (this.#isSaved && this.#story && isAs(this.#story, passages, attributes)) return;
    const mark = newMark();
    // A write that the next one replaces is never made.
    const [last, ...onTheirWay] = this.#known.filter((one) => one !== this.#next?.mark);
    this.#known = last === undefined ? [mark] : [last, ...onTheirWay.slice(-1), mark];
    this.#next = { passages, attributes, mark };
    this.#isSaved = false;
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  /** Changes everything but text and versions: the title, and what the model should know. Returns whether the library has it. @param {(story: Story) => Story} change */
  async revise(change) {
    await this.settled();
    if (this.#story) this.#story = change(this.#story);
    return (await this.#library.change(this.#id, change)) !== null;
  }

  /** Changes versions, relative to the text at this moment; the text of the next `change` is written after it. @param {Passage[]} passages @param {(story: Story) => Story} change */
  amend(passages, change) {
    this.#amendments.push((story) => change(write(story, passages)));
    this.#isSaved = false;
  }

  /** @param {Story} story @param {number} [count] of the changes */
  #amended(story, count) {
    return this.#amendments.slice(0, count).reduce((amended, amend) => amend(amended), story);
  }

  /** Sets another text or other versions of the same story; the caller reports the text by `change`. @param {Passage[]} passages as it is now @param {(story: Story) => Story} change */
  async rework(passages, change) {
    await this.settled();
    this.#story = change(await this.story(passages));
    this.#amendments = [];
    this.#isSaved = false;
    return this.#story;
  }

  /** Waits until all changes are saved, or have failed; returns whether they are saved. */
  async settled() {
    while (this.#writing) await this.#writing;
    return this.#isSaved;
  }

  /** The story as it is on the page, with this text. @param {Passage[]} passages @returns {Promise<Story>} */
  async story(passages) {
    return write(this.#amended(await this.#base(passages)), passages);
  }

  async #write() {
    while (this.#next) {
      const { passages, attributes, mark } = this.#next;
      this.#next = null;
      const { length } = this.#amendments; // what comes later is of a later text
      const base = await this.#base(passages);
      const story = { ...write(this.#amended(base, length), passages), attributes };
      // Also for a page that stores its state before the library has it.
      this.#story = story;
      this.#amendments.splice(0, length);
      const result = await this.#library.save(story, { mark, known: this.#known });
      this.#story = result?.story ?? story;
      if (!result) continue;
      this.#known = this.#known.slice(Math.max(0, this.#known.indexOf(mark)));
      this.#isSaved = !this.#next;
      if (!result.isCopy) continue;
      this.#id = result.story.id;
      this.#onCopy(result.story);
    }
  }

  /** The story that the text belongs to. @param {Passage[]} passages */
  async #base(passages) {
    if (this.#story) return this.#story;
    const there = await this.#library.get(this.#id);
    if (there && this.#seen && areSame(there.story.passages, this.#seen)) this.#known.unshift(there.mark);
    return (this.#story = there?.story ?? newStory({ id: this.#id, passages }));
  }

  /** @returns {KeptSheet} */
  toJSON() {
    const kept = { id: this.#id, known: this.#known };
    const whole = this.#story && this.#amended(this.#story);
    if (this.#isSaved || !whole || isPlain(whole)) return kept;
    const story = { ...whole, passages: [] };
    return JSON.stringify(story).length <= LONGEST_KEPT ? { ...kept, story } : kept;
  }
}

/** Whether there is nothing to write. @param {Story} story @param {Passage[]} passages @param {Story["attributes"]} attributes */
function isAs(story, passages, attributes) {
  return areSame(story.passages, passages) && JSON.stringify(story.attributes) === JSON.stringify(attributes);
}

/** Whether a story consists of nothing but its text. @param {Story} story */
function isPlain({ title, versions, memory, note, lore }) {
  return title === null && versions.length === 0 && lore.length === 0 && memory === "" && note === "";
}

/** The sheet for a text that was stored without one, as by version 0.2.0: the same for the same text. @param {Passage[]} passages @returns {KeptSheet} */
export function sheetOfText(passages) {
  // FNV-1a, twice: enough to tell a visitor's few texts apart.
  const hash = (/** @type {number} */ basis) => {
    let sum = basis;
    for (const sign of textOf(passages)) sum = Math.imul(sum ^ (sign.codePointAt(0) ?? 0), 0x01000193) >>> 0;
    return sum.toString(36);
  };
  const id = `text-${hash(0x811c9dc5)}${hash(0x1000193)}`;
  return { id, known: [id] };
}

/** What a page stores of a sheet, if valid. @param {unknown} kept @returns {KeptSheet | null} */
export function toKeptSheet(kept) {
  if (!isObject(kept) || typeof kept.id !== "string" || kept.id === "" || kept.id.length > 200) return null;
  const known = Array.isArray(kept.known) ? kept.known.filter((mark) => typeof mark === "string").slice(-3) : [];
  return { id: kept.id, known, ...(isObject(kept.story) && { story: /** @type {Story} */ (kept.story) }) };
}

/**
 * The sheets of a page.
 * @param {Library} library
 * @param {(story: Story) => void} [onCopy] called if another tab has written the same story: this one is a copy from now on
 */
export function sheetsOf(library, onCopy = () => {}) {
  return {
    /** For a new story. */
    begin: () => new Sheet(library, {}, onCopy),
    /** For a saved story, or one from a file or a link. @param {Story} story @param {string | null} mark its last write's; null: it is not saved yet */
    of: (story, mark) => new Sheet(library, { story, known: mark ? [mark] : [], isSaved: mark !== null }, onCopy),
    /** For what a page has stored, with the text of that time. @param {KeptSheet} kept @param {Passage[]} passages */
    from({ id, known, story }, passages) {
      const rest = story && restored(story, id, passages);
      return new Sheet(library, { id, known, story: rest ?? null, seen: passages }, onCopy);
    },
    /**
     * Saves a stored text that may not have reached the library, unless the library has it, or something that another
     * tab has made of it since.
     * @param {KeptSheet} kept
     * @param {Passage[]} passages
     */
    async adopt({ id, known, story }, passages) {
      const there = await library.get(id);
      const isTheirs = there && !known.includes(there.mark);
      if (isTheirs || (there && textOf(there.story.passages) === textOf(passages))) return;
      const base = there?.story ?? (story && restored(story, id, passages)) ?? newStory({ id, passages });
      const mark = known.at(-1) ?? newMark();
      await library.save(write(base, passages), { mark, known });
    },
  };
}

/** @param {unknown} kept @param {string} id @param {Passage[]} passages @returns {Story | null} */
function restored(kept, id, passages) {
  try {
    const [story] = toStory({ ...Object(kept), passages }).stories;
    return { ...story, id, attributes: asAttributes(Object(kept).attributes) };
  } catch {
    return null;
  }
}
