// Files that the visitor saves.

/** How long the data of a file being saved must stay available: browsers fetch it after the click. */
const SAVING_MS = 60_000;

/** @param {Blob} blob @param {string} name */
export function saveFile(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), SAVING_MS);
}
