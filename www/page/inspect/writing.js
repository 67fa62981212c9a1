// Continues the text while the map shows what fires. A step writes some tokens, more if the model is faster, and then
// inspects the last of them: half at most, since inspected tokens are read again, and once more for the next step.

import { randomSeed } from "../../lib/seeds.js";
import { nextStep } from "./study.js";

/** @typedef {import("../../tokenformer.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").Inspected} Inspected */

/** Tokens per press. */
const MOST = 256;
const FIRST_STEP = 32;
/** Each step costs a start: a fast model is soon to have long ones. */
const GROWTH = 8;
/** Positions of a step that are looked at, and what is asked of each place. */
const MOST_LIT = 8;
const TOP = 3;

/**
 * @param {TokenFormer} model
 * @param {readonly number[]} ids the text to continue
 * @param {object} page
 * @param {AbortSignal} page.signal
 * @param {(ids: number[]) => void | Promise<void>} page.onWritten everything written so far
 * @param {(places: Inspected[], ms: number) => void} page.onFired
 * @returns {Promise<{ tokens: number, seconds: number, every: number }>} `every`: in the last step, 1 in `every` was inspected
 */
export async function writeOn(model, ids, { signal, onWritten, onFired }) {
  const all = [...ids];
  const seed = randomSeed();
  const begin = performance.now();
  let step = FIRST_STEP;
  let every = 1;
  for (let round = 0; !signal.aborted; round += 1) {
    const room = Math.min(step, model.info.contextLength - all.length, MOST - (all.length - ids.length));
    if (room <= 0) break;
    const start = performance.now();
    const { tokenIds, finishReason } = await model.complete(all, { maxTokens: room, seed: seed + round, signal });
    if (tokenIds.length === 0) break;
    all.push(...tokenIds);
    await onWritten(all.slice(ids.length));
    const lit = Math.min(MOST_LIT, Math.ceil(tokenIds.length / 2));
    every = Math.round(tokenIds.length / lit);
    const position = Array.from({ length: lit }, (_, i) => all.length - 1 - lit + i);
    const places = await model.inspect(all.slice(0, -1), { position, top: TOP });
    const ms = performance.now() - start;
    onFired(places, ms);
    step = nextStep(step, ms, GROWTH, MOST);
    if (finishReason !== "length") break;
  }
  return { tokens: all.length - ids.length, seconds: (performance.now() - begin) / 1000, every };
}
