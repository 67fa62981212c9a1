// Arguments of the calls that look inside a model: `inspect`, `promotes`, `ablate`. The engine checks layer and token numbers.

import { invalidArgument } from "../errors.js";
import { checkTextOrIds, isPlainObject, typeName } from "./inputs.js";
import { checkOptions } from "./option-checks.js";
import { KINDS } from "./pack-file.js";

/** @typedef {import("./option-checks.js").Option} Option */
/** @typedef {import("../../tokenformer.js").PackKind} PackKind */
/** @typedef {import("../../tokenformer-web.js").InspectRequest} InspectRequest */
/** @typedef {import("../../tokenformer-web.js").TokenPlace} TokenPlace */

/** @type {Readonly<Option>} */
const index = Object.freeze({ type: "integer", min: 0, max: 2 ** 32 - 1 });

/** What `inspect` takes. @type {Readonly<Record<string, Readonly<Option>>>} */
export const INSPECT_OPTIONS = Object.freeze({
  layers: { type: "integers", min: 0, about: "layers, from 0; left out, all" },
  kinds: { type: "enums", values: KINDS, about: "Pattentions of each layer; left out, all" },
  top: { type: "integer", min: 1, max: 64, default: 8, about: "how many parameter tokens of each place" },
  position: { type: "integers", min: 0, orOne: true, about: "a position, or several, from 0; left out, the last" },
});

/** What `promotes` takes. @type {Readonly<Record<string, Readonly<Option>>>} */
export const PROMOTES_OPTIONS = Object.freeze({
  top: { type: "integer", min: 1, max: 1000, default: 10, about: "how many tokens of the vocabulary each way" },
});

/** @type {Readonly<Record<string, Readonly<Option>>>} */
const TOKEN = Object.freeze({
  layer: index,
  kind: { type: "enum", values: KINDS },
  slot: index,
  pack: { type: "string" },
});

/** @type {Readonly<Record<string, Readonly<Option>>>} */
const ABLATION = Object.freeze({ ...TOKEN, scale: { type: "number", min: -1000, max: 1000, default: 0 } });

/** The arguments of `inspect`. Throws `invalid-argument`. @param {unknown} text @param {unknown} options @returns {{ text: string | Uint32Array, request: InspectRequest }} */
export function checkInspect(text, options) {
  const { position, layers, kinds, top } = /** @type {Record<string, any>} */ (checkOptions(INSPECT_OPTIONS, options));
  return {
    text: checkTextOrIds("text", text),
    request: { top, ...(position && { positions: position }), ...(layers && { layers }), ...(kinds && { kinds }) },
  };
}

/** The arguments of `promotes`. Throws `invalid-argument`. @param {unknown} token @param {unknown} options @returns {{ token: TokenPlace, top: number }} */
export function checkPromotes(token, options) {
  const { top } = /** @type {{ top: number }} */ (checkOptions(PROMOTES_OPTIONS, options));
  return { token: place("token", token, TOKEN, ""), top };
}

/** The argument of `ablate`. Throws `invalid-argument`. @param {unknown} tokens @returns {(TokenPlace & { scale: number })[]} */
export function checkAblations(tokens) {
  if (!Array.isArray(tokens))
    throw invalidArgument(
      `ablate takes an array of parameter tokens, not ${typeName(tokens)}.`,
      'Write: await model.ablate([{ layer: 0, kind: "mlp", slot: 5 }]), or await model.ablate([]) for none.',
    );
  return Array.from(tokens, (token, i) => /** @type {any} */ (place(`[${i}]`, token, ABLATION, `[${i}].`)));
}

/** @param {string} name @param {unknown} token @param {typeof TOKEN} table @param {string} path @returns {TokenPlace} */
function place(name, token, table, path) {
  if (!isPlainObject(token))
    throw invalidArgument(`${name} must be an object { layer, kind, slot }, not ${typeName(token)}.`);
  const { pack, ...checked } = checkOptions(table, token, path);
  for (const key of ["layer", "kind", "slot"])
    if (checked[key] === undefined)
      throw invalidArgument(
        `${path}${key} is missing.`,
        "A parameter token is { layer, kind, slot }, of a pack with its name as pack.",
      );
  return /** @type {any} */ ({ ...checked, ...(pack !== undefined && { pack }) });
}
