// A result as a line to copy: device, browser, model, precision, where it ran, rate, and the page with the same
// query. BENCHMARKS.md has a table of such lines.

import { adapterInWords, rate } from "../../lib/element/status.js";

/** @typedef {import("../../tokenformer.js").ModelInfo} ModelInfo */
/** How a browser describes itself. @typedef {{ userAgent: string, hardwareConcurrency?: number }} Browser */
/** A measured model. @typedef {{ label: string, info: Pick<ModelInfo, "adapter" | "backend" | "quantization">, tokensPerSecond: number }} Measured */

/** Names in user agents: the first match counts, since each browser also names its predecessors. @type {[RegExp, string][]} */
const BROWSERS = [
  [/\bEdgA?\/(\d+)/, "Edge"],
  [/\bOPR\/(\d+)/, "Opera"],
  [/\bSamsungBrowser\/(\d+)/, "Samsung Internet"],
  [/\b(?:Firefox|FxiOS)\/(\d+)/, "Firefox"],
  [/\b(?:Headless)?(?:Chrome|CriOS)\/(\d+)/, "Chrome"],
  [/\bVersion\/(\d+)[\d.]* .*Safari\//, "Safari"],
];
/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/\bAndroid\b/, "Android"],
  [/\b(?:iPhone|iPad|iPod)\b/, "iOS"],
  [/\bWindows\b/, "Windows"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bMac OS X\b/, "macOS"],
  [/\bLinux\b/, "Linux"],
];

/** "Chrome 148 on Windows". @param {string} userAgent */
export function browserInWords(userAgent) {
  const [browser, system] = [BROWSERS, SYSTEMS].map((names) => names.find(([pattern]) => pattern.test(userAgent)));
  const version = browser && browser[0].exec(userAgent)?.[1];
  return `${browser ? `${browser[1]} ${version}` : "another browser"}${system ? ` on ${system[1]}` : ""}`;
}

/** The GPU as the browser names it, or the number of CPU cores. @param {Measured["info"]} info @param {Browser} browser */
export function deviceInWords({ backend, adapter }, { hardwareConcurrency }) {
  if (backend === "webgpu") return adapterInWords(adapter) || "GPU without a name";
  return hardwareConcurrency ? `CPU with ${hardwareConcurrency} threads` : "CPU";
}

/** Where it ran. @param {Measured["info"]} info */
export function backendInWords({ backend }) {
  return backend === "webgpu" ? "WebGPU" : "CPU";
}

/**
 * "nvidia hopper · Chrome 156 on Linux · Stories 46M · q4 · WebGPU · 3,010 tokens/s · https://…". No part has a dot of
 * that kind or a table's vertical bar in it: names of models and GPUs come from elsewhere.
 * @param {Measured} measured
 * @param {Browser} browser
 * @param {string} address
 */
export function resultLine({ label, info, tokensPerSecond }, browser, address) {
  const parts = [
    deviceInWords(info, browser),
    browserInWords(browser.userAgent),
    label,
    info.quantization,
    backendInWords(info),
    `${rate(tokensPerSecond)} tokens/s`,
    address,
  ];
  return parts.map((part) => part.replace(/[|·\p{C}\s]+/gu, " ").trim()).join(" · ");
}
