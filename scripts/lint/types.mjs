// Checks the types of www/ with TypeScript, strictly: of the module and the pages, and of the service worker, which has
// other globals than a page. Then checks that frameworks' templates accept <token-former> with the published types.
//
//     node scripts/lint/types.mjs

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");

const PROJECTS = [
  "www/tsconfig.json",
  "www/tsconfig.service-worker.json",
  "tests/types/tsconfig.json",
  "tests/types/tsconfig.preact.json",
];
for (const project of PROJECTS) {
  const { status, error } = spawnSync(process.execPath, [tsc, "--project", project], { cwd: root, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exitCode = 1;
}
