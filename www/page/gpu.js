// Whether large models can run here, before anybody downloads one.

import { isSoftware } from "../lib/engine/backend.js";

/** A GPU, a program in the place of one, or nothing. @typedef {"gpu" | "software" | "none"} Gpu */

/** @type {Promise<Gpu> | null} */
let asked = null;

/** What the browser gives; asked for once, when somebody wants to know, since it takes a while. */
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

/** Whether the browser gives a GPU, be it a program. */
export async function hasGpu() {
  return (await gpuHere()) !== "none";
}
