// Whether a model is available, from where and at what cost: what `load` would find, without loading weights or engine.

import { backendFor } from "../engine/backend.js";
import { invalidArgument, TokenFormerError, toTokenFormerError } from "../errors.js";
import { contentsOf } from "../hub/contents.js";
import { embeddedFolders, locate } from "../locations.js";
import { downloadedBytes, modelRecords } from "../store/records.js";
import { linkedTo } from "../linked.js";
import { checkLoadOptions } from "./options.js";
import { requestedPlace } from "./place.js";
import { completed, parametersOf, presetOf } from "./shape.js";

/** @typedef {import("../../tokenformer.js").Availability} Availability */
/** @typedef {import("../hub/contents.js").Contents} Contents */
/** @typedef {import("../store/records.js").ModelRecord} ModelRecord */
/** `folders`: where the embedded model may be. @typedef {import("./options.js").CheckedLoadOptions & ReturnType<typeof requestedPlace> & { folders: string[] }} Request */

/** How long the hub or host may take to answer. */
const ASKING_MS = 30_000;
const COMMIT = /^[0-9a-f]{40}$/i;

/** What `load(name, options)` would do; rejects for arguments that it would refuse. @param {string | undefined} name @param {import("../../tokenformer.js").LoadOptions} [options] @returns {Promise<Availability>} */
export async function availability(name, options) {
  const checked = checkLoadOptions(options);
  if (name === undefined) await locate();
  /** @type {Request} */
  const request = {
    ...checked,
    ...requestedPlace(name, checked),
    folders: name === undefined ? embeddedFolders() : [],
  };
  const records = (await modelRecords()).filter(({ key }) => isSameModel(key, request));
  const found = await lookUp(request, records);
  const { stored, contents } = found;
  const same = records.filter((record) => fits(record, request) && isVersion(record, contents?.version ?? null));
  const storedBytes = (stored ? [stored] : same).reduce((sum, { bytes }) => sum + bytes, 0);
  const quantization = checkedQuantization(request, stored, contents);
  const shape = shapeOf(request, stored, contents);
  checkContextLength(request, shape);
  const downloadBytes = stored ? 0 : await leftOf(contents, same);
  /** @type {(backend: Availability["backend"], error?: TokenFormerError) => Availability} */
  const told = (backend, error) => ({
    state: error ? "unavailable" : stored ? "stored" : "downloadable",
    downloadBytes,
    storedBytes,
    backend,
    reason: error ? [error.message, error.hint].filter(Boolean).join(" ") : null,
  });
  if (found.error) return told(null, found.error);
  try {
    const parameters = parametersOf(shape) ?? guessed(contents);
    const { num_layers: layers, hidden_size: width, padded_vocab_size: vocabulary } = shape;
    const contextLength = request.contextLength ?? Math.min(2048, shape.max_position_embeddings ?? 2048);
    const known = { parameters, layers, width, vocabulary, contextLength, quantization };
    return told(await backendFor(request.backend, known));
  } catch (error) {
    return told(null, toTokenFormerError(error));
  }
}

/**
 * What is stored and can be loaded, what the place offers, or why neither is available.
 * @param {Request} request
 * @param {ModelRecord[]} records
 * @returns {Promise<{ stored: ModelRecord | null, contents: Contents | null, error?: TokenFormerError }>}
 */
async function lookUp(request, records) {
  // With its cache off, `load` does not look there.
  const usable = request.cache ? records.filter((record) => record.complete && fits(record, request)) : [];
  const newest = (/** @type {(record: ModelRecord) => number | undefined} */ dateOf) =>
    usable.reduce(
      (/** @type {{ record: ModelRecord | null, date: number }} */ best, record) => {
        const date = dateOf(record) ?? -1;
        return date > best.date ? { record, date } : best;
      },
      { record: null, date: -1 },
    ).record;
  const ofVersion = (/** @type {string} */ version) =>
    newest(({ key, last_used }) => (key.commit === version ? last_used : undefined));
  // A commit never changes: a stored copy needs no confirmation.
  const pinned = request.repository && COMMIT.test(request.revision) ? ofVersion(request.revision) : null;
  if (pinned) return { stored: pinned, contents: null };
  try {
    const contents = await ask(request);
    // If the host reports no version, assume that its files are unchanged.
    const stored = contents.version ? ofVersion(contents.version) : newest(({ last_used }) => last_used);
    return { stored, contents };
  } catch (thrown) {
    const error = toTokenFormerError(thrown);
    // As in src/hub/answer.rs: a copy that was verified once replaces what cannot be reached.
    const mayStandIn = ["network", "rate-limited", "model-not-found", "unauthorized"].includes(error.code);
    const named = (/** @type {ModelRecord} */ { key, names, last_used }) =>
      !request.repository ? last_used : key.commit === request.revision ? Infinity : names[request.revision];
    const stored = mayStandIn ? newest(named) : null;
    return stored ? { stored, contents: null } : { stored, contents: null, error };
  }
}

/** @param {Request} request */
async function ask({ signal, ...request }) {
  const { controller, unlink } = linkedTo(signal);
  const late = new TokenFormerError("network", `No answer came within ${ASKING_MS / 1000} seconds.`);
  const timer = setTimeout(() => controller.abort(late), ASKING_MS);
  try {
    return await anyContents(request, controller.signal);
  } finally {
    clearTimeout(timer);
    unlink();
  }
}

/** What the place has; of several folders, the first that has something. @param {Omit<Request, "signal">} request @param {AbortSignal} signal */
async function anyContents({ folders, ...request }, signal) {
  const [first, ...others] = folders.map((folderUrl) => ({ ...request, folderUrl }));
  try {
    return await contentsOf(first ?? request, signal);
  } catch (error) {
    for (const other of others) {
      const contents = signal.aborted ? null : await contentsOf(other, signal).catch(() => null);
      if (contents) return contents;
    }
    throw error;
  }
}

/** @param {ModelRecord["key"]} key @param {Request} request */
function isSameModel({ endpoint, id }, request) {
  return id === request.id && endpoint === (request.repository ? request.endpoint : "");
}

/** Whether a record has the requested precision and shape, as in src/store/serve.rs. @param {ModelRecord} record @param {Request} request */
function fits({ key, is_converted: isConverted, told }, { quantization, config }) {
  const isOfPrecision = quantization ? quantization === key.quantization : !isConverted || key.quantization === "q4";
  return isOfPrecision && completed(told, config) !== null;
}

/** @param {ModelRecord} record @param {string | null} version */
const isVersion = ({ key }, version) => version === null || key.commit === version;

/** Bytes that are still to be downloaded; null if unknown. @param {Contents | null} contents @param {ModelRecord[]} partly */
async function leftOf(contents, partly) {
  const bytes = contents?.bytes ?? null;
  if (bytes === null) return null;
  const there = await Promise.all(partly.filter(({ complete }) => !complete).map(({ key }) => downloadedBytes(key)));
  return Math.max(0, bytes - Math.max(0, ...there));
}

/** The precision of the tables once they are loaded. @param {Request} request @param {ModelRecord | null} stored @param {Contents | null} contents */
function checkedQuantization({ quantization }, stored, contents) {
  const own = contents?.quantization;
  if (own && quantization && own !== quantization)
    throw invalidArgument(
      `quantization is "${quantization}", but this model is stored as "${own}".`,
      "Leave quantization out, or name a model of that precision.",
    );
  return stored?.key.quantization ?? own ?? quantization ?? "q4";
}

/** @param {Request} request @param {ModelRecord | null} stored @param {Contents | null} contents */
function shapeOf({ config, repository }, stored, contents) {
  const preset = contents?.quantization ? {} : presetOf(repository);
  const told = stored?.told ?? { ...preset, ...completed(contents?.config ?? {}, undefined) };
  return completed(told, config) ?? {};
}

/** @param {Request} request @param {import("./shape.js").Shape} shape */
function checkContextLength({ contextLength }, { max_position_embeddings: most }) {
  if (contextLength !== undefined && most !== undefined && contextLength > most)
    throw invalidArgument(`contextLength is ${contextLength}; this model allows 1 to ${most}.`);
}

/** Parameters of a checkpoint whose shape only its tables show: nearly all of its bytes are 32-bit numbers. @param {Contents | null} contents */
function guessed(contents) {
  return contents && contents.quantization === null && contents.bytes !== null ? contents.bytes / 4 : null;
}
