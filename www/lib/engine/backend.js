// Where a model would run: the decision of src/load/devices.rs, without the engine. Whether a GPU is slower than the CPU
// only shows once the model is loaded.

import { TokenFormerError } from "../errors.js";
import { inTime } from "../in-time.js";
import { setting, SOFTWARE_GPU } from "./engines.js";

/** As in src/cpu/limits.rs: models that keep up with a reader without a GPU. */
export const MOST_PARAMETERS = 200_000_000;
export const MOST_BYTES = 2 ** 30;

/** How long a browser may take to find a GPU. */
const ADAPTER_MS = 20_000;
/** Software renderers that browsers and systems offer as a GPU, as in src/gpu/device.rs. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render|warp/i;

/**
 * What is known about a model.
 * @typedef {object} Shape
 * @property {number | null} parameters
 * @property {number} [layers]
 * @property {number} [width] its hidden size
 * @property {number} [vocabulary]
 * @property {number} [contextLength]
 * @property {string} quantization
 */

/**
 * Where a model would run; throws the reason if it cannot run.
 * @param {string} wanted the option `backend`
 * @param {Shape} shape
 * @returns {Promise<"webgpu" | "cpu">}
 */
export async function backendFor(wanted, shape) {
  if (wanted === "cpu") return onCpu(shape, "", "Leave backend out, in a browser with WebGPU");
  const adapter = await findAdapter();
  const none = "No WebGPU adapter was found.";
  if (!adapter) {
    if (wanted === "webgpu") throw new TokenFormerError("webgpu-unavailable", none);
    return onCpu(shape, `${none} `, "Use a browser with WebGPU, over https or on localhost");
  }
  // The CPU engine is preferred to a software GPU.
  const mayGiveWay = wanted === "auto" && !setting(SOFTWARE_GPU);
  return mayGiveWay && isSoftware(adapter.info ?? {}) && whyNotOnCpu(shape) === null ? "cpu" : "webgpu";
}

/** @param {Shape} shape @param {string} why @param {string} remedy @returns {"cpu"} */
function onCpu(shape, why, remedy) {
  const reason = whyNotOnCpu(shape);
  if (reason === null) return "cpu";
  const { code, message } = reason;
  throw new TokenFormerError(code, `${why}${message}`, { hint: `${remedy}; or load a smaller model.` });
}

/** @param {Shape} shape */
function whyNotOnCpu({ parameters, layers, width, vocabulary, contextLength, quantization }) {
  if (parameters === null) return null;
  const millions = (/** @type {number} */ n) => Math.floor(n / 1e6);
  if (parameters > MOST_PARAMETERS)
    return {
      code: "webgpu-unavailable",
      message: `This model needs WebGPU: it has ${millions(parameters)} million parameters, and the CPU runs ${millions(MOST_PARAMETERS)}.`,
    };
  if (!layers || !width || !vocabulary || !contextLength) return null;
  // Groups of 32 numbers have a 16-bit scale; q4 has an 8-bit embedding.
  const perNumber = { q4: 0.5625, q8: 1.0625, f16: 2 }[quantization] ?? 2;
  const embedding = vocabulary * width;
  const weights = (parameters - embedding) * perNumber + embedding * Math.max(perNumber, 1.0625);
  const bytes = weights + 4 * contextLength * width * layers;
  if (bytes <= MOST_BYTES) return null;
  return {
    code: "out-of-memory",
    message: `The model needs ${millions(bytes)} MB with a context of ${contextLength} tokens, and gets ${millions(MOST_BYTES)} MB on the CPU.`,
  };
}

/** The fastest adapter; null if there is none, or the browser does not answer. */
async function findAdapter() {
  try {
    const asked = globalThis.navigator?.gpu?.requestAdapter({ powerPreference: "high-performance" });
    return (await inTime(asked, ADAPTER_MS)) ?? null;
  } catch {
    return null;
  }
}

/** Whether an adapter is a software renderer, by the information about it. @param {Partial<GPUAdapterInfo>} info */
export function isSoftware({ isFallbackAdapter, architecture, device, description }) {
  return isFallbackAdapter === true || [architecture, device, description].some((name) => SOFTWARE.test(name ?? ""));
}
