// Bundles the modules of a build for users who do not take its folder unchanged: the files of the npm package, and a
// single file for pages that want one address. Addresses that other bundlers need to find are written in the form they
// look for.

import { readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { build } from "esbuild";

const WASM = "tokenformer-web_bg.wasm";
const GLUE = "tokenformer-web.js";
const WORKER = "tokenformer.worker.js";
/** The program in one file. */
export const SINGLE_FILE = "tokenformer.bundle.js";
const WORKER_SOURCE = "tokenformer.worker-source.js";

/** The files of the package beside its entries. */
export const PACKAGE_FILES = [WASM, GLUE, WORKER, WORKER_SOURCE, SINGLE_FILE];

/** How everything is bundled. */
export const OPTIONS = { bundle: true, format: "esm", target: "es2022", charset: "utf8", logLevel: "warning" };

const HEAD = "// The module of this name, with all that it imports (scripts/bundle-site.mjs). By itself it is:\n";
const LINE = "//|";

/** A module as it was before its bundle replaced it; other text as it is. @param {string} text */
export function sourceOf(text) {
  if (!text.startsWith(HEAD)) return text;
  const lines = text.slice(HEAD.length).split("\n");
  const end = lines.findIndex((line) => !line.startsWith(LINE));
  return `${lines
    .slice(0, end)
    .map((line) => line.slice(LINE.length).replace(/^ /, ""))
    .join("\n")}\n`;
}

/** What stands at the head of a bundle that replaces a module. @param {string} source */
export const headOf = (source) =>
  HEAD +
  source
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => `${LINE}${line && " "}${line}\n`)
    .join("");

/** Replacement for www/lib/distribution.js. `source`: the function that resolves to the worker's text. */
const distribution = (text, { version, isSingleFile, source }) =>
  text
    .replace(/(const VERSION = )""/, `$1${JSON.stringify(version)}`)
    .replace(/(const IS_SINGLE_FILE = )false/, `$1${isSingleFile}`)
    .replace('"lib/engine/worker.js"', `"${WORKER}"`)
    .replace(/(const workerSource = )null/, `$1${source}`);

/**
 * Reads the modules of a build: addresses that bundlers follow point to files beside the bundle, and no address has a
 * build's name, which bundlers would take for an option of theirs.
 * @param {{ query?: string, text?: (path: string, text: string) => string }} [changes] `query`: the query string for the WebAssembly file
 */
const modulesOf = ({ query = "", text: change = (_, text) => text } = {}) => ({
  name: "modules of a build",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /\?build=/ }, ({ path, resolveDir }) => ({ path: join(resolveDir, path.split("?")[0]) }));
    onLoad({ filter: /\.js$/ }, ({ path }) => {
      const text = sourceOf(readFileSync(path, "utf8"))
        .replace(/\?build=[0-9a-f]{12}(?=")/g, "")
        .replace(/(\bnew URL\()"[^"]*\/([^"/]+)"(, import\.meta\.url\))/g, (_, before, name, after) => {
          const beside = name === WASM ? `${name}${query}` : name === "worker.js" ? WORKER : undefined;
          if (!beside) throw new Error(`${path} asks for ${name}, which lies beside no bundle.`);
          return `${before}"./${beside}"${after}`;
        })
        // The glue is always passed the file's address; bundlers need not find it a second time.
        .replace(`new URL('${WASM}', import.meta.url)`, "undefined");
      return { contents: change(path, text), loader: "js" };
    });
  },
});

/** Leaves imports of these files to the bundle's user. @param {string[]} names */
const beside = (names) => ({
  name: "files beside the bundle",
  setup({ onResolve }) {
    const filter = new RegExp(`(^|/)(${names.map((name) => name.replaceAll(".", "\\.")).join("|")})(\\?.*)?$`);
    onResolve({ filter }, ({ kind, path }) =>
      kind === "entry-point" ? undefined : { path: `./${basename(path.split("?")[0])}`, external: true },
    );
  },
});

const inDistribution = (values) => (path, text) =>
  basename(path) === "distribution.js" ? distribution(text, values) : text;

/** The worker as a script that imports nothing. @param {string} from folder of the build @param {string} version */
async function workerText(from, version) {
  const { outputFiles } = await build({
    ...OPTIONS,
    format: "iife",
    minify: true,
    absWorkingDir: resolve(from),
    entryPoints: ["lib/engine/worker.js"],
    define: { "import.meta.url": "undefined" }, // its page tells it where files are
    plugins: [modulesOf({ text: inDistribution({ version, isSingleFile: false, source: "null" }) })],
    write: false,
  });
  return outputFiles[0].text;
}

/**
 * Bundles the entries of the package, `{ file in the package: module of the build }`, with what they need, into `to`.
 * @param {string} from folder of the build
 * @param {string} to
 * @param {{ version: string, entries: Record<string, string> }} options
 */
export async function bundlePackage(from, to, { version, entries }) {
  const worker = await workerText(from, version);
  writeFileSync(join(to, WORKER), worker);
  writeFileSync(join(to, WORKER_SOURCE), `export default ${JSON.stringify(worker)};\n`);
  const main = { version, isSingleFile: false, source: `async () => (await import("./${WORKER_SOURCE}")).default` };
  const options = { ...OPTIONS, absWorkingDir: resolve(from), outdir: resolve(to), external: ["node:*"] };
  const read = modulesOf({ text: inDistribution(main) });
  await build({ ...options, entryPoints: [GLUE], plugins: [read] });
  // Code shared by entries is included once: all of them use the same model classes.
  const entryPoints = Object.entries(entries).map(([file, module]) => ({ in: module, out: basename(file, ".js") }));
  await build({ ...options, entryPoints, splitting: true, plugins: [beside([GLUE, WORKER_SOURCE]), read] });
  await bundleSingleFile(from, to, { version });
}

/**
 * Writes the single file, with everything except the WebAssembly file and the model.
 * @param {string} from folder of the build
 * @param {string} to
 * @param {{ version?: string, query?: string }} [options] `query`: the query string for the WebAssembly file
 */
export async function bundleSingleFile(from, to, { version = "", query = "" } = {}) {
  const source = `async () => ${JSON.stringify(await workerText(from, version))}`;
  await build({
    ...OPTIONS,
    absWorkingDir: resolve(from),
    entryPoints: ["tokenformer.js"],
    outfile: resolve(to, SINGLE_FILE),
    external: ["node:*"],
    minify: true,
    plugins: [modulesOf({ query, text: inDistribution({ version, isSingleFile: true, source }) })],
  });
}
