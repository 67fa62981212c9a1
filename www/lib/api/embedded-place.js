// Where the embedded model is: usually beside the code, but bundles and hosts put it elsewhere, and some leave it out.

import { VERSION } from "../distribution.js";
import { TokenFormerError, toTokenFormerError } from "../errors.js";
import { embeddedFolders, locate, rememberEmbeddedFolder } from "../locations.js";

/** Error codes by which an engine reports that a folder is missing, or that the host answers with a page instead. */
const NOT_THERE = [
  "model-not-found",
  "network",
  "unauthorized",
  "integrity",
  "invalid-config",
  "unsupported-checkpoint",
];

/**
 * Loads the embedded model from the first folder that has it. A folder is tried only once the one before has failed: a
 * stored model needs no network request.
 * @template T
 * @param {(folderUrl: string) => Promise<T>} load
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>} rejects with `model-not-found`, which names all addresses, where none of several has it
 */
export async function loadEmbedded(load, signal) {
  await locate();
  const [first, ...others] = embeddedFolders();
  try {
    return await load(first);
  } catch (thrown) {
    const cause = toTokenFormerError(thrown);
    if (!NOT_THERE.includes(cause.code) || signal?.aborted || (await holdsModel(first, signal))) throw cause;
    for (const folder of others) {
      if (!(await holdsModel(folder, signal))) continue;
      const loaded = await load(folder);
      rememberEmbeddedFolder(folder);
      return loaded;
    }
    // Without a network, no folder can be checked.
    if (cause.code === "network") throw cause;
    throw notFound([first, ...others], cause);
  }
}

/** Whether a folder has a model's manifest. @param {string} folder @param {AbortSignal} [signal] */
async function holdsModel(folder, signal) {
  try {
    const response = await fetch(`${folder}manifest.json`, { signal: signal ?? null });
    return response.ok && typeof (await response.json())?.files === "object";
  } catch {
    return false; // no answer, or a page in its place
  }
}

/** @param {string[]} folders @param {unknown} cause */
function notFound(folders, cause) {
  const [first] = folders;
  const [, root, folder] = /** @type {RegExpExecArray} */ (/^(.*\/)(models\/[^/]+\/)$/.exec(first));
  const from = VERSION === "" ? "the build" : "the package tokenformer-web-stories";
  return new TokenFormerError("model-not-found", `The embedded model is not there: ${folders.join(", ")}.`, {
    hint: `Copy ${folder} of ${from} to ${root}, or set TokenFormer.assets to the address of the folder that holds models/.`,
    cause,
  });
}
