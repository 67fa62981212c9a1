// The name of the build that these files are of, and what is done where another build's file answers.
//
// scripts/name-build.mjs writes the name into every file of a build. Parts of two builds never talk to each other: a tab
// that stayed open over a deployment, or a cache that kept one file longer than the next, may bring them together.

import { TokenFormerError } from "./errors.js";

/** A hash of the built files. "dev": they were not built, and have no name to compare. */
export const BUILD = "dev";

/** Hash of the WebAssembly file, as `fetch` compares it; "" where the files were not built. @type {string} */
export const WASM_INTEGRITY = "";

/** Its bytes: at most so many are downloaded, since hosts compress it. 0 where the files were not built. @type {number} */
export const WASM_BYTES = 0;

/** Throws where `what`, which calls itself `name`, is not of this build. @param {unknown} name @param {string} what */
export function checkBuild(name, what) {
  if (name === BUILD || name === "dev" || BUILD === "dev") return;
  throw otherBuild(`${what} is of another build (${name ?? "one without a name"}) than this page (${BUILD}).`);
}

/** The error of parts that are not of one build. @param {string} message */
export function otherBuild(message) {
  return new TokenFormerError("integrity", message, {
    hint: "Reload the page: the site was updated. If that does not help, serve all files of one build together.",
  });
}

/** The name that a build's WebAssembly file holds in a section of its own. @param {WebAssembly.Module} module */
export function buildOf(module) {
  const [name] = WebAssembly.Module.customSections(module, "tokenformer-web build");
  return name ? new TextDecoder().decode(name) : null;
}
