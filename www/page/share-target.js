// Text that another program shares with the installed app: the manifest's share_target makes the browser open the page
// with it in the address. Anyone can make such an address, so it is only used as text and title. The service worker
// does not forward it to the host.

import { plainText } from "./stories/plain-text.js";
import { asTitle, newStory } from "./stories/story.js";

/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */

/** The same names as in app.webmanifest and service-worker.js. */
const NAMES = Object.freeze(["title", "text", "url"]);
/** Maximum number of characters: more than anyone shares by hand. */
export const LONGEST_SHARED = 20_000;

/**
 * `{ text, title, isCut }` of an address's query; null if nothing is shared. The address is appended to the text,
 * unless the text contains it already, as many programs send it; without a text the title is used.
 * @param {string} search
 */
export function sharedText(search) {
  const query = new URLSearchParams(search);
  const [title, text, url] = NAMES.map((name) => (query.get(name) ?? "").trim());
  const words = text || title;
  const all = [words, words.includes(url) ? "" : url].filter(Boolean).join("\n\n");
  if (all === "") return null;
  return {
    text: plainText(all.slice(0, LONGEST_SHARED)),
    title: text === "" ? null : asTitle(plainText(title)),
    isCut: all.length > LONGEST_SHARED,
  };
}

/** An address without the shared text in it. @param {string} href */
export function withoutShared(href) {
  const url = new URL(href);
  for (const name of NAMES) url.searchParams.delete(name);
  return url.href;
}

/**
 * Makes a new story of what the address contains. The previous text stays among the stories.
 * @param {State} state
 * @param {(told: string) => void} onOpened
 */
export async function receiveShared(state, onOpened) {
  const shared = sharedText(location.search);
  if (!shared) return;
  // At once: a reload must not share it again.
  history.replaceState(history.state, "", withoutShared(location.href));
  const { text, title, isCut } = shared;
  const story = newStory({ title, passages: [{ text, written: false }] });
  await state.openStory(story, { mark: null, isOwn: true });
  onOpened(
    isCut
      ? `What you shared is a new story, cut after ${LONGEST_SHARED.toLocaleString("en")} characters.`
      : "What you shared is a new story. The others are under Stories.",
  );
}
