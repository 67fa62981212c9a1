// Checks options against tables; options.js has the tables.

import { invalidArgument } from "../errors.js";
import { checkText, isPlainObject, typeName } from "./inputs.js";
import { normalizeEndpoint } from "./names.js";
import { packReader } from "./pack-sources.js";

/**
 * A row of the table.
 * @typedef {object} Option
 * @property {"string"|"url"|"enum"|"integer"|"number"|"boolean"|"integers"|"enums"|"shape"|"texts"|"biases"|"object"|"pack"|"packs"|"signal"|"signals"|"function"} type
 * @property {unknown} [default] undefined: described in `about`
 * @property {string} [about] one line of description
 * @property {readonly unknown[]} [values] of an enum, or of several
 * @property {boolean} [orOne] of integers: a single one needs no array
 * @property {number} [min] smallest number, itself allowed unless `aboveMin`
 * @property {number} [max] largest number, itself allowed unless `belowMax`
 * @property {boolean} [aboveMin]
 * @property {boolean} [belowMax]
 * @property {RegExp} [pattern] what a string must match
 * @property {string} [shape] that pattern in words
 * @property {Table} [fields] of an object: each left out has its own default
 * @property {"sampling" | "text" | "training"} [room] where Rust keeps it: in `SamplingOptions`, whose numbers the shaders get
 *   too, in `GenerateOptions`, or in `TrainOptions`; without one it stays in JavaScript
 * @property {boolean} [isWide] of an integer: Rust needs all of its 53 bits; otherwise larger values are clamped to 2^32 - 1 there
 * @property {string} [doc] the comment in tokenformer.d.ts, without the default
 * @property {string} [leftOut] what that comment says instead of a default
 * @property {readonly [number, string]} [step] its position in the order of sampling steps, and its name in the documentation
 */

/** @typedef {Readonly<Record<string, Readonly<Option>>>} Table */
/** Numeric fields of a config.json, with their ranges; the engine checks the other fields. */
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

/** Largest magnitude of a pack's strength. */
export const MOST_STRENGTH = 4;
/** Maximum number of packs of a model. */
export const MOST_PACKS = 16;

/** A pack's strength. @type {Readonly<Option>} */
export const STRENGTH = {
  type: "number",
  min: -MOST_STRENGTH,
  max: MOST_STRENGTH,
  default: undefined,
  about: "weight of the pack: 0 is off, below 0 the opposite; by default what its file says, else 1",
};
/** Options checked against a table, with defaults filled in. Throws `invalid-argument`. @param {Table} table @param {unknown} [options] @param {string} [path] of an object's fields, in messages: "dry." */
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
  integers(name, value, option) {
    if (option.orOne && typeof value === "number") return [CHECKS.integer(name, value, option)];
    const wanted = option.orOne ? "an integer or an array of integers" : "an array of integers";
    return list(name, value, wanted, (at, one) => CHECKS.integer(at, one, option));
  },
  enums(name, value, option) {
    return list(name, value, "an array of strings", (at, one) => CHECKS.enum(at, one, option));
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
        ? checkOptions({ pack: { type: "pack" }, strength: STRENGTH }, item, `${at}.`)
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

/** A table frozen in depth; the default of an object is built from its fields' defaults. @param {Table} table @returns {Table} */
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

/** A non-empty array. @param {string} name @param {unknown} value @param {string} wanted @param {(name: string, value: unknown) => unknown} check */
function list(name, value, wanted, check) {
  if (!Array.isArray(value) && (!ArrayBuffer.isView(value) || value instanceof DataView))
    throw wrong(name, wanted, value);
  const given = /** @type {ArrayLike<unknown>} */ (/** @type {unknown} */ (value));
  if (given.length === 0) throw invalidArgument(`${name} is empty.`, "Leave it out, or give at least one.");
  return Array.from(given, (one, i) => check(`${name}[${i}]`, one));
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
