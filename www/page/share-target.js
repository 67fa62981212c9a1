// What another program shares with the installed app: the manifest's share_target has the browser open the page with it in
// the address. Anybody can make such an address, so it is text and a title, and sets nothing else. The service worker does not
// pass it on to the host.

import { plainText } from "./stories/plain-text.js";
import { asTitle, newStory } from "./stories/story.js";

/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */

/** As app.webmanifest and service-worker.js have them. */
const NAMES = Object.freeze(["title", "text", "url"]);
/** Characters that come along: more than anybody shares by hand. */
export const LONGEST_SHARED = 20_000;

/**
 * `{ text, title, isCut }` of an address's query; null where nothing is shared. A text has its address behind it, unless it
 * holds it already, as many programs send it; without a text the title is one.
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

/** An address without what is shared in it. @param {string} href */
export function withoutShared(href) {
  const url = new URL(href);
  for (const name of NAMES) url.searchParams.delete(name);
  return url.href;
}

/**
 * Makes what the address brings a new story. What was there is among the stories.
 * @param {State} state
 * @param {(told: string) => void} onOpened
 */
export async function receiveShared(state, onOpened) {
  const shared = sharedText(location.search);
  if (!shared) return;
  // At once: a reload is no second share.
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
