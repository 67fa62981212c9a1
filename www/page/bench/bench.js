// The page that measures: the published shapes with random weights, made here.
//
// bench.html?models=150M,450M&run=1&report=/result starts at once and posts its JSON to that address. subgroups=0 does
// without that feature, and f16=0; workgroups=128&threads=256&arithmetic=int8 (f16, f32) says how decode steps are made,
// workgroups=0 by a dispatch per product, and without it that is tuned; probe=0 leaves out what bounds it, which takes a
// minute on a CPU; several=4,8 adds so many texts at once, and samplers=1 each sampler alone;
// train=30 trains a token pack in so many steps, and writes with it (packTokens=16);
// kernels=decode,prefill:1024,several:8 adds the GPU's time per kernel; check=FOLDER,FOLDER compares logits with the CPU
// reference's. Addresses are of the page's own origin.

import { byId } from "../elements.js";
import { ownAddress } from "./address.js";
import { checkLogits } from "./check.js";
import { askForControl } from "../offline.js";
import { probe, shareOfFloor } from "./probe.js";
import { measurePacks } from "./packs.js";
import { measureSampler, measureSeveral, SAMPLERS } from "./texts.js";
import { TokenFormer } from "../../tokenformer.js";

/** @typedef {import("../../tokenformer.js").TokenFormerError} TokenFormerError */
/** @typedef {import("../../tokenformer.js").BenchmarkOptions} BenchmarkOptions */
/** @typedef {import("../../tokenformer.js").RandomOptions} RandomOptions */
/** What is told of a case, or why there is nothing to tell. @typedef {{ error?: string, [field: string]: unknown }} Told */

document.querySelector(".unstarted")?.remove();
askForControl();
const query = new URLSearchParams(location.search);
const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const output = byId("output");
const button = byId("run", HTMLButtonElement);
/** @type {Told[]} */
const results = [];
const told = { browser: navigator.userAgent };

/** Runs everything; whatever happens, it can be run again, and says what it does meanwhile. */
async function run() {
  button.disabled = true;
  results.length = 0;
  try {
    await measure();
    say(results.some(({ error }) => !error) ? "Done." : `Nothing could be measured. ${results[0]?.error ?? ""}`);
  } catch (error) {
    const { code = "failed", message = String(error) } = /** @type {Partial<TokenFormerError>} */ (error ?? {});
    const isGpu = code === "webgpu-unavailable";
    const hint = isGpu
      ? " This page measures the GPU: open it in a browser with WebGPU and hardware acceleration."
      : "";
    say(`${message}${hint}`);
    results.push({ error: `${code}: ${message}` });
    show({ results });
  }
  button.disabled = false;
  if (query.has("report")) await post("report", output.textContent);
}

async function measure() {
  const number = (/** @type {string} */ name, fallback = 0) => Number(query.get(name) ?? fallback);
  if (query.get("probe") !== "0") say("Measuring what this browser allows. On a software GPU this takes minutes.");
  const probed = query.get("probe") === "0" ? undefined : await probe();
  const names = (query.get("models") ?? byId("models", HTMLInputElement).value).split(",");
  for (const name of names) {
    try {
      say(`${name}: making random weights.`);
      const model = await TokenFormer.random(`Haiyang-W/TokenFormer-${name}`, {
        quantization: /** @type {RandomOptions["quantization"]} */ (query.get("quantization") ?? "q4"),
        subgroups: query.get("subgroups") !== "0",
        f16: query.get("f16") !== "0",
        workgroups: query.has("workgroups") ? number("workgroups") : undefined,
        threads: query.has("threads") ? number("threads") : undefined,
        arithmetic: /** @type {RandomOptions["arithmetic"]} */ (query.get("arithmetic") ?? undefined),
      });
      const base = {
        runs: number("runs", 5),
        promptTokens: number("promptTokens", 512),
        maxTokens: number("maxTokens", 129),
      };
      /** @type {Record<string, BenchmarkOptions>} */
      const cases = { greedy: base, sampled: { ...base, temperature: 0.8, topP: 0.95 } };
      if (query.has("long")) cases.long = { ...base, promptTokens: 1900, runs: 3 };
      if (query.has("prefill")) cases.prefill = { ...base, promptTokens: 1024, maxTokens: 2 };
      for (const [kind, options] of Object.entries(cases)) {
        say(`${name}: measuring (${kind}).`);
        const result = await model.benchmark(options);
        const { median } = result.decodeTokensPerSecond;
        const share = kind === "prefill" || !probed ? undefined : shareOfFloor(probed, result, median);
        const bandwidthUsed = probed && (result.bytesPerToken * median) / probed.bytesPerSecond;
        const { adapter, variants, gpuBytes, thread } = model.info;
        results.push({ model: name, kind, variants, gpuBytes, shareOfFloor: share, bandwidthUsed, ...result });
        show({ adapter, thread, probe: probed, results });
      }
      for (const n of (query.get("several") ?? "").split(",").filter(Boolean)) {
        say(`${name}: measuring ${n} texts at once.`);
        results.push({
          model: name,
          kind: `${n} at once`,
          ...(await measureSeveral(model, { ...base, n: Number(n) })),
        });
        show({ results });
      }
      if (query.has("samplers"))
        for (const [kind, options] of Object.entries(SAMPLERS)) {
          say(`${name}: measuring ${kind}.`);
          results.push({ model: name, kind, ...(await measureSampler(model, { ...base, options })) });
          show({ results });
        }
      if (query.has("train")) {
        say(`${name}: training a token pack.`);
        const options = { steps: number("train", 30), tokens: number("packTokens", 16), benchmark: base };
        results.push({ model: name, kind: "token pack", ...(await measurePacks(model, options)) });
        show({ results });
      }
      for (const timed of (query.get("kernels") ?? "").split(",").filter(Boolean)) {
        const [step, count] = timed.split(":");
        const kernels = await model.kernelTimes(timedOf(step, Number(count)));
        results.push({ model: name, kind: `kernels of ${timed}`, kernels });
        show({ results });
      }
      await model.dispose();
    } catch (error) {
      const { code, message, cause } = /** @type {TokenFormerError} */ (error);
      results.push({ model: name, error: `${code}: ${message} ${cause ?? ""}` });
      show({ results });
    }
  }
  for (const folder of query.get("check")?.split(",") ?? []) {
    /** @type {() => Promise<Told>} */
    const check = async () => checkLogits(ownAddress(folder));
    results.push({ kind: "check", ...(await check().catch((error) => ({ folder, error: String(error) }))) });
  }
  show({ probe: probed, results });
}

/** @param {string} step @param {number} count */
function timedOf(step, count) {
  if (step === "prefill") return { prefill: count };
  return step === "several" ? { several: count } : "decode";
}

/** @param {string} text */
function say(text) {
  byId("status").textContent = text;
}

/** @param {object} value what is told besides */
function show(value) {
  Object.assign(told, value);
  output.textContent = JSON.stringify(told, null, 1);
  if (query.has("log")) post("log", JSON.stringify(results.at(-1)));
}

/** To the address that the query has under this name. @param {"report" | "log"} name @param {string | null} body */
function post(name, body) {
  return fetch(ownAddress(query.get(name) ?? ""), { method: "POST", body });
}

main.hidden = query.has("report");
button.addEventListener("click", run);
try {
  for (const address of [query.get("report"), query.get("log")]) if (address !== null) ownAddress(address);
  if (query.has("run")) run();
} catch (error) {
  main.hidden = false;
  button.disabled = true;
  output.textContent = String(error);
}
