// The stories of this browser, stored in records. No tab overwrites what another has written: a tab that did not know
// of it saves a copy.

import { textOf } from "./passages.js";
import { copied, titleOf } from "./story.js";
import { withoutDeleted } from "./versions.js";

/** @typedef {import("./records.js").Entry} Entry */
/** @typedef {import("./records.js").Records} Records */
/** @typedef {import("./story.js").Story} Story */

const CHANNEL = "tokenformer-stories";

/** A name for a write. */
export const newMark = () => Math.random().toString(36).slice(2);

export class Library {
  #records;
  #onFault;
  #onChange;
  #hasFailed = false;
  /** @type {BroadcastChannel | null} */
  #channel = null;

  /**
   * @param {Records} records
   * @param {object} [told]
   * @param {(sentence: string) => void} [told.onFault] reports a storage error; "" once it works again
   * @param {() => void} [told.onChange] a story was changed, here or in another tab
   */
  constructor(records, { onFault = () => {}, onChange = () => {} } = {}) {
    this.#records = records;
    this.#onFault = onFault;
    this.#onChange = onChange;
    try {
      this.#channel = new BroadcastChannel(CHANNEL);
      this.#channel.onmessage = () => onChange();
    } catch {
      // Without it, other tabs notice a change when they next look.
    }
  }

  /** All stories, last changed first; null if they are not readable, which is reported. @returns {Promise<Story[] | null>} */
  async list() {
    const entries = await this.#attempt(() => this.#records.all());
    const stories = entries?.map(({ story }) => story).filter(isStory);
    return stories?.sort((a, b) => b.changedAt - a.changedAt) ?? null;
  }

  /** A story with its mark; null if there is none, or it is not readable. @param {string} id @returns {Promise<{ story: Story, mark: string } | null>} */
  async get(id) {
    const entry = await this.#attempt(() => this.#records.get(id));
    return entry && isStory(entry.story) ? { story: entry.story, mark: entry.mark } : null;
  }

  /**
   * Saves a story. If another tab has written it since, and this text does not continue that one, the other's stays and
   * this story is saved as a copy beside it.
   * @param {Story} story
   * @param {object} write
   * @param {string} write.mark the mark of this write
   * @param {readonly string[]} write.known marks of the writes that it continues: the last one is among them unless another tab wrote
   * @returns {Promise<{ story: Story, isCopy: boolean } | null>} what was saved; null if that failed, which is reported
   */
  async save(story, { mark, known }) {
    const isOthers = (/** @type {Entry | undefined} */ entry) =>
      entry !== undefined && ![mark, ...known].includes(entry.mark) && !goesOn(story, entry.story);
    return this.#attempt(async () => {
      const before = await this.#records.update(story.id, (entry) =>
        isOthers(entry) ? undefined : entryOf(story, mark, entry),
      );
      const isCopy = isOthers(before);
      const copy = isCopy ? copied(story, "(other tab)", story.changedAt) : null;
      if (copy) await this.#records.update(copy.id, (entry) => entryOf(copy, mark, entry));
      this.#tellChange();
      return { story: copy ?? entryOf(story, mark, before).story, isCopy };
    });
  }

  /** Changes a saved story, whoever wrote it; null if there is none, or it fails. @param {string} id @param {(story: Story) => Story} change @returns {Promise<Story | null>} */
  async change(id, change) {
    return this.#attempt(async () => {
      const before = await this.#records.update(id, (entry) =>
        // The mark stays: tabs that have the story open can continue it.
        entry && isStory(entry.story) ? { ...entry, story: change(entry.story) } : undefined,
      );
      this.#tellChange();
      return before ? change(before.story) : null;
    });
  }

  /** Saves a new story: a duplicate, or a deleted one. Returns whether it worked. @param {Story} story */
  async add(story) {
    return (await this.save(story, { mark: newMark(), known: [] })) !== null;
  }

  /** Returns whether it worked. @param {string} id */
  async remove(id) {
    const done = await this.#attempt(async () => {
      await this.#records.remove(id);
      this.#tellChange();
      return true;
    });
    return done === true;
  }

  #tellChange() {
    this.#onChange();
    this.#channel?.postMessage(null);
  }

  /** @template T @param {() => Promise<T>} act @returns {Promise<T | null>} */
  async #attempt(act) {
    try {
      const result = await act();
      if (this.#hasFailed) this.#onFault("");
      this.#hasFailed = false;
      return result;
    } catch (error) {
      this.#hasFailed = true;
      this.#onFault(faultInWords(error));
      return null;
    }
  }
}

/** Keeps the stored title, memory, note and lore, which only `change` modifies: no tab overwrites them with older ones. @param {Story} story @param {string} mark @param {Entry | undefined} before @returns {Entry} */
function entryOf(story, mark, before) {
  const { title, memory, note, noteLines, lore } = before && isStory(before.story) ? before.story : story;
  const told = { title, memory, note, noteLines, lore };
  const versions = withoutDeleted(story.versions);
  return { id: story.id, mark, story: { ...story, ...told, versions } };
}

/** Whether a story equals another one, possibly with more text at its end. @param {Story} story @param {Story} before */
function goesOn(story, before) {
  const ids = new Set(story.versions.map(({ id }) => id));
  return (
    isStory(before) &&
    textOf(story.passages).startsWith(textOf(before.passages)) &&
    before.versions.every(({ id }) => ids.has(id))
  );
}

/** Whether an entry holds a story: another version of this page may have written something else. @param {unknown} story @returns {story is Story} */
function isStory(story) {
  const { id, passages, versions, lore, changedAt } = Object(story);
  return typeof id === "string" && [passages, versions, lore].every(Array.isArray) && Number.isFinite(changedAt);
}

/** @param {unknown} error */
function faultInWords(error) {
  const { name } = /** @type {{ name?: unknown }} */ (Object(error));
  if (name === "QuotaExceededError")
    return "The browser's storage for this site is full, so stories are not kept. Delete some, or save this one as a file.";
  return "The browser keeps no stories here: its storage is switched off, or this is a private window. Save what you want to keep as a file.";
}

/** Whether a story contains the search words, in its title or its text. @param {Story} story @param {string} words */
export function matches(story, words) {
  const wanted = words.trim().toLocaleLowerCase().split(/\s+/u);
  const text = `${titleOf(story)}\n${textOf(story.passages)}`.toLocaleLowerCase();
  return wanted.every((word) => text.includes(word));
}
