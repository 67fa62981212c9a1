// The contents of a release, written into a folder: both npm packages as made by `npm pack`, a zip of the site, the
// import map of the package with the hash of every module, and checksums of all files.
//
//     scripts/release [FOLDER]      default: release/; it is emptied first

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { integrityOf, nameOf } from "./name-build.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const PACKAGES = ["npm", "npm-stories"];
/** Where npm packages are served by version; other CDNs use the same paths on another host. */
const CDN = "https://cdn.jsdelivr.net/npm";

/**
 * The import map of a package's folder, for a page that loads it from a CDN: `imports` for the package's exports that
 * are modules, `integrity` for every module that may be loaded.
 * @param {string} folder
 * @param {string} [cdn] the address before the package's name
 */
export function importMap(folder, cdn = CDN) {
  const { name, version, exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const address = (file) => `${cdn}/${name}@${version}/${file.replace(/^\.\//, "")}`;
  const modules = Object.entries(exports).filter(([, entry]) => typeof entry === "object");
  const imports = modules.map(([entry, { default: file }]) => [`${name}${entry.slice(1)}`, address(file)]);
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".js"))
    .sort();
  const integrity = files.map((file) => [address(file), integrityOf(readFileSync(join(folder, file)))]);
  return { imports: Object.fromEntries(imports), integrity: Object.fromEntries(integrity) };
}

/** `sha256sum`'s lines for the files of a folder. @param {string} folder */
function checksums(folder) {
  const sum = (file) =>
    createHash("sha256")
      .update(readFileSync(join(folder, file)))
      .digest("hex");
  return readdirSync(folder)
    .sort()
    .map((file) => `${sum(file)}  ${file}\n`)
    .join("");
}

/** Writes a release of this repository's build into `target`, and returns the import map. @param {string} target */
export function release(target) {
  for (const folder of ["dist", ...PACKAGES])
    if (!existsSync(join(root, folder)))
      throw new Error(`There is no ${folder}/: run . scripts/env && trunk build --release`);
  const build = nameOf(join(root, "dist"));
  for (const file of ["tokenformer.js", "tokenformer.worker.js"])
    if (!build || !readFileSync(join(root, "npm", file), "utf8").includes(build))
      throw new Error("npm/ was not made of dist/: run node scripts/npm-package.mjs");
  const { version } = JSON.parse(readFileSync(join(root, "npm/package.json"), "utf8"));
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const folder of PACKAGES)
    execFileSync("npm", ["pack", join(root, folder), "--pack-destination", target, "--silent"], { stdio: "pipe" });
  // -X: without this machine's file owners and times.
  execFileSync("zip", ["-qrX", join(target, `tokenformer-web-site-v${version}.zip`), "."], { cwd: join(root, "dist") });
  const map = importMap(join(root, "npm"));
  writeFileSync(join(target, "import-map.json"), `${JSON.stringify(map, null, 2)}\n`);
  writeFileSync(join(target, "SHA256SUMS"), checksums(target));
  return map;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const target = resolve(process.argv[2] ?? join(root, "release"));
  try {
    const map = release(target);
    console.error(`release: ${readdirSync(target).join(", ")} are in ${target}. The import map:`);
    console.log(JSON.stringify(map, null, 2));
  } catch (error) {
    console.error(`release: ${error.message}`);
    process.exitCode = 1;
  }
}
