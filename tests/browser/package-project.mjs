// Projects outside of this repository that install the packed npm packages, like anyone's.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BIN = join(ROOT, "node_modules/.bin");

/** Packs these of our packages into a new folder outside of the repository; `{ folder, tarballs }`, by the packages' names. */
export async function pack(sources = ["npm", "npm-stories"]) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "tokenformer-projects-")));
  const packOne = async (source) => {
    const { stdout } = await run("npm", ["pack", join(ROOT, source), "--pack-destination", folder, "--json"]);
    const [{ name, filename }] = JSON.parse(stdout);
    return [name, join(folder, filename)];
  };
  return { folder, tarballs: Object.fromEntries(await Promise.all(sources.map(packOne))) };
}

/**
 * Copies an example into a folder of its own and installs what its package.json names, for our packages the tarballs. Without
 * `online`, nothing else: its tools are those of this repository. `tools`: versions of others instead of its own;
 * `workspace`: a folder above the project's that gets all packages, as with npm's workspaces.
 */
export async function install({ folder, tarballs }, example, { online = false, tools, workspace } = {}) {
  const project = join(
    workspace ?? folder,
    [example, ...Object.keys(tools ?? {}), ...Object.values(tools ?? {})].join("-").replace(/[^\w.]+/g, "-"),
  );
  cpSync(join(ROOT, "examples", example), project, {
    recursive: true,
    filter: (source) => !/\/(node_modules|dist|out|models|\.next)$/.test(source),
  });
  const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
  const others = online ? manifest : {};
  const dependencies = { ...others.dependencies };
  for (const [name, tarball] of Object.entries(tarballs)) dependencies[name] = `file:${tarball}`;
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({
      name: example,
      version: "1.0.0",
      ...manifest,
      dependencies,
      devDependencies: tools ?? others.devDependencies ?? {},
    }),
  );
  if (workspace) writeFileSync(join(workspace, "package.json"), JSON.stringify({ private: true, workspaces: ["*"] }));
  const options = ["--no-audit", "--no-fund", ...(online ? [] : ["--offline"])];
  await run("npm", ["install", ...options], { cwd: workspace ?? project });
  return project;
}

/** Runs a script of a project's package.json; returns its output. */
export const script = (project, name) => inProject(project, "npm", "run", name);

/** Runs a command with the project's programs, and then this repository's, on the path; returns its output. */
export async function inProject(project, command, ...args) {
  const own = join(project, "node_modules/.bin");
  const env = { ...process.env, PATH: `${own}:${BIN}:${process.env.PATH}`, NEXT_TELEMETRY_DISABLED: "1", CI: "1" };
  delete env.NODE_ENV; // Vite's development server, in this process, has set it
  const { stdout, stderr } = await run(command, args, { cwd: project, env, maxBuffer: 2 ** 26 });
  return `${stdout}${stderr}`;
}

/** Files below a folder that contain a path of this machine. */
export function filesWithPaths(folder, paths) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(safetensors|wasm)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => {
      const text = readFileSync(file, "latin1");
      return [...paths, ROOT, "file:///"].some((path) => text.includes(path) && !isOurs(text, path));
    });
}

/** The module itself contains the scheme of disk addresses, followed by nothing. */
const isOurs = (text, path) => path === "file:///" && !/file:\/\/\/[\w%]/.test(text);

/** Unpacks a package's tarball into a new folder. */
export async function unpack(tarball, to) {
  mkdirSync(to, { recursive: true });
  await run("tar", ["-xzf", tarball, "-C", to, "--strip-components=1"]);
}
