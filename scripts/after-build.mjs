#!/usr/bin/env node
// What `trunk build` calls (see Trunk.toml) before it puts the files into dist/. One after the other: Trunk starts hooks together.

import { nameBuild } from "./name-build.mjs";

nameBuild(process.env.TRUNK_STAGING_DIR);
await import("./npm-package.mjs");
