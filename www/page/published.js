// The models that a visitor can choose from, with what they are and what they cost.

/** Sizes in bytes: `download` is what the hub holds (float32), `kept` what stays of it at q4. */
export const PUBLISHED = Object.freeze([
  {
    name: "Haiyang-W/TokenFormer-150M",
    label: "TokenFormer 150M",
    parameters: "152 million parameters",
    download: 608e6,
    kept: 105e6,
  },
  {
    name: "Haiyang-W/TokenFormer-450M",
    label: "TokenFormer 450M",
    parameters: "454 million parameters",
    download: 1.82e9,
    kept: 281e6,
  },
  {
    name: "Haiyang-W/TokenFormer-900M",
    label: "TokenFormer 900M",
    parameters: "903 million parameters",
    download: 3.61e9,
    kept: 540e6,
  },
  {
    name: "Haiyang-W/TokenFormer-1-5B",
    label: "TokenFormer 1.5B",
    parameters: "1.59 billion parameters",
    download: 6.35e9,
    kept: 931e6,
  },
]);

/** The one that comes with the page; the element's attribute is absent for it. */
export const EMBEDDED = Object.freeze({
  name: null,
  label: "Story books 38M",
  parameters: "38 million parameters, old story books",
  download: 31e6,
  kept: 31e6,
});

/** "31 MB", "1.82 GB". */
export function size(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  if (bytes < 9.995e8) return `${Math.round(bytes / 1e6)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
