// What is measured of each model, and what the address of bench.html says of it:
//
// runs, promptTokens, maxTokens; long=1 and prefill=1 add a long context and the prefill of 1,024 tokens; several=4,8 that many
// texts at once, and samplers=1 each sampler alone; train=30 trains a token pack for 30 steps, and writes with it
// (packTokens=16); kernels=decode,prefill:1024,several:8 adds the GPU's time per kernel; probe=1 what the browser allows at
// best, the default for shapes on a GPU (probe=0: off); check=FOLDER,FOLDER compares logits with the CPU reference's.
//
// For shapes only: subgroups=0 and f16=0 disable these features; workgroups=128&threads=256&arithmetic=int8
// (f16, f32) says how decode steps are made, workgroups=0 with a dispatch per product; without it, that is tuned.

import { TokenFormer } from "../../tokenformer.js";
import { isLocalFolder } from "../../lib/api/names.js";
import { progressInWords, progressShare, rate } from "../../lib/element/status.js";
import { toTokenFormerError } from "../../lib/errors.js";
import { gpuHere } from "../gpu.js";
import { ownAddress } from "./address.js";
import { checkLogits } from "./check.js";
import { measurePacks } from "./packs.js";
import { probe, shareOfFloor } from "./probe.js";
import { modelLabel, shapeInWords } from "./target.js";
import { measureSampler, measureSeveral, SAMPLERS } from "./texts.js";

/** @typedef {import("../../tokenformer.js").BenchmarkOptions} BenchmarkOptions */
/** @typedef {import("../../tokenformer.js").RandomOptions} RandomOptions */
/** @typedef {import("../../lib/errors.js").TokenFormerError} TokenFormerError */
/** @typedef {import("./line.js").Measured} Measured */
/** @typedef {import("./probe.js").Probed} Probed */
/** @typedef {import("./target.js").Target} Target */
/** What is reported of a case, or why there is nothing to report. @typedef {{ error?: string, [field: string]: unknown }} Told */

/**
 * Receives progress and results.
 * @typedef {object} Listener
 * @property {AbortSignal} signal stops it
 * @property {(words: string, share?: number) => void} say what is happening, and how much of it is done
 * @property {(tokensPerSecond: number) => void} onRate the rate of greedy decoding so far
 * @property {(measured: Measured) => void} onMeasured that rate, once it is final
 * @property {(label: string, error: TokenFormerError) => void} onError
 * @property {(result: Told) => void} add a result
 * @property {(value: object) => void} show further fields of the report
 */

/** A model to measure: its name in results, its displayed name, and the function that loads it. @typedef {{ name: string, label: string, make: () => Promise<TokenFormer> }} Begun */

/** Measures everything of a target; failures are reported to `listener`. @param {Target} target @param {URLSearchParams} query @param {Listener} listener */
export async function measure(target, query, listener) {
  const { signal, say, show, add, onError } = listener;
  const probed = (await wantsProbe(target, query)) ? await probeFor(listener) : undefined;
  if (probed) show({ probe: probed });
  for (const begun of beginnings(target, query, listener)) {
    if (signal.aborted) return;
    try {
      await measureOne(begun, probed, query, listener);
    } catch (error) {
      if (signal.aborted) return;
      const known = toTokenFormerError(error);
      const { code, message, cause } = known;
      add({ model: begun.name, error: `${code}: ${message} ${cause ?? ""}` });
      onError(begun.label, known);
    }
  }
  for (const folder of listed(query, "check")) {
    say(`Checking ${folder}.`);
    /** @type {() => Promise<Told>} */
    const check = async () => checkLogits(ownAddress(folder));
    add({ kind: "check", ...(await check().catch((error) => ({ folder, error: String(error) }))) });
  }
}

/** The parts of a list in the query. @param {URLSearchParams} query @param {string} name */
function listed(query, name) {
  return (query.get(name) ?? "").split(",").filter(Boolean);
}

/** Whether to probe: on a software GPU it would take minutes, and a real model is measured without it. @param {Target} target @param {URLSearchParams} query */
async function wantsProbe({ kind }, query) {
  const wish = query.get("probe");
  return wish === null ? kind === "shapes" && (await gpuHere()) === "gpu" : wish !== "0";
}

/** @param {Listener} listener */
async function probeFor({ say, add, onError }) {
  say("Measuring what this browser allows at best.");
  try {
    return await probe();
  } catch (error) {
    const known = toTokenFormerError(error);
    add({ kind: "probe", error: `${known.code}: ${known.message}` });
    onError("What the browser allows", known);
    return undefined;
  }
}

/** @param {Target} target @param {URLSearchParams} query @param {Listener} listener @returns {Begun[]} */
function beginnings(target, query, { signal, say }) {
  if (target.kind === "model") {
    const { name, options } = target;
    const label = modelLabel(name);
    /** @param {import("../../tokenformer.js").LoadProgress} progress */
    const onProgress = (progress) =>
      say(
        `Loading ${label}. ${progressInWords(progress, isLocalFolder(name ?? undefined))}`,
        progressShare(progress) ?? undefined,
      );
    const make = () => TokenFormer.load(name ?? undefined, { ...options, signal, onProgress });
    return [{ name: name ?? "", label, make }];
  }
  const number = (/** @type {string} */ name) => (query.has(name) ? Number(query.get(name)) : undefined);
  return target.names.map((name) => ({
    name,
    label: shapeInWords(name),
    make() {
      say(`${name}: making random weights.`);
      return TokenFormer.random(`Haiyang-W/TokenFormer-${name}`, {
        quantization: /** @type {RandomOptions["quantization"]} */ (target.quantization),
        subgroups: query.get("subgroups") !== "0",
        f16: query.get("f16") !== "0",
        workgroups: number("workgroups"),
        threads: number("threads"),
        arithmetic: /** @type {RandomOptions["arithmetic"]} */ (query.get("arithmetic") ?? undefined),
      });
    },
  }));
}

/** @param {Begun} begun @param {Probed | undefined} probed @param {URLSearchParams} query @param {Listener} listener */
async function measureOne({ name, label, make }, probed, query, listener) {
  const { signal, say, show, onMeasured } = listener;
  const model = await make();
  const end = () => model.dispose().catch(() => {}); // what it was doing says why it ended
  signal.addEventListener("abort", end);
  try {
    signal.throwIfAborted();
    const isOnCpu = model.info.backend === "cpu";
    const number = (/** @type {string} */ name, fallback = 0) => Number(query.get(name) ?? fallback);
    const base = {
      runs: number("runs", isOnCpu ? 3 : 5),
      promptTokens: number("promptTokens", 512),
      maxTokens: number("maxTokens", 129),
    };
    const called = name || model.info.id;
    const add = (/** @type {Told} */ result) => listener.add({ model: called, ...result });
    for (const [kind, options] of Object.entries(casesOf(base, query, isOnCpu))) {
      const words = `${label}${kind === "greedy" ? "" : ` (${kind})`}`;
      say(`${words}: warming up.`, 0);
      const result = await model.benchmark({ ...options, onProgress: follow(words, kind) });
      const { median } = result.decodeTokensPerSecond;
      const share = kind === "prefill" || !probed ? undefined : shareOfFloor(probed, result, median);
      const bandwidthUsed = probed && (result.bytesPerToken * median) / probed.bytesPerSecond;
      const { adapter, backend, quantization, variants, gpuBytes, thread } = model.info;
      show({ adapter, thread });
      add({ kind, quantization, backend, variants, gpuBytes, shareOfFloor: share, bandwidthUsed, ...result });
      if (kind === "greedy") onMeasured({ label, info: model.info, tokensPerSecond: median });
    }
    await measureMore(model, base, query, { say: (what) => say(`${label}: ${what}`), add });
  } finally {
    signal.removeEventListener("abort", end);
    await end();
  }

  /** @param {string} words @param {string} kind @returns {BenchmarkOptions["onProgress"]} */
  function follow(words, kind) {
    return ({ run, runs, decodeTokensPerSecond }) => {
      const next = run < runs ? `run ${run + 1} of ${runs}, ` : "";
      say(`${words}: ${next}${rate(decodeTokensPerSecond)} tokens/s so far.`, (run + 1) / (runs + 1));
      if (kind === "greedy") listener.onRate(decodeTokensPerSecond);
    };
  }
}

/** The benchmarks of a model, by their names in results. On a CPU each takes long, and sampling is free there. @param {Required<Pick<BenchmarkOptions, "runs" | "promptTokens" | "maxTokens">>} base @param {URLSearchParams} query @param {boolean} isOnCpu */
function casesOf(base, query, isOnCpu) {
  /** @type {Record<string, BenchmarkOptions>} */
  const cases = { greedy: base };
  if (!isOnCpu) cases.sampled = { ...base, temperature: 0.8, topP: 0.95 };
  if (query.has("long")) cases.long = { ...base, promptTokens: 1900, runs: 3 };
  if (query.has("prefill")) cases.prefill = { ...base, promptTokens: 1024, maxTokens: 2 };
  return cases;
}

/**
 * What `benchmark()` does not measure.
 * @param {TokenFormer} model
 * @param {Required<Pick<BenchmarkOptions, "runs" | "promptTokens" | "maxTokens">>} base
 * @param {URLSearchParams} query
 * @param {{ say: (what: string) => void, add: (result: Told) => void }} listener
 */
async function measureMore(model, base, query, { say, add }) {
  for (const n of listed(query, "several")) {
    say(`measuring ${n} texts at once.`);
    add({ kind: `${n} at once`, ...(await measureSeveral(model, { ...base, n: Number(n) })) });
  }
  if (query.has("samplers"))
    for (const [kind, options] of Object.entries(SAMPLERS)) {
      say(`measuring ${kind}.`);
      add({ kind, ...(await measureSampler(model, { ...base, options })) });
    }
  if (query.has("train")) {
    say("training a token pack.");
    const [steps, tokens] = [Number(query.get("train")), Number(query.get("packTokens") ?? 16)];
    add({ kind: "token pack", ...(await measurePacks(model, { steps, tokens, benchmark: base })) });
  }
  for (const timed of listed(query, "kernels")) {
    say(`timing the kernels of ${timed}.`);
    const [step, count] = timed.split(":");
    add({ kind: `kernels of ${timed}`, kernels: await model.kernelTimes(timedOf(step, Number(count))) });
  }
}

/** @param {string} step @param {number} count */
function timedOf(step, count) {
  if (step === "prefill") return { prefill: count };
  return step === "several" ? { several: count } : "decode";
}
