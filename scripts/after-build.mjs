#!/usr/bin/env node
// What `trunk build` calls (see Trunk.toml) before it puts the files into dist/. One after the other: Trunk starts hooks together.

import { bundleSingleFile } from "./bundle.mjs";
import { nameBuild } from "./name-build.mjs";
import { placeSite } from "./site.mjs";

const folder = process.env.TRUNK_STAGING_DIR;
placeSite(folder);
const name = nameBuild(folder);
await bundleSingleFile(folder, folder, { query: `?build=${name}` });
await import("./npm-package.mjs");
