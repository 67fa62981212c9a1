#!/usr/bin/env node
// Gives a build its name: a hash of its files, so that the same files have the same name.
//
//     node scripts/name-build.mjs [FOLDER]      default: dist; run again after changing a file there
//
// The name is in every file. Files request each other with ?build=NAME, so that no cache answers with another build's
// file; only tokenformer.js, which others import, has the same address for all builds. service-worker.js gets the list
// of files to cache, and the modules that it imports are inlined: not every browser supports service workers that are
// modules. Pages ask for the bundles of their scripts, which bundle-site.mjs makes once everything has its name.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleSingleFile, sourceOf } from "./bundle.mjs";
import { bundleSite, isBundle, PUBLISHED, scriptsOf, withBundles, withModules } from "./bundle-site.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const NAME = "[0-9a-f]{12}";
const SECTION = "tokenformer-web build";
const SERVICE_WORKER = "service-worker.js";
/**
 * Not part of the program: models have hashes of their own, and the documentation is a site of its own. Bundles are made
 * from the others once they have their name.
 */
const APART = ["models", "docs"];
/** Fetched once a model is loaded. */
const WASM = "tokenformer-web_bg.wasm";
const ENGINE = ["tokenformer-web.js", WASM];

/** References to other files of the build, by file extension: the text before the address, the address, and the text after it. */
const REFERENCES = {
  js: [
    /(\bfrom |\bimport |\bimport\((?:\/\*[^*]*\*\/ ?)?)"(\.{1,2}\/[^"?]+)(")/g,
    /(\bnew URL\()"([^"?]+\.(?:js|wasm))(", (?:import\.meta\.url|HERE|ROOT)\))/g,
  ],
  html: [/(\b(?:src|href)=)"((?:\.\/)?[^":?#]+\.(?:js|css|svg))(")/g],
};
/** The last line of a named file, by its extension. */
const LAST_LINES = {
  js: [`// ${SECTION} `, ""],
  css: [`/* ${SECTION} `, " */"],
  html: [`<!-- ${SECTION} `, " -->"],
  svg: [`<!-- ${SECTION} `, " -->"],
};

/** An import of the service worker, and the module that replaces it. */
const IMPORT = /^(import (\{ \w+ \}) from "\.\/([\w./-]+)";.*)$/gm;
const IMPORTED = /^\/\/ (import .*)\n[^]*?\n\/\/ end of import$/gm;

const ending = (path) => path.slice(path.lastIndexOf(".") + 1);

/** The program's files in `folder`, by their paths. */
function filesOf(folder, below = "") {
  return readdirSync(join(folder, below), { withFileTypes: true })
    .flatMap((entry) => {
      const path = below + entry.name;
      if (entry.name.startsWith(".") || APART.includes(path) || isBundle(path)) return [];
      if (entry.isDirectory()) return filesOf(folder, `${path}/`);
      return ending(path) in LAST_LINES || ending(path) === "wasm" ? [path] : [];
    })
    .sort();
}

/** A file as it was before it was named. */
function unnamed(path, bytes) {
  if (ending(path) === "wasm") return bytes.subarray(0, bytes.length - sectionLength(bytes));
  const [before, after] = LAST_LINES[ending(path)];
  const escape = (text) => text.replace(/[/*]/g, "\\$&");
  const text = bytes.toString();
  return (ending(path) === "html" ? withModules(text) : sourceOf(text))
    .replace(new RegExp(`\n?${escape(before)}${NAME}${escape(after)}\n$`), "\n")
    .replace(new RegExp(`\\?build=${NAME}(?=")`, "g"), "")
    .replace(path === SERVICE_WORKER ? IMPORTED : /$^/, "$1")
    .replace(new RegExp(`(?<=^(?:export )?const BUILD = ")${NAME}(?=";$)`, "m"), "dev")
    .replace(/(?<=^export const WASM_INTEGRITY = ")sha384-[\w+/=]+(?=";$)/m, "")
    .replace(/(?<=^export const WASM_BYTES = )\d+(?=;$)/m, "0")
    .replace(/(?<=^const (?:SHELL|ENGINE) = )\[[^\]]*\](?=;$)/gm, "[]");
}

/**
 * The same with a name, by which files request each other. `integrity`, `bytes`: hash and size of the named WebAssembly
 * file. `files`: all of them, without names.
 */
function named(path, content, { name, integrity, bytes, lists, files }) {
  if (ending(path) === "wasm") return Buffer.concat([content, section(name)]);
  let text = (ending(path) === "html" ? withBundles(content) : content)
    .replace(/(?<=^(?:export )?const BUILD = ")dev(?=";$)/m, name)
    .replace(/(?<=^export const WASM_INTEGRITY = ")(?=";$)/m, integrity)
    .replace(/(?<=^export const WASM_BYTES = )0(?=;$)/m, String(bytes));
  if (path === SERVICE_WORKER) {
    for (const [list, paths] of Object.entries(lists))
      text = text.replace(`const ${list} = [];`, `const ${list} = ${JSON.stringify(paths, null, 1)};`);
    text = text.replace(
      IMPORT,
      (_, line, names, module) => `// ${line}\n${plain(files.get(module), names)}\n// end of import`,
    );
  } else {
    for (const reference of REFERENCES[ending(path)] ?? [])
      text = text.replace(reference, (_, before, address, after) => `${before}"${address}?build=${name}${after}`);
  }
  const [before, after] = LAST_LINES[ending(path)];
  return `${text}${text.endsWith("\n") ? "" : "\n"}${before}${name}${after}\n`;
}

/** What replaces an import of `names` in a script; the module has no imports of its own. */
function plain(module, names) {
  return `const ${names} = (() => {\n${module.replace(/^export /gm, "").trimEnd()}\nreturn ${names};\n})();`;
}

/** A custom section of WebAssembly, which engines ignore. Its lengths are below 128, one byte each. */
function section(name) {
  const [title, text] = [Buffer.from(SECTION), Buffer.from(name)];
  const body = Buffer.concat([Buffer.from([title.length]), title, text]);
  return Buffer.concat([Buffer.from([0, body.length]), body]);
}

/** A hash in the form that `fetch` and import maps compare. */
export const integrityOf = (bytes) => `sha384-${createHash("sha384").update(bytes).digest("base64")}`;

/** Length in bytes of the name at the end of a WebAssembly file. */
function sectionLength(bytes) {
  const { length } = section("0".repeat(12));
  const last = bytes.subarray(-length);
  const start = section("").length;
  return last.length === length && last[0] === 0 && last.subarray(2, start).equals(section("").subarray(2))
    ? length
    : 0;
}

/** Names the build in `folder`, which then lacks its bundles, and returns the name. */
export function nameBuild(folder) {
  const files = new Map(filesOf(folder).map((path) => [path, unnamed(path, readFileSync(join(folder, path)))]));
  const hash = createHash("sha256");
  for (const [path, content] of files) hash.update(`${path} ${content.length}\n`).update(content);
  const name = hash.digest("hex").slice(0, 12);
  const pages = [...files].filter(([path]) => ending(path) === "html");
  const scripts = pages.flatMap(([, html]) => scriptsOf(withBundles(html)));
  const others = [...files.keys()].filter((path) => ["html", "css", "svg"].includes(ending(path)));
  const SHELL = [...others, ...scripts, ...PUBLISHED].sort().map((path) => (path === "index.html" ? "./" : path));
  const lists = { SHELL, ENGINE };
  const wasm = files.get(WASM);
  const namedWasm = wasm && named(WASM, wasm, { name });
  const integrity = namedWasm ? integrityOf(namedWasm) : "";
  const bytes = namedWasm?.length ?? 0;
  for (const [path, content] of files)
    writeFileSync(join(folder, path), named(path, content, { name, integrity, bytes, lists, files }));
  return name;
}

/** The name of the build in `folder`, if it has one. */
export function nameOf(folder) {
  const file = join(folder, "lib/build.js");
  return existsSync(file) ? new RegExp(`const BUILD = "(${NAME})"`).exec(readFileSync(file, "utf8"))?.[1] : undefined;
}

/** Names the build in `folder`, makes its bundles, and returns its name. @param {string} folder */
export async function finishBuild(folder) {
  const name = nameBuild(folder);
  await bundleSite(folder, name);
  await bundleSingleFile(folder, folder, { query: `?build=${name}` });
  return name;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  console.log(await finishBuild(process.argv[2] ?? process.env.TRUNK_STAGING_DIR ?? join(root, "dist")));
