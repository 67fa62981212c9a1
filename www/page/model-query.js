// The page's model in the address of another page of this site.

import { isLocal } from "./local-folder.js";

/**
 * Attributes of an element, of those named, as parameters; null for a model that no address names: a folder on this device,
 * which only this page can read, or one of another hub, which is this visitor's own choice.
 * @param {(attribute: string) => string | null} get an element's attributes
 * @param {readonly string[]} names
 */
export function modelQuery(get, names) {
  if (isLocal(get("model")) || get("endpoint") !== null) return null;
  const query = new URLSearchParams();
  for (const name of names) {
    const value = get(name);
    if (value) query.set(name, value);
  }
  return query;
}
