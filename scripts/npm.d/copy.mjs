#!/usr/bin/env node
// Copies the files that bundlers leave out to where a site serves its files:
//
//     npx tokenformer-web copy public          models/ of the package tokenformer-web-stories, for load() without a name
//     npx tokenformer-web copy dist --engine   and the engine: for bundlers that do not follow new URL("…", import.meta.url)

import { cpSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ENGINE = ["tokenformer-web_bg.wasm", "tokenformer-web.js", "tokenformer.worker.js"];
const USAGE = "Usage: tokenformer-web copy FOLDER [--engine]";

/** The folder of the model's package: installed for the project, or beside this one. */
function modelPackage() {
  for (const from of [join(process.cwd(), "package.json"), fileURLToPath(import.meta.url)]) {
    try {
      return dirname(createRequire(from).resolve("tokenformer-web-stories/package.json"));
    } catch {
      // It may be in the other place.
    }
  }
  return null;
}

function copy(folder, takesEngine) {
  const target = resolve(folder);
  mkdirSync(target, { recursive: true });
  const stories = modelPackage();
  if (stories) cpSync(join(stories, "models"), join(target, "models"), { recursive: true });
  if (takesEngine)
    for (const name of ENGINE) cpSync(fileURLToPath(new URL(`./${name}`, import.meta.url)), join(target, name));
  if (!stories && !takesEngine) {
    console.error("The embedded model is a package of its own: npm install tokenformer-web-stories");
    return 1;
  }
  const copied = [stories && "models/", ...(takesEngine ? ENGINE : [])].filter(Boolean);
  console.log(`${copied.join(", ")} copied to ${folder}`);
  return 0;
}

const [command, folder, ...options] = process.argv.slice(2);
const isUsed = command === "copy" && folder && options.every((option) => option === "--engine");
if (!isUsed) console.error(USAGE);
process.exitCode = isUsed ? copy(folder, options.includes("--engine")) : 2;
