// The arguments of scripts/embed-model, and the defaults for missing ones.

import { parseArgs } from "node:util";

const NUMBERS = {
  calibrate: { least: 0, isWhole: true },
  context: { least: 1, isWhole: true },
  limit: { least: 0 },
  temperature: { least: 0 },
  "top-p": { least: 0, most: 1 },
  "repetition-penalty": { least: 0 },
};
const QUANTIZATIONS = ["q4", "q8", "f16"];

/** An error that is reported without a stack trace. */
export class Refused extends Error {}

/**
 * The options: `{ folder, label, about, quantization, calibrated, contextLength, limit, sampling, texts }`.
 *
 * @param {string[]} given the arguments
 * @param {string} name of the model in the folder, from the folder's name
 * @param {object} last the contents of embedded.js: defaults, if about the same model
 */
export function read(given, nameOf, last) {
  const { values, positionals } = parse(given);
  if (positionals.length !== 1) throw new Refused("Name one folder: scripts/embed-model FOLDER [options]");
  const [folder] = positionals;
  const before = nameOf(folder) === last.name ? last : {};
  const number = (name, standard) => (values[name] === undefined ? standard : checked(name, values[name]));
  const quantization = values.quantization ?? before.quantization ?? "q4";
  if (!QUANTIZATIONS.includes(quantization))
    throw new Refused(
      `--quantization is ${JSON.stringify(quantization)}; it must be one of ${QUANTIZATIONS.join(", ")}.`,
    );
  // A precision other than the last one is calibrated according to its own default.
  const isSame = quantization === before.quantization;
  const calibrated = number(
    "calibrate",
    (isSame ? before.calibrated : undefined) ?? (quantization === "q4" ? 32768 : 0),
  );
  if (quantization === "f16" && calibrated > 0) throw new Refused("f16 is not calibrated: leave --calibrate out.");
  const sampling = before.sampling ?? { temperature: 0.8, topP: 0.92, repetitionPenalty: 1.15 };
  return {
    folder,
    label: values.label ?? before.label,
    about: values.about ?? before.about,
    quantization,
    calibrated,
    contextLength: number("context", before.contextLength),
    limit: number("limit", before.perplexityLimit === undefined ? 2 : before.perplexityLimit * 100) / 100,
    sampling: {
      temperature: number("temperature", sampling.temperature),
      topP: number("top-p", sampling.topP),
      repetitionPenalty: number("repetition-penalty", sampling.repetitionPenalty),
    },
    texts: (values.text ?? []).map(text),
  };
}

function parse(given) {
  const names = ["label", "about", "quantization", ...Object.keys(NUMBERS)];
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" }]));
  try {
    return parseArgs({
      args: given,
      options: { ...options, text: { type: "string", multiple: true } },
      allowPositionals: true,
    });
  } catch (error) {
    throw new Refused(error.message);
  }
}

function checked(name, value) {
  const { least, most = Infinity, isWhole = false } = NUMBERS[name];
  const number = value.trim() === "" ? NaN : Number(value);
  if (number >= least && number <= most && Number.isFinite(number) && (!isWhole || Number.isInteger(number)))
    return number;
  const range = most === Infinity ? `from ${least}` : `from ${least} to ${most}`;
  throw new Refused(`--${name} is ${JSON.stringify(value)}; it must be a ${isWhole ? "whole " : ""}number ${range}.`);
}

/** "NAME=FILE[:CHARACTERS]" */
function text(given) {
  const [, name, file, characters] = given.match(/^([^=]+)=(.+?)(?::(\d+))?$/) ?? [];
  if (!file) throw new Refused(`--text is ${JSON.stringify(given)}; it must be NAME=FILE or NAME=FILE:CHARACTERS.`);
  return { name, file, characters: characters === undefined ? undefined : Number(characters) };
}
