// A sheet is the story that is on the page, on its way into the library: what is written goes there one write after
// another, and what the page remembers of a sheet tells the next visit where it belongs, also after a write whose end
// nobody saw.

import { areSame, textOf } from "./passages.js";
import { newMark } from "./library.js";
import { asAttributes, isObject, toStory } from "./reading.js";
import { newId, newStory, write } from "./story.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./library.js").Library} Library */
/** @typedef {import("./story.js").Story} Story */
/** What a page remembers of a sheet. `story` is what the library does not have yet, but for the text. @typedef {{ id: string, known: string[], story?: Story }} KeptSheet */

/** Of a story that the library could not take, so much is remembered beside the text. */
const LONGEST_KEPT = 500_000;

export class Sheet {
  /** @type {string} */
  #id;
  #library;
  /** The last write that is known to have been done, and those that are on their way. @type {string[]} */
  #known;
  /** The text of the time when it was remembered: a record with the same is known, whoever wrote it. @type {Passage[] | null} */
  #seen;
  /** As the library has it, or is to have it; null until it was asked. @type {Story | null} */
  #story;
  /** What is to be written next. @type {{ passages: Passage[], attributes: Story["attributes"], mark: string } | null} */
  #next = null;
  /** @type {Promise<void> | null} */
  #writing = null;
  #isSaved = false;
  /** Changes of its versions that wait to be written, in their order. @type {((story: Story) => Story)[]} */
  #amendments = [];
  #onCopy;

  /**
   * @param {Library} library
   * @param {{ id?: string, known?: string[], story?: Story | null, isSaved?: boolean, seen?: Passage[] | null }} what
   * @param {(story: Story) => void} onCopy it goes on as a copy, since another tab has written the same story
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

  /** The text is another. It is written soon; what is remembered of the sheet before that knows of it. @param {Passage[]} passages @param {Story["attributes"]} attributes */
  change(passages, attributes) {
    if (this.#isSaved && this.#story && isAs(this.#story, passages, attributes)) return;
    const mark = newMark();
    // What the next write takes the place of is never written.
    const [last, ...onTheirWay] = this.#known.filter((one) => one !== this.#next?.mark);
    this.#known = last === undefined ? [mark] : [last, ...onTheirWay.slice(-1), mark];
    this.#next = { passages, attributes, mark };
    this.#isSaved = false;
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  /** All that the library does not know of the story is changed: its title, what is told the model. Whether the library has it. @param {(story: Story) => Story} change */
  async revise(change) {
    await this.settled();
    if (this.#story) this.#story = change(this.#story);
    return (await this.#library.change(this.#id, change)) !== null;
  }

  /** Changes versions, of a text as it is at this moment; the text of the next `change` is written after it. @param {Passage[]} passages @param {(story: Story) => Story} change */
  amend(passages, change) {
    this.#amendments.push((story) => change(write(story, passages)));
    this.#isSaved = false;
  }

  /** @param {Story} story @param {number} [count] of the changes */
  #amended(story, count) {
    return this.#amendments.slice(0, count).reduce((amended, amend) => amend(amended), story);
  }

  /** Another text or other versions of the same story; the text is to be told by `change`. @param {Passage[]} passages as it is now @param {(story: Story) => Story} change */
  async rework(passages, change) {
    await this.settled();
    this.#story = change(await this.story(passages));
    this.#amendments = [];
    this.#isSaved = false;
    return this.#story;
  }

  /** Waits until all that was changed is kept, or has failed; whether it is kept. */
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
      // Also for who remembers it before the library has it.
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

  /** The story to which the text belongs. @param {Passage[]} passages */
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

/** Whether there is nothing to be written. @param {Story} story @param {Passage[]} passages @param {Story["attributes"]} attributes */
function isAs(story, passages, attributes) {
  return areSame(story.passages, passages) && JSON.stringify(story.attributes) === JSON.stringify(attributes);
}

/** Whether a story is nothing but its text. @param {Story} story */
function isPlain({ title, versions, memory, note, lore }) {
  return title === null && versions.length === 0 && lore.length === 0 && memory === "" && note === "";
}

/** What is remembered of a text that no sheet was remembered with, as by version 0.2.0: the same for the same text. @param {Passage[]} passages @returns {KeptSheet} */
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

/** What a page remembers of a sheet, if it is that. @param {unknown} kept @returns {KeptSheet | null} */
export function toKeptSheet(kept) {
  if (!isObject(kept) || typeof kept.id !== "string" || kept.id === "" || kept.id.length > 200) return null;
  const known = Array.isArray(kept.known) ? kept.known.filter((mark) => typeof mark === "string").slice(-3) : [];
  return { id: kept.id, known, ...(isObject(kept.story) && { story: /** @type {Story} */ (kept.story) }) };
}

/**
 * Makes the sheets of a page.
 * @param {Library} library
 * @param {(story: Story) => void} [onCopy] another tab has written the same story: what is written here is a copy from now on
 */
export function sheetsOf(library, onCopy = () => {}) {
  return {
    /** Of a story that begins. */
    begin: () => new Sheet(library, {}, onCopy),
    /** Of a story that is kept, or that a file or a link has brought. @param {Story} story @param {string | null} mark its last write's; null: it is not kept yet */
    of: (story, mark) => new Sheet(library, { story, known: mark ? [mark] : [], isSaved: mark !== null }, onCopy),
    /** Of what a page has remembered, with the text of then. @param {KeptSheet} kept @param {Passage[]} passages */
    from({ id, known, story }, passages) {
      const rest = story && restored(story, id, passages);
      return new Sheet(library, { id, known, story: rest ?? null, seen: passages }, onCopy);
    },
    /**
     * Takes over a text that was remembered and may not have come into the library: unless that has it, or something that
     * somebody has made of it since.
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
