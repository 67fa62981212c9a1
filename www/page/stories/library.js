// The stories of this browser, over its records. No tab overwrites what another has written: who did not know of that
// keeps a copy of its own.

import { textOf } from "./passages.js";
import { copied, titleOf } from "./story.js";
import { withoutDeleted } from "./versions.js";

/** @typedef {import("./records.js").Entry} Entry */
/** @typedef {import("./records.js").Records} Records */
/** @typedef {import("./story.js").Story} Story */

const CHANNEL = "tokenformer-stories";

/** The name of a write. */
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
   * @param {(sentence: string) => void} [told.onFault] what goes wrong with the storage; "" once it works again
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
      // Without it other tabs learn of a change when they look.
    }
  }

  /** All stories, the one that was changed last first; null where they cannot be read, which is told. @returns {Promise<Story[] | null>} */
  async list() {
    const entries = await this.#attempt(() => this.#records.all());
    const stories = entries?.map(({ story }) => story).filter(isStory);
    return stories?.sort((a, b) => b.changedAt - a.changedAt) ?? null;
  }

  /** A story with its mark; null where there is none, or none can be read. @param {string} id @returns {Promise<{ story: Story, mark: string } | null>} */
  async get(id) {
    const entry = await this.#attempt(() => this.#records.get(id));
    return entry && isStory(entry.story) ? { story: entry.story, mark: entry.mark } : null;
  }

  /**
   * Keeps a story. What another has written since, of which its text is no continuation, stays, and the story becomes a
   * copy beside it.
   * @param {Story} story
   * @param {object} write
   * @param {string} write.mark this write's
   * @param {readonly string[]} write.known of the writes that it goes on from: the last one is among them unless somebody else wrote
   * @returns {Promise<{ story: Story, isCopy: boolean } | null>} what was kept; null where that failed, which is told
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

  /** Changes a story that is kept, whoever wrote it; null where there is none, or that fails. @param {string} id @param {(story: Story) => Story} change @returns {Promise<Story | null>} */
  async change(id, change) {
    return this.#attempt(async () => {
      const before = await this.#records.update(id, (entry) =>
        // The mark stays: whoever has it open goes on from here.
        entry && isStory(entry.story) ? { ...entry, story: change(entry.story) } : undefined,
      );
      this.#tellChange();
      return before ? change(before.story) : null;
    });
  }

  /** Keeps a story that is not there yet: a duplicate, or one that was deleted. Whether it was done. @param {Story} story */
  async add(story) {
    return (await this.save(story, { mark: newMark(), known: [] })) !== null;
  }

  /** Whether it was done. @param {string} id */
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

/** What a story is told is changed where it is kept, by `change`: no tab writes an older title. @param {Story} story @param {string} mark @param {Entry | undefined} before @returns {Entry} */
function entryOf(story, mark, before) {
  const { title, memory, note, noteLines, lore } = before && isStory(before.story) ? before.story : story;
  const told = { title, memory, note, noteLines, lore };
  const versions = withoutDeleted(story.versions);
  return { id: story.id, mark, story: { ...story, ...told, versions } };
}

/** Whether a story is another one with more written at its end, or the same. @param {Story} story @param {Story} before */
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

/** Whether a story has what somebody looks for, in its title or its text. @param {Story} story @param {string} words */
export function matches(story, words) {
  const wanted = words.trim().toLocaleLowerCase().split(/\s+/u);
  const text = `${titleOf(story)}\n${textOf(story.passages)}`.toLocaleLowerCase();
  return wanted.every((word) => text.includes(word));
}
