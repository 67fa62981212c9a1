// From the arguments of `TokenFormer.load` to an engine with the model loaded.

import { unlessAborted } from "./abort.js";
import { loadEmbedded } from "./embedded-place.js";
import { engines, setting, SOFTWARE_GPU } from "../engine/engines.js";
import { aborted, toTokenFormerError } from "../errors.js";
import { checkLoadOptions } from "./options.js";
import { requestedPlace } from "./place.js";

/** @typedef {import("../engine/port.js").Made} Made */
/** @typedef {import("../../tokenformer.js").PackSource} PackSource */

/** @typedef {import("./pack-sources.js").Hub} Hub */
/** @typedef {import("./model.js").TokenFormer} TokenFormer */

/**
 * A model with its requested packs. Everything is checked before anything is fetched.
 * @param {string | undefined} name
 * @param {import("../../tokenformer.js").LoadOptions | undefined} options
 * @param {(made: Made, hub: Hub) => TokenFormer} modelOf
 */
export async function loadModel(name, options, modelOf) {
  const { packs, ...checked } = checkLoadOptions(options);
  const { endpoint, token, signal } = checked;
  const model = modelOf(await loadMade(name, checked), { endpoint, token });
  try {
    for (const item of packs) {
      const { pack, strength } = /** @type {{ pack: PackSource, strength?: number }} */ (item);
      await unlessAborted(model.addPack(pack, { strength }), "Loading", signal);
    }
    return model;
  } catch (error) {
    model.dispose().catch(() => {}); // the first failure is the one to tell
    throw error;
  }
}

/** @param {string | undefined} name @param {Omit<import("./options.js").CheckedLoadOptions, "packs">} checked @returns {Promise<Made>} */
async function loadMade(name, { signal, onProgress, ...rest }) {
  /** @type {import("../../tokenformer-web.js").Request} */
  const request = { ...rest, ...requestedPlace(name, rest) };
  if (setting(SOFTWARE_GPU)) request.takesSoftwareGpu = true;
  if (signal?.aborted) throw aborted("Loading", signal.reason);
  const load = (/** @type {import("../../tokenformer-web.js").Request} */ request) =>
    loadEngine(request, onProgress, signal);
  return name === undefined ? loadEmbedded((folderUrl) => load({ ...request, folderUrl }), signal) : load(request);
}

/** Starts the engine if needed and loads a model into it. Rejects as soon as `signal` aborts. @param {import("../../tokenformer-web.js").Request} request @param {import("../../tokenformer.js").LoadOptions["onProgress"]} onProgress @param {AbortSignal} [signal] */
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

/** Frees an engine that arrived too late. @param {Made} made */
async function discard({ engine }) {
  await engine.dispose();
  engine.free();
}
