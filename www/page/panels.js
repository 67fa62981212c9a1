// The panels are dialogs: the browser keeps the focus in them, closes them on Escape and restores the focus.

import { byId } from "./elements.js";

/** `panels`: what to do when a panel opens, by the id of its dialog; its button is open-<id>. @param {Record<string, () => unknown>} panels */
export function openPanels(panels) {
  for (const [id, onOpen] of Object.entries(panels)) {
    const dialog = byId(id, HTMLDialogElement);
    byId(`open-${id}`).addEventListener("click", () => {
      onOpen();
      dialog.showModal();
    });
    makeClosable(dialog);
  }
}

/** @param {HTMLDialogElement} dialog */
export function makeClosable(dialog) {
  dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
  // A press on the backdrop: the dialog itself is the target only there, since its padding belongs to its children.
  dialog.addEventListener("click", (event) => {
    if (event.target !== dialog) return;
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    if (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom) dialog.close();
  });
}
