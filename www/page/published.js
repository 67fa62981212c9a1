// The models that a visitor can choose from, with their description and cost.

import { EMBEDDED as OWN } from "../lib/embedded.js";

/**
 * A model in the list.
 * @typedef {object} Choice
 * @property {string | null} name the value of the element's attribute; null: the attribute is absent
 * @property {string} label
 * @property {string} parameters its size, in words
 * @property {number} [count] of parameters
 * @property {number} [download] bytes to download from the hub
 * @property {number} [kept] bytes stored at q4
 */

/** The largest model that the CPU runs if there is no GPU, in parameters. */
const MOST_ON_CPU = 200e6;

/** They are downloaded as float32. */
export const PUBLISHED = Object.freeze([
  {
    name: "Haiyang-W/TokenFormer-150M",
    label: "TokenFormer 150M",
    parameters: "152 million parameters",
    count: 152e6,
    download: 608e6,
    kept: 105e6,
  },
  {
    name: "Haiyang-W/TokenFormer-450M",
    label: "TokenFormer 450M",
    parameters: "454 million parameters",
    count: 454e6,
    download: 1.82e9,
    kept: 281e6,
  },
  {
    name: "Haiyang-W/TokenFormer-900M",
    label: "TokenFormer 900M",
    parameters: "903 million parameters",
    count: 903e6,
    download: 3.61e9,
    kept: 540e6,
  },
  {
    name: "Haiyang-W/TokenFormer-1-5B",
    label: "TokenFormer 1.5B",
    parameters: "1.59 billion parameters",
    count: 1.59e9,
    download: 6.35e9,
    kept: 931e6,
  },
]);

/**
 * Small copies of these, as scripts/publish-model makes them: repository and bytes to download, by the name of the checkpoint.
 * @type {Readonly<Record<string, { name: string, download: number }>>}
 */
const QUANTIZED = Object.freeze({});

/** The published models, each followed by its small copy if there is one. @param {readonly Choice[]} published @param {typeof QUANTIZED} quantized @returns {Choice[]} */
export function withQuantized(published, quantized) {
  return published.flatMap((model) => {
    const small = quantized[model.name ?? ""];
    return small ? [{ ...model, ...small, label: `${model.label}, 4-bit` }, model] : [model];
  });
}

/** The models offered. */
export const OFFERED = Object.freeze(withQuantized(PUBLISHED, QUANTIZED));

/** The model that comes with the page; the element's attribute is absent for it. */
export const EMBEDDED = Object.freeze({
  name: null,
  label: OWN.label,
  parameters: `${Math.round(OWN.parameters / 1e6)} million parameters, ${OWN.about}`,
  count: OWN.parameters,
  download: OWN.downloadBytes,
  kept: OWN.weightBytes,
  quantization: OWN.quantization,
});

/** Why a model of the list cannot run here; "" if it can. `hasGpu`: null while unknown. @param {Pick<Choice, "count">} model @param {boolean | null} hasGpu */
export function whyNot({ count = 0 }, hasGpu) {
  return hasGpu === false && count > MOST_ON_CPU ? "needs WebGPU, which is not available here" : "";
}

/** "31 MB", "1.82 GB". @param {number} bytes */
export function size(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  if (bytes < 9.995e8) return `${Math.round(bytes / 1e6)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
