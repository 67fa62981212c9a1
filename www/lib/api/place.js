// The place that a call of `load` or `availability` refers to.

import { resolveName } from "./names.js";
import { checkRevision, LOAD_OPTIONS } from "./options.js";

/** What `name` refers to, with the revision from a hub address, unless the option names one. @param {string | undefined} name @param {{ endpoint: string, revision: string }} options */
export function requestedPlace(name, { endpoint, revision }) {
  const { revision: told, ...place } = resolveName(name, undefined, endpoint);
  const isOpen = revision === LOAD_OPTIONS.revision.default && told !== undefined;
  return { ...place, revision: isOpen ? checkRevision(told) : revision };
}
