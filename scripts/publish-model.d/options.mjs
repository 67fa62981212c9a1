// The arguments of scripts/publish-model, and the defaults for missing ones.

import { parseArgs } from "node:util";
import { Refused } from "../embed-model.d/options.mjs";

export { Refused };

const REPOSITORY = /^[A-Za-z0-9_-][A-Za-z0-9._-]*\/[A-Za-z0-9_-][A-Za-z0-9._-]*$/;
const NAMES = ["to", "as", "quantization", "calibrate", "revision", "endpoint", "text", "limit", "license"];

/**
 * The options.
 * @param {string[]} given the arguments
 * @param {{ file: string, characters: number }} text the default text for comparisons
 */
export function read(given, text) {
  const { values, positionals } = parse(given);
  const [repository, ...more] = positionals;
  if (!repository || more.length > 0 || !values.to)
    throw new Refused("usage: scripts/publish-model OWNER/NAME --to FOLDER [options]");
  const quantization = values.quantization ?? "q4";
  if (!["q4", "q8"].includes(quantization))
    throw new Refused(`--quantization is ${JSON.stringify(quantization)}; it must be q4 or q8.`);
  const [owner, name] = named("The checkpoint", repository).split("/");
  return {
    repository,
    to: values.to,
    as: named("--as", values.as ?? `${owner}/${name}-${quantization}`),
    quantization,
    calibrated: number("calibrate", values.calibrate, quantization === "q4" ? 32768 : 0, true),
    revision: values.revision ?? "main",
    endpoint: (values.endpoint ?? "https://huggingface.co").replace(/\/+$/, ""),
    text: values.text === undefined ? text : textOf(values.text),
    limit: number("limit", values.limit, 2, false) / 100,
    license: values.license,
  };
}

function parse(given) {
  const options = Object.fromEntries(NAMES.map((name) => [name, { type: "string" }]));
  try {
    return parseArgs({ args: given, options, allowPositionals: true });
  } catch (error) {
    throw new Refused(error.message);
  }
}

function named(what, repository) {
  if (REPOSITORY.test(repository)) return repository;
  throw new Refused(`${what} is ${JSON.stringify(repository)}; it must be OWNER/NAME.`);
}

function number(name, value, standard, isWhole) {
  if (value === undefined) return standard;
  const read = value.trim() === "" ? NaN : Number(value);
  if (Number.isFinite(read) && read >= 0 && (!isWhole || Number.isInteger(read))) return read;
  throw new Refused(`--${name} is ${JSON.stringify(value)}; it must be a ${isWhole ? "whole " : ""}number from 0.`);
}

/** "FILE[:CHARACTERS]" */
function textOf(given) {
  const [, file, characters] = given.match(/^(.+?)(?::(\d+))?$/) ?? [];
  if (!file) throw new Refused("--text must be FILE or FILE:CHARACTERS.");
  return { file, characters: characters === undefined ? undefined : Number(characters) };
}
