// A model's shape, as far as it is known: what src/config.rs reads from a config.json.

/** @typedef {Partial<Record<"num_layers" | "hidden_size" | "qkv_slot_num" | "proj_slot_num" | "ffn_slot_num" | "padded_vocab_size" | "max_position_embeddings", number>>} Shape */

/** Fields that the tables also determine: a different value belongs to another model. */
const OF_TABLES = ["num_layers", "hidden_size", "qkv_slot_num", "proj_slot_num", "ffn_slot_num", "padded_vocab_size"];
const FIELDS = [...OF_TABLES, "max_position_embeddings"];
/** Other names of fields, as libraries write them. */
const ALIASES = { num_layers: "num_hidden_layers", padded_vocab_size: "vocab_size" };

/** Layers and width of the published models, by their repositories' names. @type {Readonly<Record<string, readonly [layers: number, width: number]>>} */
export const PRESETS = Object.freeze({
  "tokenformer-150m": [12, 768],
  "tokenformer-450m": [24, 1024],
  "tokenformer-900m": [32, 1280],
  "tokenformer-1-5b": [40, 1536],
});

/** The shape implied by the name of a published repository. @param {string | null} repository @returns {Shape} */
export function presetOf(repository) {
  const [layers, width] = PRESETS[repository?.split("/").at(-1)?.toLowerCase() ?? ""] ?? [];
  if (layers === undefined) return {};
  return {
    num_layers: layers,
    hidden_size: width,
    qkv_slot_num: width,
    proj_slot_num: width,
    ffn_slot_num: 4 * width,
    padded_vocab_size: 50_304,
    max_position_embeddings: 2048,
  };
}

/** The known fields of a shape, completed by what the caller says; null if that contradicts the tables. @param {Record<string, unknown>} told @param {Record<string, unknown> | undefined} given @returns {Shape | null} */
export function completed(told, given) {
  const [known, more] = [numbersOf(told), numbersOf(given ?? {})];
  const contradicts = OF_TABLES.some((name) => name in known && name in more && known[name] !== more[name]);
  return contradicts ? null : { ...known, ...more };
}

/** @param {Record<string, unknown>} fields @returns {Record<string, number>} */
function numbersOf(fields) {
  const read = FIELDS.map((name) => {
    const value = fields[name] ?? fields[/** @type {Record<string, string>} */ (ALIASES)[name]];
    return /** @type {[string, number]} */ ([name, value === null || value === "" ? NaN : Number(value)]);
  });
  return Object.fromEntries(read.filter(([, value]) => Number.isSafeInteger(value) && value > 0));
}

/** Number of parameters of a model of this shape; null if part of the shape is unknown. @param {Shape} shape */
export function parametersOf(shape) {
  const { num_layers, hidden_size, qkv_slot_num, proj_slot_num, ffn_slot_num, padded_vocab_size } = shape;
  if (!num_layers || !hidden_size || !qkv_slot_num || !proj_slot_num || !ffn_slot_num || !padded_vocab_size)
    return null;
  const slots = 3 * qkv_slot_num + proj_slot_num + ffn_slot_num;
  // Keys and values; the final norm has a weight and a bias.
  return hidden_size * (padded_vocab_size + 2 * num_layers * slots + 2);
}
