// What is measured, as the address of bench.html says it: names, which are selected but fetch nothing. Anything invalid
// in it is left out.
//
// model=OWNER/NAME (or a folder's address) with quantization, revision and backend as for `load`; models=150M,450M for
// shapes of the published models; none of these for the model that comes with the page.

import { checkLoadOptions } from "../../lib/api/options.js";
import { resolveName } from "../../lib/api/names.js";
import { readLoadAttributes } from "../../lib/element/attributes.js";
import { BENCHMARKED } from "../benchmark-link.js";
import { isLocal } from "../local-folder.js";
import { describeModel } from "../model-names.js";
import { EMBEDDED, PUBLISHED } from "../published.js";

/** @typedef {import("../../tokenformer.js").LoadOptions} LoadOptions */
/** A model as `load` takes it; the embedded one has no name. @typedef {{ kind: "model", name: string | null, options: LoadOptions }} ModelTarget */
/** Shapes of published models with random weights, by what follows "TokenFormer-" in their names. @typedef {{ kind: "shapes", names: string[], quantization: string }} ShapesTarget */
/** @typedef {ModelTarget | ShapesTarget} Target */

const PREFIX = "Haiyang-W/TokenFormer-";
/** Parameters of the address that say what is measured. */
const OWN = ["model", "models", ...BENCHMARKED];
/** Parameters for scripts only: a shared link must not start a run, or report to an address of this site. */
const OF_SCRIPTS = ["run", "report", "log"];

/** Shapes on offer. */
export const SHAPES = Object.freeze(
  PUBLISHED.map(({ name, ...rest }) => ({ ...rest, name: name.slice(PREFIX.length) })),
);

/** @param {URLSearchParams} query @param {string} base what relative addresses are resolved against @returns {Target} */
export function readTarget(query, base) {
  const names = query.get("models");
  // An invalid value is reported when it is measured: a script should not take one result for another.
  if (names !== null)
    return { kind: "shapes", names: names.split(","), quantization: query.get("quantization") ?? "q4" };
  const name = query.get("model") || null;
  const given = (/** @type {string} */ attribute) => (BENCHMARKED.includes(attribute) ? query.get(attribute) : null);
  try {
    if (name !== null) resolveName(name, base);
    const options = readLoadAttributes(given);
    checkLoadOptions(options);
    return { kind: "model", name: isLocal(name) ? null : name, options };
  } catch {
    return { kind: "model", name: null, options: {} };
  }
}

/**
 * A query for this target with everything else in `query`, except what only scripts want.
 * @param {Target} target
 * @param {URLSearchParams} query
 */
export function toQuery(target, query) {
  const changed = new URLSearchParams(query);
  for (const name of [...OWN, ...OF_SCRIPTS]) changed.delete(name);
  if (target.kind === "shapes") {
    changed.set("models", target.names.join(","));
    if (target.quantization !== "q4") changed.set("quantization", target.quantization);
  } else {
    const { quantization, revision, backend } = target.options;
    for (const [name, value] of Object.entries({ model: target.name, quantization, revision, backend }))
      if (value) changed.set(name, value);
  }
  const text = changed.toString().replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text ? `?${text}` : "";
}

/** A shape's displayed name. @param {string} name */
export function shapeInWords(name) {
  return `${SHAPES.find((shape) => shape.name === name)?.label ?? `TokenFormer ${name}`}, random weights`;
}

/** A key that is the same for the same model or shapes, wherever they run. @param {Target} target */
export function keyOf(target) {
  return target.kind === "shapes"
    ? `models=${target.names.join(",")}`
    : `model=${target.name ?? ""} ${target.options.revision ?? ""} ${target.options.quantization ?? ""}`;
}

/** A model's displayed name. @param {string | null} name */
export function modelLabel(name) {
  return name === null ? EMBEDDED.label : describeModel(name).label;
}
