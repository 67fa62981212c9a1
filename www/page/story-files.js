// The current story as a file, as text in the clipboard, as a link; and files as stories.

import { toTokenFormerError } from "../lib/errors.js";
import { byId } from "./elements.js";
import { saveFile } from "./save-file.js";
import { ACCEPTED, fileName, FILES, missingInFile, openFile } from "./stories/files.js";
import { canShare, LONGEST_LINK } from "./stories/link.js";
import { textOf } from "./stories/passages.js";
import { MOST_BYTES } from "./stories/reading.js";
import { titleOf } from "./stories/story.js";

/** @typedef {import("./stories/files.js").Extension} Extension */
/** @typedef {import("./stories/library.js").Library} Library */
/** @typedef {import("./stories/reading.js").Opened} Opened */
/** @typedef {import("./stories/story.js").Story} Story */
/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */

/**
 * @param {State} state
 * @param {Library} library
 * @param {object} page
 * @param {(text: string) => Promise<boolean>} page.copy
 * @param {(told: string) => void} page.onOpened
 * @returns {(files: File[]) => Promise<void>} opens files; errors are shown in the panel
 */
export function keepFiles(state, library, { copy, onOpened }) {
  const tell = (/** @type {string} */ sentence) => void (byId("story-status").textContent = sentence);

  for (const button of document.querySelectorAll("[data-save]"))
    button.addEventListener("click", async () => {
      const extension = /** @type {Extension} */ (button.getAttribute("data-save"));
      const story = await state.currentStory();
      const type = `${FILES[extension].type};charset=utf-8`;
      saveFile(new Blob([FILES[extension].write(story)], { type }), fileName(story, extension));
      const missing = missingInFile(story, extension);
      tell(missing ? `Saved. Not in it: ${missing}.` : "Saved.");
    });

  byId("copy-story").addEventListener("click", async () => {
    const { passages } = await state.currentStory();
    tell(
      (await copy(textOf(passages))) ? "Copied." : "The browser does not let this page copy: save the text as a file.",
    );
  });

  byId("share-story").addEventListener("click", async () => {
    if (!canShare()) return tell("This browser makes no such links. Save the story as a file, and send that.");
    const story = await state.currentStory();
    const href = await state.storyLink(story);
    if (href.length > LONGEST_LINK)
      return tell(
        `This story is too long for a link: ${href.length.toLocaleString("en")} characters, where ${LONGEST_LINK.toLocaleString("en")} arrive everywhere. Save it as a web page or as everything, and send the file.`,
      );
    const missing = missingInFile(story, "html");
    const lacks = missing ? ` Not in it: ${missing}.` : "";
    tell(
      (await copy(href))
        ? `Copied a link that holds the story itself.${lacks}`
        : `The browser does not let this page copy. The link: ${href}`,
    );
  });

  const input = byId("file-input", HTMLInputElement);
  input.accept = ACCEPTED;
  byId("open-file").addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const files = Array.from(input.files ?? []);
    input.value = ""; // the same choice again is a choice
    await open(files);
  });

  /** @param {File[]} files */
  async function open(files) {
    const { stories, told } = await readAll(files);
    const [first, ...others] = stories;
    const panel = byId("stories", HTMLDialogElement);
    if (!first && !panel.open) byId("open-stories").click();
    byId("file-status").textContent = told;
    if (!first) return;
    for (const story of others) await library.add(story);
    const { hasChosenModel } = await state.openStory(first, { mark: null, isOwn: false });
    panel.close();
    const more = others.length > 0 ? ` and ${others.length} more` : "";
    onOpened(`Opened “${titleOf(first)}”${more}${hasChosenModel ? ", which chose the model" : ""}. ${told}`.trim());
  }
  return open;
}

/** The stories in files, and a message about them. @param {File[]} files */
async function readAll(files) {
  /** @type {Story[]} */
  const stories = [];
  const dropped = new Set();
  const wrong = [];
  for (const file of files) {
    try {
      // A file that is too large is not read at all.
      const bytes = file.size > MOST_BYTES ? { length: file.size } : new Uint8Array(await file.arrayBuffer());
      const opened = openFile(file.name, /** @type {Uint8Array<ArrayBuffer>} */ (bytes));
      stories.push(...opened.stories);
      for (const what of opened.dropped) dropped.add(what);
    } catch (thrown) {
      const isUnreadable = thrown instanceof DOMException;
      const { message, hint } = toTokenFormerError(thrown);
      wrong.push(isUnreadable ? `${file.name} cannot be read. Choose it once more.` : `${message} ${hint}`);
    }
  }
  const lacks = dropped.size > 0 ? [`Not taken over: ${[...dropped].join("; ")}.`] : [];
  return { stories, told: [...wrong, ...lacks].join(" ") };
}
