// The name of the build that these files belong to, and what happens if a file of another build answers.
//
// scripts/name-build.mjs writes the name into every file of a build. Parts of two builds never talk to each other: a
// tab that stayed open during a deployment, or a cache that kept some files longer than others, can mix them.

import { TokenFormerError } from "./errors.js";

/** A hash of the built files. "dev": not built, so there is no name to compare. */
export const BUILD = "dev";

/** Hash of the WebAssembly file, in the form that `fetch` compares; "" if the files were not built. @type {string} */
export const WASM_INTEGRITY = "";

/** Its size in bytes, an upper bound for the download, since hosts compress it. 0 if the files were not built. @type {number} */
export const WASM_BYTES = 0;

/** Throws if `what`, whose build is `name`, does not belong to this build. @param {unknown} name @param {string} what */
export function checkBuild(name, what) {
  if (name === BUILD || name === "dev" || BUILD === "dev") return;
  throw otherBuild(`${what} is of another build (${name ?? "one without a name"}) than this page (${BUILD}).`);
}

/** The error for parts of different builds. @param {string} message */
export function otherBuild(message) {
  return new TokenFormerError("integrity", message, {
    hint: "Reload the page: the site was updated. If that does not help, serve all files of one build together.",
  });
}

/** The build name that a WebAssembly file holds in a custom section. @param {WebAssembly.Module} module */
export function buildOf(module) {
  const [name] = WebAssembly.Module.customSections(module, "tokenformer-web build");
  return name ? new TextDecoder().decode(name) : null;
}
