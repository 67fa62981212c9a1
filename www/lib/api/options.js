// The one table of options: the API checks against it, the element reads its attributes by it. Those of `generate`, which
// Rust has to know as well, stand in generate-options.js, and those of `train` in train-options.js.

import { invalidArgument } from "../errors.js";
import { ROWS } from "./generate-options.js";
import { checkText, isPlainObject, typeName } from "./inputs.js";
import { DEFAULT_ENDPOINT, normalizeEndpoint } from "./names.js";
import { KINDS } from "./pack-file.js";
import { packReader } from "./pack-sources.js";
import { ROWS as TRAIN_ROWS } from "./train-options.js";

/**
 * A row of the table.
 * @typedef {object} Option
 * @property {"string"|"url"|"enum"|"integer"|"number"|"boolean"|"shape"|"texts"|"biases"|"object"|"pack"|"packs"|"signal"|"signals"|"function"} type
 * @property {unknown} [default] undefined: described in `about`
 * @property {string} [about] one line for people
 * @property {readonly unknown[]} [values] of an enum
 * @property {number} [min] smallest number, itself allowed unless `aboveMin`
 * @property {number} [max] largest number, itself allowed unless `belowMax`
 * @property {boolean} [aboveMin]
 * @property {boolean} [belowMax]
 * @property {RegExp} [pattern] what a string must match
 * @property {string} [shape] that pattern in words
 * @property {Table} [fields] of an object: each left out has its own default
 * @property {"sampling" | "text" | "training"} [room] where Rust has it: in `SamplingOptions`, whose numbers the shaders get
 *   too, in `GenerateOptions`, or in `TrainOptions`; without one it stays in JavaScript
 * @property {boolean} [isWide] of an integer: Rust needs all of its 53 bits; others count as 2^32 - 1 there if they are larger
 * @property {string} [doc] the comment in tokenformer.d.ts, without the default
 * @property {string} [leftOut] what that comment says instead of a default
 * @property {readonly [number, string]} [step] where it has a place in the order of the sampling, and its name in the README
 */

/** @typedef {Readonly<Record<string, Readonly<Option>>>} Table */
/** @typedef {import("../../tokenformer.js").LoadOptions} LoadOptions */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */
/** @typedef {LoadOptions & Required<Pick<LoadOptions, "revision" | "endpoint" | "cache" | "backend" | "packs">>} CheckedLoadOptions */
/** @typedef {import("../../tokenformer.js").TrainOptions} TrainOptions */
/** @typedef {TrainOptions & Required<Omit<TrainOptions, "epochs" | "steps" | "seed" | "pack" | "name" | "signal" | "onProgress" | "onEpoch">>} CheckedTrainOptions */
/** @typedef {GenerateOptions & Required<Omit<GenerateOptions, "seed" | "signal">>} CheckedGenerateOptions */
/** @typedef {CheckedGenerateOptions & { n: number, signals: (AbortSignal | null | undefined)[] }} CheckedAlternativesOptions */

// Git's rules for the names of branches and tags, plus: nothing that has a meaning in a URL.
const REVISION = /^(?!.*\.\.)[^\u0000-\u0020\u007f~^:?*#%[\\]+$/u;
// What an HTTP header can hold.
const TOKEN = /^[\u0021-\u007e]+$/;

/** Numbers of a config.json, with their ranges; what else it holds is left to the engine. */
/** @type {Readonly<Option>} */
const count = { type: "integer", min: 1, max: 2 ** 20 };
/** @type {Table} */
const SHAPE = Object.freeze({
  num_layers: count,
  hidden_size: count,
  num_attention_heads: count,
  qkv_slot_num: count,
  proj_slot_num: count,
  ffn_slot_num: count,
  padded_vocab_size: count,
  max_position_embeddings: count,
  rotary_pct: { type: "number", min: 0, max: 1 },
  rotary_emb_base: { type: "number", min: 1 },
  layernorm_epsilon: { type: "number", min: 0, aboveMin: true, max: 1, belowMax: true },
  norm_activation_type: { type: "enum", values: ["l2_norm_gelu", "gelu_l2_norm", "softmax"] },
  model_type: { type: "enum", values: ["tokenformer"] },
  tie_word_embeddings: { type: "enum", values: [true] },
});

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
    about: "precision of the weights; left out, that of the folder, q4 for a checkpoint that is not quantized yet",
  },
  config: {
    type: "shape",
    default: undefined,
    about: "the model's shape in the field names of config.json, where the folder has none; for this load only",
  },
  contextLength: {
    type: "integer",
    min: 1,
    max: 2 ** 20,
    default: undefined,
    about: "tokens of context; left out, the smaller of 2048 and what the model was trained for",
  },
  cache: { type: "boolean", default: true, about: "keep downloaded models in the browser's storage" },
  backend: {
    type: "enum",
    values: ["auto", "webgpu", "cpu"],
    default: "auto",
    about:
      'where the model computes: "auto" takes the CPU for small models where there is no usable WebGPU, "webgpu" never does',
  },
  packs: {
    type: "packs",
    default: Object.freeze([]),
    about: "token packs that take part: what `addPack` takes, or objects `{ pack, strength }`",
  },
  signal: { type: "signal", default: undefined, about: "aborts loading" },
  onProgress: { type: "function", default: undefined, about: "called with every step of loading" },
});

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const GENERATE_OPTIONS = complete(ROWS);

/** What `alternatives` takes besides. @type {Readonly<Record<string, Readonly<Option>>>} */
export const ALTERNATIVES_OPTIONS = Object.freeze({
  n: {
    type: "integer",
    min: 1,
    max: 128,
    default: 1,
    about: "how many texts to write; the next one takes the next seed",
  },
  signals: { type: "signals", default: undefined, about: "each ends the text of its own index alone; at most `n`" },
});

/** Largest magnitude of a pack's strength. */
const MOST_STRENGTH = 4;
/** Packs that a model has at most. */
export const MOST_PACKS = 16;

/** @type {Readonly<Option>} */
const strength = {
  type: "number",
  min: -MOST_STRENGTH,
  max: MOST_STRENGTH,
  default: undefined,
  about: "how much the pack counts: 0 is off, below 0 the opposite; left out, what its file says, else 1",
};
/** @type {Readonly<Option>} */
const packName = {
  type: "string",
  default: undefined,
  pattern: /^(?=.*\S).{1,120}$/su,
  shape: "a name of 1 to 120 characters",
  about: "what the pack goes by; left out, as its file says or is called",
};

/** What `addPack` takes. @type {Readonly<Record<string, Readonly<Option>>>} */
export const PACK_OPTIONS = Object.freeze({ strength, name: packName });

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const TRAIN_OPTIONS = Object.freeze({
  ...complete(TRAIN_ROWS),
  pack: { type: "pack", default: undefined, about: "a pack to go on from, which decides `tokens` and `kinds`" },
  name: { ...packName, about: "what the pack goes by; left out, that of `pack`, else a free one" },
  signal: { type: "signal", default: undefined, about: "ends training with what was learnt so far" },
  onProgress: { type: "function", default: undefined, about: "called as steps are made" },
  onEpoch: {
    type: "function",
    default: undefined,
    about: "called after each epoch with what was learnt so far; training waits for it, and the model can be used",
  },
});

/** @type {Readonly<Record<string, Readonly<Option>>>} */
export const BENCHMARK_OPTIONS = Object.freeze({
  promptTokens: { type: "integer", min: 1, max: 2 ** 20, default: 512, about: "tokens of the prompt" },
  maxTokens: { type: "integer", min: 2, max: 2 ** 20, default: 129, about: "tokens to write" },
  runs: { type: "integer", min: 1, max: 1000, default: 5, about: "measured runs, after one that is not" },
  temperature: { type: "number", min: 0, default: 0, about: "0 is greedy" },
  topP: { type: "number", min: 0, aboveMin: true, max: 1, default: 1, about: "as for generate" },
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

/** A revision that an address holds, checked as the option is. Throws `invalid-argument`. @param {unknown} revision */
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
 * @returns {Required<import("../../tokenformer.js").BenchmarkOptions>}
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

/** The strength that `setPack` is given. Throws `invalid-argument`. @param {unknown} options @returns {number} */
export function checkStrength(options) {
  const checked = checkOptions({ strength }, options);
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

/** Options checked against a table, and complete. Throws `invalid-argument`. @param {Table} table @param {unknown} [options] @param {string} [path] of an object's fields, in messages: "dry." */
export function checkOptions(table, options = {}, path = "") {
  if (!isPlainObject(options)) throw invalidArgument(`The options must be a plain object, not ${typeName(options)}.`);
  const given = { ...options }; // every getter is read once
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(table, name)) throw unknownOption(table, name, path);
  }
  /** @type {Record<string, unknown>} */
  const checked = {};
  for (const [name, option] of Object.entries(table)) {
    checked[name] = given[name] === undefined ? option.default : CHECKS[option.type](path + name, given[name], option);
  }
  return checked;
}

/** @type {Record<Option["type"], (name: string, value: unknown, option: Readonly<Option>) => unknown>} */
const CHECKS = {
  string(name, value, { pattern, shape }) {
    // The value is not repeated: it may be an access token.
    if (typeof value !== "string") throw wrong(name, "a string", value);
    if (pattern && !pattern.test(value)) throw invalidArgument(`${name} does not look like ${shape}.`);
    return value;
  },
  url(name, value) {
    const url = typeof value === "string" ? normalizeEndpoint(value) : undefined;
    if (url === undefined) throw invalidArgument(`${name} must be an absolute http or https address.`);
    return url;
  },
  enum(name, value, { values = [] }) {
    if (!values.includes(value)) {
      const got = typeof value === "string" ? JSON.stringify(value) : typeName(value);
      throw invalidArgument(`${name} must be ${values.map((v) => JSON.stringify(v)).join(" or ")}, not ${got}.`);
    }
    return value;
  },
  integer(name, value, option) {
    if (typeof value !== "number" || !Number.isInteger(value) || !inRange(value, option))
      throw wrong(name, `an integer ${rangeInWords(option)}`, value);
    return value;
  },
  number(name, value, option) {
    if (typeof value !== "number" || !Number.isFinite(value) || !inRange(value, option))
      throw wrong(name, `a number ${rangeInWords(option)}`, value);
    return value;
  },
  boolean(name, value) {
    if (typeof value !== "boolean") throw wrong(name, "true or false", value);
    return value;
  },
  shape(name, value) {
    if (!isPlainObject(value)) throw wrong(name, "a plain object", value);
    const given = { ...value };
    for (const [field, option] of Object.entries(SHAPE)) {
      if (given[field] !== undefined) CHECKS[option.type](`${name}.${field}`, given[field], option);
    }
    return given;
  },
  texts(name, value) {
    if (!Array.isArray(value)) throw wrong(name, "an array of strings", value);
    return Array.from(value, (text, i) => {
      if (text === "") throw invalidArgument(`${name}[${i}] is empty.`, "Leave it out, or give a text to stop at.");
      return checkText(`${name}[${i}]`, text);
    });
  },
  biases(name, value) {
    if (!isPlainObject(value)) throw wrong(name, "an object { id: number }", value);
    for (const [id, bias] of Object.entries(value)) {
      if (!/^(0|[1-9]\d{0,9})$/.test(id) || Number(id) >= 2 ** 32) {
        throw invalidArgument(`${name}: ${JSON.stringify(id)} is not a token id.`);
      }
      if (!Number.isFinite(bias)) throw wrong(`${name}[${id}]`, "a finite number", bias);
    }
    return value;
  },
  object(name, value, { fields = {} }) {
    if (!isPlainObject(value)) throw wrong(name, "a plain object", value);
    return checkOptions(fields, value, `${name}.`);
  },
  pack(name, value) {
    packReader(name, value);
    return value;
  },
  packs(name, value) {
    if (!Array.isArray(value)) throw wrong(name, "an array of token packs", value);
    if (value.length > MOST_PACKS)
      throw invalidArgument(`${name} has ${value.length} packs; a model has at most ${MOST_PACKS}.`);
    return Array.from(value, (item, i) => {
      const at = `${name}[${i}]`;
      const given = isPlainObject(item)
        ? checkOptions({ pack: { type: "pack" }, strength }, item, `${at}.`)
        : { pack: item };
      packReader(at, given.pack);
      return given;
    });
  },
  signal(name, value) {
    // By its tag: a signal may come from another frame.
    if (Object.prototype.toString.call(value) !== "[object AbortSignal]") throw wrong(name, "an AbortSignal", value);
    return value;
  },
  signals(name, value, option) {
    if (!Array.isArray(value)) throw wrong(name, "an array of AbortSignals", value);
    return Array.from(value, (signal, i) => (signal == null ? null : CHECKS.signal(`${name}[${i}]`, signal, option)));
  },
  function(name, value) {
    if (typeof value !== "function") throw wrong(name, "a function", value);
    return value;
  },
};

/** A table of which nobody can change anything; an object's default is made of those of its fields. @param {Table} table @returns {Table} */
export function complete(table) {
  /** @type {Record<string, Readonly<Option>>} */
  const made = {};
  for (const [name, { fields, ...option }] of Object.entries(table)) {
    const own = fields && complete(fields);
    const standard = own ? checkOptions(own) : option.default;
    Object.freeze(standard);
    made[name] = Object.freeze({ ...option, default: standard, ...(own && { fields: own }) });
  }
  return Object.freeze(made);
}

/** @param {number} value @param {Readonly<Option>} option */
function inRange(value, { min = -Infinity, max = Infinity, aboveMin, belowMax }) {
  return (aboveMin ? value > min : value >= min) && (belowMax ? value < max : value <= max);
}

/** The range of a number in words: "from 0 to 20", "above 0, at most 1". @param {Readonly<Option>} option */
export function rangeInWords({ min, max, aboveMin, belowMax }) {
  const low = aboveMin ? `above ${min}` : `from ${min}`;
  if (max === undefined) return low;
  if (max === Number.MAX_SAFE_INTEGER) return `${low}, below 2^53`;
  if (belowMax) return `${low}, below ${max}`;
  return aboveMin ? `${low}, at most ${max}` : `${low} to ${max}`;
}

/** @param {string} name @param {string} wanted @param {unknown} got */
function wrong(name, wanted, got) {
  return invalidArgument(`${name} must be ${wanted}, not ${typeName(got)}.`);
}

/** @param {Table} table @param {string} name @param {string} path */
function unknownOption(table, name, path) {
  const plain = (/** @type {string} */ text) => text.toLowerCase().replace(/[^a-z]/g, "");
  const meant = Object.keys(table).find((known) => plain(known) === plain(name));
  const hint = meant ? `Did you mean ${path}${meant}?` : `The options are ${Object.keys(table).join(", ")}.`;
  return invalidArgument(`There is no option ${JSON.stringify(path + name)}.`, hint);
}
