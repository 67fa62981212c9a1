#!/usr/bin/env node
// `trunk build` calls this (see Trunk.toml) before it puts the files into dist/. Run in sequence: Trunk starts hooks in parallel.

import { finishBuild } from "./name-build.mjs";
import { placeSite } from "./site.mjs";

const folder = process.env.TRUNK_STAGING_DIR;
placeSite(folder);
await finishBuild(folder);
await import("./npm-package.mjs");
