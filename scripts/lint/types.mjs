// Checks the types of www/ with TypeScript, strictly (www/tsconfig.json).
//
//     node scripts/lint/types.mjs
//
// untyped.txt lists the files that do not pass yet. It may only get shorter: an error in a file that is not in it
// fails, and so does a file in it that has no errors left.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const listed = readFileSync(new URL("untyped.txt", import.meta.url), "utf8").split("\n");
const untyped = new Set(listed.filter((line) => line !== "" && !line.startsWith("#")));

const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const { stdout, stderr, error } = spawnSync(process.execPath, [tsc, "--project", "www", "--pretty", "false"], {
  cwd: root,
  encoding: "utf8",
  maxBuffer: 1 << 28,
});
if (error) throw error;

const failing = new Set();
const problems = [];
for (const line of stdout.split("\n")) {
  const [, file] = /^([^\s(]+)\(\d+,\d+\): error TS/.exec(line) ?? [];
  if (file) failing.add(file);
  // What names no file is a mistake in the configuration.
  if (file ? !untyped.has(file) : /error TS/.test(line)) problems.push(line);
}
for (const file of untyped) if (!failing.has(file)) problems.push(`${file} passes: take it out of untyped.txt`);
if (stderr) problems.push(stderr);

for (const problem of problems) console.log(problem);
console.log(`types: ${problems.length} problems; ${untyped.size} files do not pass yet`);
process.exitCode = problems.length > 0 ? 1 : 0;
