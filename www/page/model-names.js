// A model's display name, and the host that it comes from, which is shown wherever a model can be chosen: anyone can
// choose a folder's address, and so its name.

import { DEFAULT_ENDPOINT, normalizeEndpoint } from "../lib/api/names.js";
import { isLocal, localName } from "./local-folder.js";
import { parseAddress } from "./parse-address.js";
import { EMBEDDED, OFFERED } from "./published.js";

/** Invisible characters, characters that change the writing direction, and all kinds of blanks. */
const UNSEEN = /[\p{C}\p{Z}\s]+/gu;

/**
 * `{ label, host }` of a model as named by the attribute `model`; null for the embedded one. The host is "" if the
 * model comes with the page.
 *
 * @param {string | null} name
 * @param {string | null} [endpoint] the attribute of that name
 */
export function describeModel(name, endpoint = null) {
  if (name === EMBEDDED.name) return { label: EMBEDDED.label, host: "" };
  if (isLocal(name)) return { label: shown(localName(lastOf(name))), host: "this device" };
  const known = OFFERED.find((model) => model.name === name);
  const isAddress = /^(\/|\.\.?\/)|^[a-z][a-z0-9+.-]*:/i.test(name);
  if (!isAddress) return { label: known?.label ?? shown(name), host: hostOf(endpointOf(endpoint)) };
  const host = hostOf(name, globalThis.document?.baseURI);
  return { label: shown(decoded(lastOf(name))) || shown(name), host };
}

/** Both in one phrase: "TokenFormer 150M (huggingface.co)". @param {string | null} name @param {string | null} [endpoint] */
export function modelInWords(name, endpoint) {
  const { label, host } = describeModel(name, endpoint);
  return host ? `${label} (${host})` : label;
}

/** The hub's address: that of the published models if none is given. @param {string | null} endpoint */
export function endpointOf(endpoint) {
  const given = endpoint ?? DEFAULT_ENDPOINT;
  return normalizeEndpoint(given) ?? given;
}

/** @param {string} address @param {string} [base] */
const hostOf = (address, base) => parseAddress(address, base)?.host || "an unknown host";

/** The last part of a path. @param {string} name */
const lastOf = (name) => name.replace(/\/+$/, "").split("/").at(-1) ?? "";

/** @param {string} text */
const shown = (text) => text.replace(UNSEEN, " ").trim();

/** @param {string} segment */
function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
