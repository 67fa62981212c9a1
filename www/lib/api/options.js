// The single table of options: the API checks against it, the element reads its attributes by it. The options of
// `generate`, which Rust also needs, are in generate-options.js, and those of `train` in train-options.js.

import { invalidArgument } from "../errors.js";
import { ROWS } from "./generate-options.js";
import { DEFAULT_ENDPOINT } from "./names.js";
import { checkOptions, complete, STRENGTH } from "./option-checks.js";
import { KINDS } from "./pack-file.js";
import { ROWS as TRAIN_ROWS } from "./train-options.js";

export { checkOptions, complete, MOST_PACKS, rangeInWords } from "./option-checks.js";

/** @typedef {import("./option-checks.js").Option} Option */
/** @typedef {import("./option-checks.js").Table} Table */
/** @typedef {import("../../tokenformer.js").LoadOptions} LoadOptions */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */
/** @typedef {LoadOptions & Required<Pick<LoadOptions, "revision" | "endpoint" | "cache" | "backend" | "packs">>} CheckedLoadOptions */
/** @typedef {import("../../tokenformer.js").BenchmarkOptions} BenchmarkOptions */
/** @typedef {Required<Omit<BenchmarkOptions, "onProgress">> & Pick<BenchmarkOptions, "onProgress">} CheckedBenchmarkOptions */
/** @typedef {import("../../tokenformer.js").TrainOptions} TrainOptions */
/** @typedef {TrainOptions & Required<Omit<TrainOptions, "epochs" | "steps" | "seed" | "pack" | "name" | "signal" | "onProgress" | "onEpoch">>} CheckedTrainOptions */
/** @typedef {GenerateOptions & Required<Omit<GenerateOptions, "seed" | "signal">>} CheckedGenerateOptions */
/** @typedef {CheckedGenerateOptions & { n: number, signals: (AbortSignal | null | undefined)[] }} CheckedAlternativesOptions */

// Git's rules for the names of branches and tags, and nothing that has a meaning in a URL.
const REVISION = /^(?!.*\.\.)[^\u0000-\u0020\u007f~^:?*#%[\\]+$/u;
// What an HTTP header can contain.
const TOKEN = /^[\u0021-\u007e]+$/;

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const LOAD_OPTIONS = Object.freeze({
  revision: {
    type: "string",
    default: "main",
    pattern: REVISION,
    shape: "a branch, tag or commit",
    about: "branch, tag or commit of a hub repository",
  },
  endpoint: { type: "url", default: DEFAULT_ENDPOINT, about: "address of the hub" },
  token: {
    type: "string",
    default: undefined,
    pattern: TOKEN,
    shape: "an access token",
    about: "access token, sent to the endpoint only",
  },
  quantization: {
    type: "enum",
    values: ["q4", "q8", "f16"],
    default: undefined,
    about: "precision of the weights; by default the folder's, or q4 for a full-precision checkpoint",
  },
  config: {
    type: "shape",
    default: undefined,
    about: "the model's shape, in the fields of config.json, where the folder has none; for this load only",
  },
  contextLength: {
    type: "integer",
    min: 1,
    max: 2 ** 20,
    default: undefined,
    about: "tokens of context; by default 2048, or what the model was trained for if that is less",
  },
  cache: { type: "boolean", default: true, about: "keep downloaded models in the browser's storage" },
  backend: {
    type: "enum",
    values: ["auto", "webgpu", "cpu"],
    default: "auto",
    about: 'where the model runs; "auto" runs small models on the CPU where WebGPU is missing or slower',
  },
  packs: {
    type: "packs",
    default: Object.freeze([]),
    about: "token packs to add: what `addPack` takes, or objects `{ pack, strength }`",
  },
  signal: { type: "signal", default: undefined, about: "aborts loading" },
  onProgress: { type: "function", default: undefined, about: "called as loading proceeds" },
});

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const GENERATE_OPTIONS = complete(ROWS);

/** What `alternatives` accepts in addition. @type {Readonly<Record<string, Readonly<Option>>>} */
export const ALTERNATIVES_OPTIONS = Object.freeze({
  n: {
    type: "integer",
    min: 1,
    max: 128,
    default: 1,
    about: "how many texts to write; each takes the next seed",
  },
  signals: { type: "signals", default: undefined, about: "each ends only the text with its index; at most `n`" },
});

/** @type {Readonly<Option>} */
const packName = {
  type: "string",
  default: undefined,
  pattern: /^(?=.*\S).{1,120}$/su,
  shape: "a name of 1 to 120 characters",
  about: "the pack's name; by default what its file says or is called",
};

/** What `addPack` takes. @type {Readonly<Record<string, Readonly<Option>>>} */
export const PACK_OPTIONS = Object.freeze({ strength: STRENGTH, name: packName });

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const TRAIN_OPTIONS = Object.freeze({
  ...complete(TRAIN_ROWS),
  pack: { type: "pack", default: undefined, about: "a pack to continue training; it decides `tokens` and `kinds`" },
  name: { ...packName, about: "the pack's name; by default that of `pack`, or an unused one" },
  signal: { type: "signal", default: undefined, about: "ends training; the pack holds what was learned so far" },
  onProgress: { type: "function", default: undefined, about: "called as training proceeds" },
  onEpoch: {
    type: "function",
    default: undefined,
    about: "called after each epoch with the pack so far; training waits for it",
  },
});

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const BENCHMARK_OPTIONS = Object.freeze({
  promptTokens: { type: "integer", min: 1, max: 2 ** 20, default: 512, about: "tokens of the prompt" },
  maxTokens: { type: "integer", min: 2, max: 2 ** 20, default: 129, about: "tokens to write" },
  runs: { type: "integer", min: 1, max: 1000, default: 5, about: "measured runs, after one that is not" },
  temperature: { type: "number", min: 0, default: 0, about: "0 is greedy" },
  topP: { type: "number", min: 0, aboveMin: true, max: 1, default: 1, about: "as for generate" },
  onProgress: { type: "function", default: undefined, about: "called after every run" },
});

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const RANDOM_OPTIONS = Object.freeze({
  quantization: { ...LOAD_OPTIONS.quantization, default: "q4" },
  contextLength: LOAD_OPTIONS.contextLength,
  subgroups: { type: "boolean", default: true, about: "kernels may use subgroups" },
  f16: { type: "boolean", default: true, about: "kernels may compute in half precision" },
  workgroups: {
    type: "integer",
    min: 0,
    max: 65_535,
    default: undefined,
    about: "workgroups that make a step together",
  },
  threads: { type: "integer", min: 1, max: 1024, default: undefined, about: "threads of each of them" },
  arithmetic: { type: "enum", values: ["f32", "f16", "int8"], default: undefined, about: "what they multiply" },
});

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const DELETE_OPTIONS = Object.freeze({
  revision: {
    type: "string",
    default: undefined,
    pattern: REVISION,
    shape: "a branch, tag or commit",
    about: "branch, tag or commit; left out, all",
  },
  quantization: { type: "enum", values: ["q4", "q8", "f16"], default: undefined, about: "precision; left out, all" },
});

/** Options of `TokenFormer.load`, checked and complete. Throws `invalid-argument`. @param {unknown} [options] */
export function checkLoadOptions(options) {
  return /** @type {CheckedLoadOptions} */ (/** @type {unknown} */ (checkOptions(LOAD_OPTIONS, options)));
}

/** A revision from an address, checked like the option. Throws `invalid-argument`. @param {unknown} revision */
export function checkRevision(revision) {
  return /** @type {string} */ (checkOptions({ revision: LOAD_OPTIONS.revision }, { revision }).revision);
}

/** Options of `generate` and `complete`, checked and complete. Throws `invalid-argument`. @param {unknown} [options] */
export function checkGenerateOptions(options) {
  return /** @type {CheckedGenerateOptions} */ (/** @type {unknown} */ (checkOptions(GENERATE_OPTIONS, options)));
}

/** Options of `alternatives`, checked and complete. Throws `invalid-argument`. @param {unknown} [options] */
export function checkAlternativesOptions(options) {
  const table = { ...ALTERNATIVES_OPTIONS, ...GENERATE_OPTIONS };
  const { signals = [], ...checked } = /** @type {Partial<CheckedAlternativesOptions>} */ (
    checkOptions(table, options)
  );
  const { n } = /** @type {CheckedAlternativesOptions} */ (checked);
  if (signals.length > n)
    throw invalidArgument(
      `signals has ${signals.length} elements, but n is ${n}.`,
      "Give each text at most one, at its own index; `signal` ends all.",
    );
  return /** @type {CheckedAlternativesOptions} */ ({ ...checked, signals });
}

/**
 * Options of `benchmark`, checked and complete. Throws `invalid-argument`.
 * @param {unknown} [options]
 * @returns {CheckedBenchmarkOptions}
 */
export function checkBenchmarkOptions(options) {
  return /** @type {ReturnType<typeof checkBenchmarkOptions>} */ (
    /** @type {unknown} */ (checkOptions(BENCHMARK_OPTIONS, options))
  );
}

/**
 * Options of `TokenFormer.random`, checked and complete. Throws `invalid-argument`.
 * @param {unknown} [options]
 * @returns {import("../../tokenformer.js").RandomOptions}
 */
export function checkRandomOptions(options) {
  return checkOptions(RANDOM_OPTIONS, options);
}

/**
 * Options of `TokenFormer.delete`, checked and complete. Throws `invalid-argument`.
 * @param {unknown} [options]
 * @returns {import("../../tokenformer.js").DeleteOptions}
 */
export function checkDeleteOptions(options) {
  return checkOptions(DELETE_OPTIONS, options);
}

/** Options of `addPack`, checked. Throws `invalid-argument`. @param {unknown} [options] @returns {import("../../tokenformer.js").PackOptions} */
export function checkPackOptions(options) {
  return checkOptions(PACK_OPTIONS, options);
}

/** The strength passed to `setPack`. Throws `invalid-argument`. @param {unknown} options @returns {number} */
export function checkStrength(options) {
  const checked = checkOptions({ strength: STRENGTH }, options);
  if (checked.strength === undefined)
    throw invalidArgument("setPack needs a strength.", "Write: await model.setPack(name, { strength: 0.5 }).");
  return /** @type {number} */ (checked.strength);
}

/** Options of `train`, checked. Throws `invalid-argument`. @param {unknown} [options] @returns {CheckedTrainOptions} */
export function checkTrainOptions(options) {
  const checked = /** @type {CheckedTrainOptions} */ (/** @type {unknown} */ (checkOptions(TRAIN_OPTIONS, options)));
  if (checked.epochs !== undefined && checked.steps !== undefined)
    throw invalidArgument("epochs and steps cannot be given together.", "Leave one of them out.");
  const { kinds } = checked;
  const unknown = kinds.find((kind) => !KINDS.some((known) => known === kind));
  if (unknown !== undefined || kinds.length === 0)
    throw invalidArgument(
      unknown === undefined ? "kinds is empty." : `kinds: there is no ${JSON.stringify(unknown)}.`,
      `Give some of ${KINDS.join(", ")}, or leave it out.`,
    );
  return checked;
}
