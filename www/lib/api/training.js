// Training a token pack: checks the arguments of `train`, and loops over the steps. The engine does the computing.

import { aborted, invalidArgument } from "../errors.js";
import { freeName } from "../free-name.js";
import { randomSeed } from "../seeds.js";
import { unlessAborted } from "./abort.js";
import { checkText, checkTextOrIds, isPlainObject, typeName } from "./inputs.js";
import { checkTrainOptions } from "./options.js";
import { packReader } from "./pack-sources.js";
import { TokenPack } from "./token-pack.js";

/** @typedef {import("../engine/port.js").Made["engine"]} Engine */
/** @typedef {import("../engine/port-engine.js").PortTraining} PortTraining */
/** @typedef {import("./pack-sources.js").Hub} Hub */
/** @typedef {ReturnType<typeof checkTraining>} Asked */
/**
 * What training needs from its model.
 * @typedef {object} Host
 * @property {AbortSignal} signal ends it early
 * @property {Hub} hub
 * @property {(name: string) => boolean} hasPack
 * @property {() => Promise<(() => void) | null>} enter waits for its turn; null once it was aborted
 * @property {<T>(work: (engine: Engine) => T | Promise<T>) => Promise<T>} step
 */

/** The name of a pack without a name, followed by a number if it is taken. */
const FREE_NAME = "pack";

/** The arguments of `train`, checked. Throws `invalid-argument`. @param {unknown} text @param {unknown} given its options */
export function checkTraining(text, given) {
  const documents = checkDocuments(text);
  const { signal, onProgress, onEpoch, pack, name, ...rest } = checkTrainOptions(given);
  const read = pack === undefined ? null : packReader("pack", pack);
  const options = { ...rest, seed: rest.seed ?? randomSeed() };
  for (const name of /** @type {const} */ (["epochs", "steps"])) if (options[name] === undefined) delete options[name];
  return { documents, options, read, name, signal, onProgress, onEpoch };
}

/** A text, ids, or an array of objects with a text. @param {unknown} text @returns {(string | Uint32Array)[]} */
function checkDocuments(text) {
  const isList = Array.isArray(text) && text.some((item) => typeof item === "object" && item !== null);
  const documents = isList ? Array.from(text, documentOf) : [checkTextOrIds("text", text, { allowEmpty: true })];
  if (documents.every(({ length }) => length === 0))
    throw invalidArgument("There is no text to learn from.", "Give a text of a page or more.");
  return documents;
}

/** @param {unknown} item @param {number} i */
function documentOf(item, i) {
  if (!isPlainObject(item)) throw invalidArgument(`text[${i}] must be an object { text }, not ${typeName(item)}.`);
  for (const key of Object.keys(item))
    if (key !== "text") throw invalidArgument(`text[${i}]: there is no option ${JSON.stringify(key)}.`);
  return checkText(`text[${i}].text`, item.text);
}

/**
 * Trains until the end or an abort, and resolves to the pack.
 * @param {Asked} asked
 * @param {Host} host
 * @returns {Promise<TokenPack>}
 */
export async function train(
  { documents, options, read, name: given, onProgress, onEpoch },
  { signal, hub, hasPack, enter, step },
) {
  let leave = await enter();
  if (!leave) throw aborted("Training");
  /** @type {PortTraining | null} */
  let training = null;
  try {
    const first = read && (await unlessAborted(read(hub, signal), "Training", signal));
    const begun = first && new TokenPack(first.bytes, first);
    const name = given ?? begun?.name ?? freeName(FREE_NAME, hasPack);
    const started = await step((engine) =>
      engine.startTraining(documents, { ...options, name }, begun ? TokenPack.bytesOf(begun) : undefined),
    );
    training = started;
    const packOf = (/** @type {import("../../tokenformer-web.js").Learnt} */ { bytes, report }) =>
      new TokenPack(bytes, { name, training: report });
    const tell = stepByStep(onProgress);
    while (!signal.aborted) {
      const made = await step(() => started.next());
      if (!made) break;
      tell(made);
      if (!made.isEpochEnd || !onEpoch || signal.aborted) continue;
      const pack = packOf(await step(() => started.pause()));
      // Let other calls take their turn: until training resumes, they use the unchanged model.
      leave();
      await told(() => onEpoch({ epoch: made.epoch, step: made.step, steps: made.steps, pack }));
      leave = await enter();
      if (!leave) break;
    }
    return packOf(await step(() => started.result()));
  } finally {
    training?.free();
    leave?.();
  }
}

/**
 * Reports each step, since the engine reports several at once; and before the first step, the loss on the held-out
 * text.
 * @param {Asked["onProgress"]} onProgress
 */
function stepByStep(onProgress) {
  /** The last measured value. @type {number | null} */
  let validation = null;
  return (/** @type {import("../../tokenformer-web.js").TrainingProgress} */ made) => {
    const { losses, step, steps, epoch, tokensPerSecond, secondsLeft } = made;
    const tell = (/** @type {number} */ step, /** @type {number | null} */ loss) =>
      told(() => onProgress?.({ step, steps, epoch, loss, validation, tokensPerSecond, secondsLeft }));
    for (const [i, loss] of losses.entries()) {
      if (i === losses.length - 1) validation = made.validation ?? validation;
      tell(step - losses.length + 1 + i, loss);
    }
    if (losses.length > 0) return;
    validation = made.validation;
    tell(step, null);
  };
}

/** Calls a listener of the page: an error in it must not stop the training. @param {() => unknown} listener */
async function told(listener) {
  try {
    await listener();
  } catch (error) {
    globalThis.reportError?.(error);
  }
}
