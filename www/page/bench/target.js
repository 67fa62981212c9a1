// What is measured, as the address of bench.html says it: names, which are chosen and fetch nothing. What it does not say
// rightly is left out.
//
// model=OWNER/NAME (or a folder's address) with quantization, revision and backend as for `load`; models=150M,450M for
// shapes of the published models; nothing of these for the model that comes with the page.

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
/** Names of the address that say what is measured. */
const OWN = ["model", "models", ...BENCHMARKED];
/** Names that say what a script wants: nobody else should begin by a link, or report to an address of this site. */
const OF_SCRIPTS = ["run", "report", "log"];

/** Shapes that can be chosen. */
export const SHAPES = Object.freeze(
  PUBLISHED.map(({ name, ...rest }) => ({ ...rest, name: name.slice(PREFIX.length) })),
);

/** @param {URLSearchParams} query @param {string} base what relative addresses are resolved against @returns {Target} */
export function readTarget(query, base) {
  const names = query.get("models");
  // What is wrong here is told where it is measured: a script should not take one result for another.
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
 * A query that says the same of this target, with all that `query` says besides, but for what only scripts want.
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

/** What a shape is called for people. @param {string} name */
export function shapeInWords(name) {
  return `${SHAPES.find((shape) => shape.name === name)?.label ?? `TokenFormer ${name}`}, random weights`;
}

/** The same for the same model or shapes, wherever it runs. @param {Target} target */
export function keyOf(target) {
  return target.kind === "shapes"
    ? `models=${target.names.join(",")}`
    : `model=${target.name ?? ""} ${target.options.revision ?? ""} ${target.options.quantization ?? ""}`;
}

/** What a model is called for people. @param {string | null} name */
export function modelLabel(name) {
  return name === null ? EMBEDDED.label : describeModel(name).label;
}
