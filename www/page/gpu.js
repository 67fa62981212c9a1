// Whether large models can run here, before one is downloaded.

import { isSoftware } from "../lib/engine/backend.js";

/** A GPU, a software renderer, or none. @typedef {"gpu" | "software" | "none"} Gpu */

/** @type {Promise<Gpu> | null} */
let asked = null;

/** What the browser offers; requested once, when first needed, since it takes a while. */
export function gpuHere() {
  asked ??= ask().catch(() => "none");
  return asked;
}

/** @returns {Promise<Gpu>} */
async function ask() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return "none";
  return isSoftware(adapter.info ?? {}) ? "software" : "gpu";
}

/** Whether the browser offers a GPU, possibly a software one. */
export async function hasGpu() {
  return (await gpuHere()) !== "none";
}
