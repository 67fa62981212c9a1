#!/usr/bin/env node
// Puts the extension together: this folder, and the module with engine and model of a build, so that no code comes from
// elsewhere. Load the result in chrome://extensions (developer mode, "Load unpacked").
//
//     node examples/extension/build.mjs [BUILD [TARGET]]      dist and target/extension unless told otherwise

import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("./", import.meta.url));
const [build = join(here, "../../dist"), target = join(here, "../../target/extension")] = process.argv.slice(2);
const MODULE = ["tokenformer.js", "tokenformer-web.js", "tokenformer-web_bg.wasm", "lib", "models"];
const PAGES = ["manifest.json", "background.js", "panel.html", "panel.css", "panel.js"];

rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, "tokenformer"), { recursive: true });
for (const name of PAGES) cpSync(join(here, name), join(target, name));
for (const name of MODULE) cpSync(join(build, name), join(target, "tokenformer", name), { recursive: true });
console.log(target);
