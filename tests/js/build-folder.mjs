// Folders as `trunk build` leaves them, without the engine and models: what is deployed, and deployed again.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { finishBuild, nameBuild } from "../../scripts/name-build.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
/** A WebAssembly module with nothing in it. */
const EMPTY_WASM = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

const folders = [];

/** `files`: replacement contents, by path. */
export function buildFolder(files = {}) {
  const folder = mkdtempSync(join(tmpdir(), "tokenformer-build-"));
  folders.push(folder);
  const filter = (source) => !source.includes("/models");
  cpSync(path("www"), folder, { recursive: true, filter });
  cpSync(path("index.html"), join(folder, "index.html"));
  writeFileSync(join(folder, "tokenformer-web.js"), "export default async () => {};\nexport class Engine {}\n");
  writeFileSync(join(folder, "tokenformer-web_bg.wasm"), EMPTY_WASM);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  mkdirSync(join(folder, "models/m"), { recursive: true });
  writeFileSync(join(folder, "models/m/config.json"), "{}");
  return folder;
}

/** The same with its name. */
export function namedBuild(files) {
  const folder = buildFolder(files);
  return { folder, name: nameBuild(folder) };
}

/** The same with its bundles, too: all that is deployed. */
export async function finishedBuild(files) {
  const folder = buildFolder(files);
  return { folder, name: await finishBuild(folder) };
}

export function removeBuilds() {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}
