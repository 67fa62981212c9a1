// The models that a visitor can choose from, with what they are and what they cost.

import { EMBEDDED as OWN } from "../lib/embedded.js";

/** What the CPU runs, where there is no GPU: as many parameters at most. */
const MOST_ON_CPU = 200e6;

/** Sizes in bytes: `download` is what the hub holds (float32), `kept` what stays of it at q4. `count`: of parameters. */
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

/** The one that comes with the page; the element's attribute is absent for it. */
export const EMBEDDED = Object.freeze({
  name: null,
  label: OWN.label,
  parameters: `${Math.round(OWN.parameters / 1e6)} million parameters, ${OWN.about}`,
  count: OWN.parameters,
  download: OWN.downloadBytes,
  kept: OWN.weightBytes,
  quantization: OWN.quantization,
});

/** Why a model of the list cannot run here; "" where it can. `hasGpu`: null while nobody knows. */
export function whyNot({ count }, hasGpu) {
  return hasGpu === false && count > MOST_ON_CPU ? "needs WebGPU, which is not available here" : "";
}

/** "31 MB", "1.82 GB". */
export function size(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  if (bytes < 9.995e8) return `${Math.round(bytes / 1e6)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
