#!/usr/bin/env node
// Makes the npm package of a build: the folder npm/, for `npm install ./npm` or `npm publish ./npm`. It stands beside
// dist/, not in it: the model would be there twice, on every host and in every archive of the site.
//
//     node scripts/npm-package.mjs [BUILD [PACKAGE]]      dist and npm unless told otherwise
//
// `trunk build` calls it (scripts/after-build.mjs) before it puts the files into dist/.

import { copyFileSync, cpSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nameBuild, nameOf } from "./name-build.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const build = process.argv[2] ?? process.env.TRUNK_STAGING_DIR ?? join(root, "dist");
const target = process.argv[3] ?? join(root, "npm");

/** A field of [package] in Cargo.toml, which has them all in one place. */
function field(name) {
  const [, value] = readFileSync(join(root, "Cargo.toml"), "utf8").match(new RegExp(`^${name} = "(.*)"$`, "m"));
  return value;
}

const manifest = {
  name: field("name"),
  version: field("version"),
  description: field("description"),
  license: field("license"),
  keywords: ["tokenformer", "language-model", "webgpu", "wasm", "custom-element"],
  type: "module",
  // Importing it defines <token-former>.
  sideEffects: true,
  types: "./tokenformer.d.ts",
  exports: {
    ".": { types: "./tokenformer.d.ts", default: "./tokenformer.js" },
    "./ai-sdk": { types: "./ai-sdk.d.ts", default: "./ai-sdk.js" },
    "./service-worker": { types: "./requests.d.ts", default: "./requests.js" },
    "./models/*": "./models/*",
    "./package.json": "./package.json",
  },
  customElements: "./custom-elements.json",
  files: ["*.js", "*.d.ts", "*.wasm", "custom-elements.json", "lib", "models"],
};

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
writeFileSync(join(target, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
for (const name of ["README.md", "LICENSE"]) copyFileSync(join(root, name), join(target, name));
copyFileSync(join(root, "www/custom-elements.json"), join(target, "custom-elements.json"));
for (const name of ["tokenformer.js", "tokenformer.d.ts", "tokenformer-web.js", "tokenformer-web_bg.wasm"]) {
  copyFileSync(join(build, name), join(target, name));
}
for (const name of ["ai-sdk", "requests"]) {
  for (const ending of ["js", "d.ts"])
    copyFileSync(join(build, `${name}.${ending}`), join(target, `${name}.${ending}`));
}
cpSync(join(build, "lib"), join(target, "lib"), { recursive: true });
linkTree(join(build, "models"), join(target, "models"));
nameBuild(target, { name: nameOf(build), addresses: false });

/** The model is large: the same file under two names, where the disk can do that. */
function linkTree(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, copy] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      linkTree(source, copy);
      continue;
    }
    try {
      linkSync(source, copy);
    } catch {
      copyFileSync(source, copy);
    }
  }
}
