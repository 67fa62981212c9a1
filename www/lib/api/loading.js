// From the arguments of `TokenFormer.load` to an engine that holds the model.

import { unlessAborted } from "./abort.js";
import { loadEmbedded } from "./embedded-place.js";
import { engines, setting, SOFTWARE_GPU } from "../engine/engines.js";
import { aborted, toTokenFormerError } from "../errors.js";
import { checkLoadOptions } from "./options.js";
import { requestedPlace } from "./place.js";

/** @typedef {import("../engine/port.js").Made} Made */

/** Checks everything before anything is fetched. @param {string | undefined} name @param {import("../../tokenformer.js").LoadOptions} [options] @returns {Promise<Made>} */
export async function loadMade(name, options) {
  const { signal, onProgress, ...rest } = checkLoadOptions(options);
  /** @type {import("../../tokenformer-web.js").Request} */
  const request = { ...rest, ...requestedPlace(name, rest) };
  if (setting(SOFTWARE_GPU)) request.takesSoftwareGpu = true;
  if (signal?.aborted) throw aborted("Loading", signal.reason);
  const load = (/** @type {import("../../tokenformer-web.js").Request} */ request) =>
    loadEngine(request, onProgress, signal);
  return name === undefined ? loadEmbedded((folderUrl) => load({ ...request, folderUrl }), signal) : load(request);
}

/** Starts the engine if need be and loads a model into it. Rejects as soon as `signal` says so. @param {import("../../tokenformer-web.js").Request} request @param {import("../../tokenformer.js").LoadOptions["onProgress"]} onProgress @param {AbortSignal} [signal] */
async function loadEngine(request, onProgress, signal) {
  let over = false;
  /** @type {import("../engine/port.js").Tell} */
  const tell = (progress) => {
    if (!over) onProgress?.(progress);
  };
  const loading = engines
    .get(/** @type {string | undefined} */ (request.backend))
    .then((chosen) => chosen.load(request, tell, signal));
  try {
    return await unlessAborted(loading, "Loading", signal);
  } catch (error) {
    if (signal?.aborted) loading.then(discard, () => {});
    throw toTokenFormerError(error);
  } finally {
    over = true;
  }
}

/** Frees an engine that came too late. @param {Made} made */
async function discard({ engine }) {
  await engine.dispose();
  engine.free();
}
