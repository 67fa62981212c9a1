// A model from this device: dropped on the page, or chosen as a folder or as files.

import { byId } from "./elements.js";
import { answer, localFolder } from "./local-folder.js";
import { isControlled, serviceWorkers } from "./offline.js";

/** @typedef {import("./local-folder.js").Entry} Entry */

/** Folders of this visit, by address: their files by path. @type {Map<string, Map<string, File>>} */
const folders = new Map();

/**
 * Calls `choose(address)` for every model that the visitor provides. Returns the function that takes a model's files;
 * `drops` are taken unless the page has its own use for what is dropped on it; `others` takes what is not a model, and
 * reports it.
 * @param {(address: string) => void} choose
 * @param {{ drops?: boolean, others?: (entries: Entry[]) => boolean | Promise<boolean> }} [page]
 * @returns {(entries: Entry[]) => void}
 */
export function acceptLocalModels(choose, { drops = true, others = () => false } = {}) {
  const tell = (/** @type {string} */ text) => void (byId("local-status").textContent = text);
  const workers = serviceWorkers();
  if (!workers) {
    tell("Files on this device need a service worker, which is not available in this browser or on this kind of page.");
    for (const id of ["pick-folder", "pick-files"]) byId(id, HTMLButtonElement).disabled = true;
    return () => {};
  }
  workers.addEventListener("message", onRequest);
  workers.startMessages?.();

  /** @param {Entry[]} entries */
  async function take(entries) {
    if (entries.length === 0) return;
    const { files, address, problem } = localFolder(entries);
    if (problem) return tell(problem);
    if (!(await isControlled()))
      return tell("The service worker that reads files is not running: reload the page, without Shift.");
    await hold(new URL(address, document.baseURI).href, files);
    tell(`${files.size} files are ready. They stay on this device.`);
    choose(address);
  }

  for (const kind of ["folder", "files"]) {
    const input = byId(`${kind}-input`, HTMLInputElement);
    byId(`pick-${kind}`).addEventListener("click", () => input.click());
    input.addEventListener("change", async () => {
      await take(Array.from(input.files ?? [], (file) => ({ path: file.webkitRelativePath || file.name, file })));
      input.value = ""; // the same choice again is a choice
    });
  }
  if (!drops) return take;
  acceptDrops(byId("drop-veil"), async (reading) => {
    const showPanel = () => byId("model", HTMLDialogElement).open || byId("open-model").click();
    try {
      const entries = await reading;
      if (await others(entries)) return;
      showPanel();
      await take(entries);
    } catch {
      showPanel();
      tell("What was dropped cannot be read. Choose the folder or the files instead."); // a link, or a folder that is not the visitor's
    }
  });
  return take;
}

/** Whether these files are a model: some are weights. @param {Entry[]} entries */
export function areModels(entries) {
  return entries.some(({ path }) => /\.(safetensors|bin)$/i.test(path));
}

/**
 * The lock tells the service worker that some page has the folder; it is released with the page. Several pages may have
 * it.
 * @param {string} folder its address
 * @param {Map<string, File>} files
 */
async function hold(folder, files) {
  folders.set(folder, files);
  await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
    if (!navigator.locks) return resolve();
    const held = () => (resolve(), new Promise(() => {}));
    navigator.locks.request(`tokenformer-web local ${folder}`, { mode: "shared" }, held).catch(resolve);
  });
}

/** The service worker requests part of a file. A page that does not have its folder answers so. @param {MessageEvent} message */
function onRequest({ data, ports }) {
  const files = data?.type === "local-file" ? folders.get(data.folder) : null;
  ports[0]?.postMessage(files ? answer(files, data.path, data.range) : null);
}

/** `take` gets the promise of all files that were dropped on the page. @param {HTMLElement} veil @param {(reading: Promise<Entry[]>) => void} take */
export function acceptDrops(veil, take) {
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && (veil.hidden = true));
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    veil.hidden = true;
    // Entries must be requested before the first await: the list is emptied then.
    const items = Array.from(event.dataTransfer?.items ?? []);
    const roots = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter((root) => root !== null);
    take(Promise.all(roots.map(filesBelow)).then((found) => found.flat()));
  });
}

/**
 * All files of what was dropped: a folder or a file, or a plain File if the browser offers no more.
 * @param {FileSystemEntry | File} root
 * @returns {Promise<Entry[]>}
 */
async function filesBelow(root) {
  if (root instanceof File) return [{ path: root.name, file: root }];
  if (root.isFile) {
    const entry = /** @type {FileSystemFileEntry} */ (root);
    /** @type {File} */
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ path: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (root).createReader();
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (some.length === 0) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesBelow))).flat();
}
