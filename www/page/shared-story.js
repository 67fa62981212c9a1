// A story in a link: it is only shown, until the visitor decides to continue it.

import { make } from "../lib/element/dom.js";
import { toTokenFormerError } from "../lib/errors.js";
import { byId } from "./elements.js";
import { describeModel } from "./model-names.js";
import { makeClosable } from "./panels.js";
import { canShare, fromCode } from "./stories/link.js";
import { titleOf } from "./stories/story.js";

/** @typedef {import("./stories/story.js").Story} Story */
/** @typedef {ReturnType<typeof import("./state.js").keepState>} State */

/**
 * @param {State} state
 * @param {{ onOpened: (told: string) => void, onFault: (sentence: string) => void }} page
 */
export function showSharedStories(state, { onOpened, onFault }) {
  const dialog = byId("shared", HTMLDialogElement);
  makeClosable(dialog);
  /** @type {Story | null} */
  let shown = null;

  async function show() {
    const shared = state.sharedStory();
    if (!shared) return dialog.close();
    if (!canShare()) return onFault("This browser cannot read the story in this link. A newer one can.");
    try {
      shown = { ...(await fromCode(shared.code)), attributes: shared.attributes ?? {} };
    } catch (thrown) {
      const { message, hint } = toTokenFormerError(thrown);
      return onFault(`${message} ${hint}`);
    }
    byId("shared-title").textContent = titleOf(shown);
    const spans = shown.passages.map(({ text, written }) =>
      make("span", { text, className: written ? "written" : "" }),
    );
    byId("shared-text").replaceChildren(...spans);
    byId("shared-settings").textContent = settingsInWords(shown);
    if (!dialog.open) dialog.showModal();
  }

  byId("continue-shared").addEventListener("click", async () => {
    if (!shown) return;
    const { hasChosenModel } = await state.openStory(shown, { mark: null, isOwn: false });
    dialog.close();
    onOpened(`This copy of the story is yours.${hasChosenModel ? " The link chose the model." : ""}`);
  });
  addEventListener("hashchange", show);
  show();
}

/** The settings applied when a story is continued. @param {Story} story */
function settingsInWords({ attributes }) {
  if (Object.keys(attributes).length === 0) return "It becomes a story of your own.";
  const { label, host } = describeModel(attributes.model ?? null, byId("writer").getAttribute("endpoint"));
  return `It becomes a story of your own, with its settings. The model: ${label}${host ? `, from ${host}` : ""}.`;
}
