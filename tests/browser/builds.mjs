// Two builds of the page, to be deployed one after the other.

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { finishBuild } from "../../scripts/name-build.mjs";

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));

/**
 * Copies of dist/ in `folder`, each `{ folder, name }`, without the embedded model. In the second one a message between
 * page and worker has a different name.
 */
export async function makeBuilds(folder) {
  const build = async (name, change) => {
    const copy = join(folder, name);
    cpSync(DIST, copy, { recursive: true, filter: (source) => !/dist\/(models|npm)/.test(source) });
    for (const file of ["port.js", "service.js"]) {
      const path = join(copy, "lib/engine", file);
      writeFileSync(path, change(readFileSync(path, "utf8")));
    }
    return { folder: copy, name: await finishBuild(copy) };
  };
  return [await build("first", (text) => text), await build("second", (text) => text.replaceAll('"load"', '"open"'))];
}
