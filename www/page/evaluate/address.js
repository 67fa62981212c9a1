// What the address of evaluate.html says about model and precisions: it preselects them and starts nothing. Invalid
// parts are ignored.

import { resolveName } from "../../lib/api/names.js";
import { LOAD_OPTIONS } from "../../lib/api/options.js";
import { isLocal } from "../local-folder.js";

/** `{ name, precisions }`; the name is null for the embedded model. @param {string} search @param {string} base */
export function readAddress(search, base) {
  const query = new URLSearchParams(search);
  const precisions = (query.get("quantization") ?? "")
    .split(",")
    .filter((value) => LOAD_OPTIONS.quantization.values?.includes(value));
  const name = query.get("model") || null;
  try {
    if (name !== null) resolveName(name, base);
    return { name: isLocal(name) ? null : name, precisions };
  } catch {
    return { name: null, precisions };
  }
}

/** The reverse: includes neither the hub nor an access token, nor a folder on someone's device. @param {string | null} name @param {string[]} precisions */
export function toAddress(name, precisions) {
  const query = new URLSearchParams();
  if (name !== null && !isLocal(name)) query.set("model", name);
  const told = precisions.filter(Boolean);
  if (told.length > 0) query.set("quantization", told.join(","));
  const text = query.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}
