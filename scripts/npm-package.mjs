#!/usr/bin/env node
// Makes the npm packages of a build: the folders npm/, the code, and npm-stories/, the embedded model, for
// `npm install` or `npm publish`. They are beside dist/, not in it: otherwise every host would have the model twice.
//
//     node scripts/npm-package.mjs [BUILD [PACKAGE [MODEL_PACKAGE]]]      defaults: dist, npm and npm-stories
//
// `trunk build` calls it (scripts/after-build.mjs) before it puts the files into dist/.

import { copyFileSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundlePackage, PACKAGE_FILES } from "./bundle.mjs";
import { MODEL_PACKAGE, PACKAGE } from "../www/lib/distribution.js";
import { EMBEDDED } from "../www/lib/embedded.js";

const root = fileURLToPath(new URL("../", import.meta.url));
const build = process.argv[2] ?? process.env.TRUNK_STAGING_DIR ?? join(root, "dist");
const target = process.argv[3] ?? join(root, "npm");
const modelTarget = process.argv[4] ?? `${target}-stories`;

/**
 * The entries of the package: the import path after "tokenformer-web", the module of the build that it is made from,
 * and its types. `file` is its name in the package. Shared code is in chunks beside them.
 */
const ENTRIES = [
  { name: ".", module: "tokenformer.js", types: "tokenformer.d.ts", file: "tokenformer.js" },
  { name: "./ai-sdk", module: "ai-sdk.js", types: "ai-sdk.d.ts", file: "ai-sdk.js" },
  { name: "./service-worker", module: "requests.js", types: "requests.d.ts", file: "requests.js" },
  { name: "./bundle", types: "tokenformer.d.ts", file: "tokenformer.bundle.js" },
];

/** Files that bundlers and tools may request by name. */
const FILES = ["tokenformer-web_bg.wasm", "tokenformer.worker.js", "custom-elements.json", "package.json"];

/** A field of [package] in Cargo.toml, the single place for all of them. */
function field(name) {
  const [, value] = readFileSync(join(root, "Cargo.toml"), "utf8").match(new RegExp(`^${name} = "(.*)"$`, "m")) ?? [];
  return value;
}

const version = field("version");
const repository = field("repository");
const shared = {
  version,
  ...(repository && { repository: { type: "git", url: `git+${repository}.git` } }),
  type: "module",
};

const manifest = {
  name: PACKAGE,
  description: field("description"),
  license: field("license"),
  keywords: ["tokenformer", "language-model", "llm", "text-generation", "webgpu", "wasm", "custom-element", "browser"],
  ...shared,
  main: "./tokenformer.js",
  module: "./tokenformer.js",
  types: "./tokenformer.d.ts",
  bin: { "tokenformer-web": "./copy.mjs" },
  exports: {
    ...Object.fromEntries(
      ENTRIES.map(({ name, types, file }) => [name, { types: `./${types}`, default: `./${file}` }]),
    ),
    ...Object.fromEntries(FILES.map((file) => [`./${file}`, `./${file}`])),
  },
  // Importing it defines <token-former>.
  sideEffects: true,
  customElements: "./custom-elements.json",
  files: ["*.js", "*.mjs", "*.d.ts", "*.wasm", "custom-elements.json"],
  // The types of ./ai-sdk come from the package @ai-sdk/provider.
  peerDependencies: { [MODEL_PACKAGE]: version, "@ai-sdk/provider": ">=4 <5" },
  peerDependenciesMeta: { [MODEL_PACKAGE]: { optional: true }, "@ai-sdk/provider": { optional: true } },
};

const modelManifest = {
  name: MODEL_PACKAGE,
  description: `${EMBEDDED.label}: the model that TokenFormer.load() of ${PACKAGE} loads without a name (${EMBEDDED.about}).`,
  license: field("license"),
  keywords: ["tokenformer", "language-model", "stories", "weights"],
  ...shared,
  exports: { "./models/*": "./models/*", "./package.json": "./package.json" },
  sideEffects: false,
  files: ["models"],
};

function begin(folder, manifest) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
}

begin(target, manifest);
copyFileSync(join(root, "README.md"), join(target, "README.md"));
copyFileSync(join(root, "www/custom-elements.json"), join(target, "custom-elements.json"));
copyFileSync(join(root, "scripts/npm.d/copy.mjs"), join(target, "copy.mjs"));
for (const types of new Set(ENTRIES.map(({ types }) => types))) copyFileSync(join(build, types), join(target, types));
copyFileSync(join(build, "tokenformer-web_bg.wasm"), join(target, "tokenformer-web_bg.wasm"));
const entries = Object.fromEntries(ENTRIES.flatMap(({ file, module }) => (module ? [[file, module]] : [])));
await bundlePackage(build, target, { version, entries });
for (const file of PACKAGE_FILES) readFileSync(join(target, file)); // throws where one is missing

begin(modelTarget, modelManifest);
copyFileSync(join(build, `models/${EMBEDDED.name}/README.md`), join(modelTarget, "README.md"));
linkTree(join(build, "models"), join(modelTarget, "models"));

/** The model is large: use a hard link if the disk supports it. */
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
