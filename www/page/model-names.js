// What a model is called for people, and the host that it comes from, which is shown wherever a model can be chosen: a
// folder's address, and so its name, may be anybody's choice.

import { normalizeEndpoint } from "../lib/api/names.js";
import { LOAD_OPTIONS } from "../lib/api/options.js";
import { isLocal, localName } from "./local-folder.js";
import { parseAddress } from "./parse-address.js";
import { EMBEDDED, PUBLISHED } from "./published.js";

/** Characters that show nothing or turn the writing around, and blanks of all kinds. */
const UNSEEN = /[\p{C}\p{Z}\s]+/gu;

/**
 * `{ label, host }` of a model as the attribute `model` names it; null for the embedded one. The host is "" where the model
 * comes with the page.
 *
 * @param {string | null} name
 * @param {string | null} [endpoint] the attribute of that name
 */
export function describeModel(name, endpoint = null) {
  if (name === EMBEDDED.name) return { label: EMBEDDED.label, host: "" };
  if (isLocal(name)) return { label: shown(localName(lastOf(name))), host: "this computer" };
  const known = PUBLISHED.find((model) => model.name === name);
  const isAddress = /^(\/|\.\.?\/)|^[a-z][a-z0-9+.-]*:/i.test(name);
  if (!isAddress) return { label: known?.label ?? shown(name), host: hostOf(endpointOf(endpoint)) };
  const host = hostOf(name, globalThis.document?.baseURI);
  return { label: shown(decoded(lastOf(name))) || shown(name), host };
}

/** Both in one sentence: "TokenFormer 150M (huggingface.co)". */
export function modelInWords(name, endpoint) {
  const { label, host } = describeModel(name, endpoint);
  return host ? `${label} (${host})` : label;
}

/** The host of a hub's address: the hub of the published models where none is given. */
export function endpointOf(endpoint) {
  return normalizeEndpoint(endpoint ?? LOAD_OPTIONS.endpoint.default) ?? endpoint;
}

const hostOf = (address, base) => parseAddress(address, base)?.host || "an unknown host";
const lastOf = (name) => name.replace(/\/+$/, "").split("/").at(-1);
const shown = (text) => text.replace(UNSEEN, " ").trim();

function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
