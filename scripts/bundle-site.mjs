// Bundles what a build's pages and the sites that embed it load: one script for each page and one for the worker, where
// the modules are 150 files in six levels of imports, each level a journey to the server and back.
//
// The bundles are to be read: nothing is renamed, and a comment before each module names its file. The modules lie beside
// them as they are. A page's bundle has a name of its own, which the page asks for. Modules that others ask for by
// their address are replaced by their bundles, at whose heads they stay as comments.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { build } from "esbuild";
import { headOf, OPTIONS, sourceOf } from "./bundle.mjs";

const WORKER = "lib/engine/worker.js";
/** Published modules that share code, and the file with all that they share: in lib/, which is copied with them. */
const ENTRIES = ["tokenformer.js", "ai-sdk.js"];
const LIBRARY = "lib/library.js";
/** All that tokenformer.js needs: as if ai-sdk.js needed it, too, it is in one file. */
const ALL_OF_IT = "./lib/element/element.js";
/** Not in that file: requests.js, which is not bundled, has to throw the same class. */
const ERRORS = "lib/errors.js";

/** Modules whose bundles take their place. */
const REPLACED = [...ENTRIES, WORKER];
/** What works without a network besides what pages name: their worker, and the module for other pages of the folder. */
export const PUBLISHED = ["tokenformer.js", LIBRARY, ERRORS, WORKER];

const SCRIPT = /(?<=<script type="module" src=")([^"?]+?)(?:\.bundle)?\.js(?=[?"])/g;
/** The page with its scripts' bundles. @param {string} html */
export const withBundles = (html) => html.replace(SCRIPT, "$1.bundle.js");
/** The page with its scripts as they are. @param {string} html */
export const withModules = (html) => html.replace(SCRIPT, "$1.js");
/** Addresses of a page's scripts. @param {string} html */
export const scriptsOf = (html) => [...html.matchAll(SCRIPT)].map(([address]) => address);
/** Whether a file is made of others, here or by bundle.mjs. @param {string} path */
export const isBundle = (path) => path.endsWith(".bundle.js") || path === LIBRARY;

/** Begins addresses that are relative to the build's folder, until it is known which bundle they are in. */
const ROOT = "build:";
/** The text with addresses relative to the bundle. @param {string} text @param {string} bundle its path in the build's folder */
const withAddresses = (text, bundle) =>
  text.replace(/"build:([^"]+)"/g, (_, path) => `"${`./${relative(dirname(bundle), path)}`.replace("./..", "..")}"`);

/**
 * Reads modules with their build's name in addresses, which become relative to its folder. What `import()` loads, and
 * the files `apart`, are not included.
 * @param {{ root: string, query: string, apart: string[] }} options `root`: the folder; `query`: the name in addresses
 */
const modulesOf = ({ root, query, apart }) => ({
  name: "modules of a site",
  setup({ onLoad, onResolve }) {
    const addressOf = (file) => ROOT + relative(root, file) + query;
    onResolve({ filter: /^\./ }, ({ path, resolveDir, kind }) => {
      const file = resolve(resolveDir, path.split("?")[0]);
      const isApart = kind === "dynamic-import" || apart.some((name) => file === join(root, name));
      return isApart ? { path: addressOf(file), external: true } : { path: file };
    });
    onLoad({ filter: /\.js$/ }, ({ path }) => {
      const contents = sourceOf(readFileSync(path, "utf8"))
        .replace(
          /(\bnew URL\()"(\.{1,2}\/[^"?]+)[^"]*"(, import\.meta\.url\))/g,
          (_, before, address, after) => `${before}"${addressOf(resolve(dirname(path), address))}"${after}`,
        )
        // The glue is always passed the file's address.
        .replace("new URL('tokenformer-web_bg.wasm', import.meta.url)", "undefined");
      const more = path === join(root, "ai-sdk.js") ? `import ${JSON.stringify(ALL_OF_IT)};\n` : "";
      return { contents: contents + more, loader: "js" };
    });
  },
});

/**
 * Bundles the pages, the module and its worker in `folder`, which is named already.
 * @param {string} folder
 * @param {string} name the build's
 */
export async function bundleSite(folder, name) {
  const root = resolve(folder);
  const read = (path) => readFileSync(join(root, path), "utf8");
  const pages = readdirSync(root).filter((file) => file.endsWith(".html"));
  const scripts = pages.flatMap((page) => scriptsOf(withModules(read(page))));
  const bundle = (entryPoints, { apart = [], ...more } = {}) => {
    const out = join(root, dirname(entryPoints[0]));
    const plugins = [modulesOf({ root, query: `?build=${name}`, apart })];
    const paths = { absWorkingDir: root, entryPoints, outdir: out, external: ["node:*"] };
    return build({ ...OPTIONS, ...paths, plugins, write: false, ...more });
  };
  const [{ outputFiles: library }, ...others] = await Promise.all([
    bundle(ENTRIES, { apart: [ERRORS], splitting: true, chunkNames: LIBRARY.slice(0, -3) }),
    bundle([WORKER]),
    ...scripts.map((script) => bundle([script])),
  ]);
  const files = new Map();
  const put = (path, { text }) => files.set(path, `${withAddresses(text, path)}// tokenformer-web build ${name}\n`);
  for (const file of library) put(relative(root, file.path), file);
  [WORKER, ...scripts.map((script) => script.replace(/\.js$/, ".bundle.js"))].forEach((path, at) =>
    put(path, others[at].outputFiles[0]),
  );
  // Only the files that share code ask for each other.
  for (const path of ENTRIES)
    files.set(path, files.get(path).replace(`"./${LIBRARY}"`, `"./${LIBRARY}?build=${name}"`));
  for (const path of REPLACED) files.set(path, headOf(sourceOf(read(path))) + files.get(path));
  for (const [path, text] of files) writeFileSync(join(root, path), text);
}
