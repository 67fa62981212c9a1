// What this browser stores of models, shared by all pages of the origin.

import { invalidArgument } from "../errors.js";
import { inTime } from "../in-time.js";
import { EMBEDDED_MODEL } from "../locations.js";
import { resolveName } from "./names.js";
import { checkDeleteOptions } from "./options.js";
import { deleteModels, storedModels } from "../store/records.js";

export { storedModels };

/** Deletes a model from storage; resolves to the number of bytes freed. @param {string} id @param {import("../../tokenformer.js").DeleteOptions} [options] */
export async function deleteModel(id, options) {
  const { revision, quantization } = checkDeleteOptions(options);
  if (id === undefined) throw invalidArgument("delete needs the id of a model.", "TokenFormer.models() lists them.");
  const name = id === EMBEDDED_MODEL ? id : resolveName(id).id;
  return deleteModels(name, revision, quantization);
}

/** How long the browser may take to report on its storage. */
const ANSWER_MS = 5_000;

/** Bytes used and allowed, and whether the browser may clear them when the disk is full. */
export async function storage() {
  const manager = globalThis.navigator?.storage;
  const [estimate, persisted] = await Promise.all([
    answer(manager?.estimate?.(), null),
    answer(manager?.persisted?.(), false),
  ]);
  return { usage: estimate?.usage ?? 0, quota: estimate?.quota ?? 0, persisted };
}

/** Asks the browser not to clear the storage; resolves to its answer, which may wait for the visitor. */
export async function persist() {
  return (await globalThis.navigator?.storage?.persist?.().catch(() => false)) ?? false;
}

/**
 * `promise`, or `otherwise` if there is none, it fails, or the browser does not answer.
 * @template T, U
 * @param {Promise<T> | undefined} promise
 * @param {U} otherwise
 * @returns {Promise<T | U>}
 */
async function answer(promise, otherwise) {
  return (await inTime(promise, ANSWER_MS).catch(() => undefined)) ?? otherwise;
}
