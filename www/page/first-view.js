// What a new visitor wants to know before the first press: what it downloads, where it runs, and that it is slower without a GPU.

import { WASM_BYTES } from "../lib/build.js";
import { isSoftware } from "../lib/engine/backend.js";
import { resolveName } from "../lib/api/names.js";
import { LOADING_ATTRIBUTES, readLoadAttributes } from "../lib/element/attributes.js";
import { TokenFormer } from "../tokenformer.js";
import { byId } from "./elements.js";
import { gpuHere } from "./gpu.js";
import { isLocal } from "./local-folder.js";
import { describeModel } from "./model-names.js";
import { OFFERED, size } from "./published.js";

/** @typedef {import("./gpu.js").Gpu} Gpu */
/** @typedef {import("../tokenformer.js").Availability} Availability */
/** @typedef {import("../tokenformer.js").ModelInfo} ModelInfo */

/**
 * What the first press downloads, in words: the model, and the engine that runs it.
 * @param {Pick<Availability, "state" | "downloadBytes">} model
 * @param {number} engineBytes
 */
export function costInWords({ state, downloadBytes }, engineBytes) {
  if (state === "stored") return "The model is saved: nothing more to download.";
  // If the size is unknown, say nothing rather than something wrong.
  if (state === "unavailable" || downloadBytes === null) return "";
  return `The first press downloads ${size(downloadBytes + engineBytes)}, once.`;
}

/** Where it runs, as the end of a sentence. All variants have about the same length: nothing should move. @param {"webgpu" | "cpu" | null} backend */
export function placeInWords(backend) {
  if (backend === null) return "in your browser";
  return backend === "webgpu" ? "on your own GPU" : "on your own CPU";
}

/**
 * A hint about a place that is slower than a GPU; "" if there is a GPU, or another place was requested.
 * @param {"webgpu" | "cpu" | null} backend
 * @param {Gpu} gpu
 * @param {{ isSecure: boolean, isAsked: boolean }} page `isAsked`: the page wants the CPU
 */
export function slownessInWords(backend, gpu, { isSecure, isAsked }) {
  if (gpu === "software")
    return backend === "cpu"
      ? "This browser has only a software GPU, so the model runs on your CPU, which is slower."
      : "This browser has only a software GPU, which is slow.";
  if (gpu === "gpu" || isAsked) return "";
  const where = isSecure ? "" : " Browsers offer it only over https and on localhost.";
  return `No GPU available, so the small model runs on your CPU. Larger models need WebGPU.${where}`;
}

/** @param {import("../tokenformer.js").TokenFormerElement} writer */
export function showFirstView(writer) {
  let isOver = false;
  /** The number of the last request: only its answer counts. */
  let asked = 0;

  async function show() {
    const question = (asked += 1);
    const name = writer.getAttribute("model");
    /** @type {Pick<Availability, "state" | "downloadBytes" | "backend"> | null} */
    const found = await (name === null ? embedded(writer) : other(name)).catch(() => null);
    const gpu = await gpuHere();
    if (question !== asked || isOver) return;
    byId("cost").textContent = found ? costInWords(found, WASM_BYTES) : sourceInWords(name);
    showPlace(found?.backend ?? (gpu === "none" ? "cpu" : null), gpu);
  }

  /** @param {"webgpu" | "cpu" | null} backend @param {Gpu} gpu */
  function showPlace(backend, gpu) {
    byId("runs-on").textContent = placeInWords(backend);
    const isAsked = writer.getAttribute("backend") === "cpu";
    const text = slownessInWords(backend, gpu, { isSecure: isSecureContext, isAsked });
    byId("notice").textContent = text;
    byId("notice").hidden = text === "";
  }

  /** For a model of unknown size. @param {string | null} name */
  function sourceInWords(name) {
    if (name === null || isLocal(name)) return "";
    return `The first press downloads the model from ${describeModel(name, writer.getAttribute("endpoint")).host}.`;
  }

  // From the first load on, the status shows this instead.
  for (const type of ["progress", "load", "error"])
    writer.addEventListener(type, () => {
      isOver = true;
      byId("cost").textContent = "";
    });
  writer.addEventListener("load", async ({ detail: { info } }) => {
    const gpu = info.backend === "webgpu" ? gpuOf(info) : await gpuHere();
    if (writer.model?.info === info) showPlace(info.backend, gpu);
  });
  new MutationObserver(() => isOver || show()).observe(writer, {
    attributes: true,
    attributeFilter: [...LOADING_ATTRIBUTES],
  });
  show();
}

/** @param {ModelInfo} info @returns {Gpu} */
const gpuOf = ({ adapter }) => (isSoftware(adapter ?? {}) ? "software" : "gpu");

/** The page's own model: what the browser has stored of it, and the rest. @param {HTMLElement} writer */
function embedded(writer) {
  return TokenFormer.availability(
    undefined,
    readLoadAttributes((name) => writer.getAttribute(name)),
  );
}

/**
 * A model from elsewhere: no request to its host before the visitor confirms, since links choose models.
 * @param {string} name
 * @returns {Promise<Pick<Availability, "state" | "downloadBytes" | "backend"> | null>}
 */
async function other(name) {
  const known = OFFERED.find((model) => model.name === name);
  const wanted = resolveName(name).id;
  const stored = (await TokenFormer.models()).some(({ id, complete }) => id === wanted && complete);
  if (stored) return { state: "stored", downloadBytes: 0, backend: null };
  return known?.download ? { state: "downloadable", downloadBytes: known.download, backend: null } : null;
}
