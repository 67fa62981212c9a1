// A lesson: the model learns from a text, and continues the same opening without and with what it has learned so far.

import { toTokenFormerError } from "../../lib/errors.js";

/** @typedef {import("../../tokenformer.js").TokenFormer} Model */
/** @typedef {import("../../tokenformer.js").TokenPack} TokenPack */
/** @typedef {import("../../tokenformer.js").TrainProgress} TrainProgress */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */
/** Text generated from the same opening with the same seed; `round`: how often the training text was read. @typedef {{ round: number, text: string }} Sample */
/**
 * @typedef {object} Lesson
 * @property {string} text
 * @property {string} name of the pack
 * @property {string} beginning
 * @property {number} rounds how often the text is read
 * @property {number} tokens that each part of the model gets
 * @property {GenerateOptions} writing how samples are written
 * @property {AbortSignal} signal
 */

/** Maximum length of a sample in tokens. */
const SAMPLE_TOKENS = 40;
/** The name of a pack while it is being tested. */
const SO_FAR = "what it has learnt so far";
/** Number of words that a sample starts with, and the fraction of the text after which they are looked for. */
const BEGINNING_WORDS = 8;
const KEPT_BACK = 0.92;

/**
 * Resolves to the pack; null if it was aborted before anything was learned.
 * @param {Model} model
 * @param {Lesson} lesson
 * @param {{ onPoint: (progress: TrainProgress) => void, onSample: (without: Sample | null, withIt: Sample | null) => void }} told
 * @returns {Promise<TokenPack | null>}
 */
export async function teach(model, { text, name, beginning, rounds, tokens, writing, signal }, { onPoint, onSample }) {
  const options = { ...writing, maxTokens: SAMPLE_TOKENS, signal };
  try {
    const { text: without } = await model.complete(beginning, options);
    if (signal.aborted) return null;
    onSample({ round: 0, text: without }, null);
    let last = 0;
    const sample = async (/** @type {TokenPack} */ pack, /** @type {number} */ round) => {
      const written = await writtenWith(model, pack, beginning, options);
      if (written !== null) onSample(null, { round, text: written });
    };
    const pack = await model.train(text, {
      name,
      tokens,
      epochs: rounds,
      seed: writing.seed,
      signal,
      onProgress: onPoint,
      onEpoch: ({ epoch, pack }) => sample(pack, (last = epoch)),
    });
    // The best result counts, which need not be the last.
    if (!signal.aborted) await sample(pack, last);
    return pack;
  } catch (error) {
    if (signal.aborted && toTokenFormerError(error).code === "aborted") return null;
    throw error;
  }
}

/** What the model writes with a pack; null if the model cannot have another one. @param {Model} model @param {TokenPack} pack @param {string} beginning @param {GenerateOptions} options */
async function writtenWith(model, pack, beginning, options) {
  // All three calls are queued at once, so that no other text comes between.
  const [added, written] = await Promise.allSettled([
    model.addPack(pack, { name: SO_FAR, strength: 1 }),
    model.complete(beginning, options),
    model.removePack(SO_FAR),
  ]);
  return added.status === "fulfilled" && written.status === "fulfilled" ? written.value.text : null;
}

/** A few words from the held-out part, the start of a sentence if there is one. @param {string} text */
export function beginningOf(text) {
  const from = text.slice(Math.floor(text.length * KEPT_BACK));
  const sentence = /[.!?]["”’»)]*\s+(["“‘«(]*\p{L}[^]*)/u.exec(from)?.[1];
  const words = (sentence ?? text).trim().split(/\s+/).slice(0, BEGINNING_WORDS);
  return words.join(" ");
}

/** How many words a text has. @param {string} text */
export function wordsOf(text) {
  return text.match(/\S+/g)?.length ?? 0;
}

/** The outcome, in words. @param {TokenPack["training"]} training */
export function verdictOf(training) {
  if (training?.message) return training.message;
  const { before, after } = training?.validation ?? {};
  if (before === undefined || after === undefined) return "It has read your text. Try it, and keep it if you like it.";
  const told = `Its surprise at the last pages, which it did not read, was ${before.toFixed(2)} and is ${after.toFixed(2)}`;
  if (before - after >= 0.3) return `${told}: it has learnt much.`;
  if (before - after >= 0.02) return `${told}: it has learnt something.`;
  return `${told}: it has learnt next to nothing. The text is too short, or close to what it knew.`;
}
