// Every build has a name, which is in all of its files.

import assert from "node:assert/strict";
import { appendFileSync, copyFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { SINGLE_FILE } from "../../scripts/bundle.mjs";
import { finishBuild, integrityOf, nameBuild, nameOf } from "../../scripts/name-build.mjs";
import { buildOf } from "../../www/lib/build.js";
import { finishedBuild, namedBuild, removeBuilds } from "./build-folder.mjs";

after(removeBuilds);

const read = (folder, path) => readFileSync(join(folder, path), "latin1");
/** Paths of the program's files. */
const filesOf = (folder) =>
  readdirSync(folder, { recursive: true }).filter((path) => /\.(js|css|html|svg|wasm)$/.test(path));
const all = (folder) => Object.fromEntries(filesOf(folder).map((path) => [path, read(folder, path)]));

test("the same files have the same name, once more too; others have another", () => {
  const { folder, name } = namedBuild();
  assert.match(name, /^[0-9a-f]{12}$/);
  assert.equal(nameOf(folder), name);
  assert.equal(namedBuild().name, name);
  const before = all(folder);
  assert.equal(nameBuild(folder), name);
  assert.deepEqual(all(folder), before);
  // A file was put there by hand: it gets the name again, which depends on every file.
  copyFileSync(new URL("../../www/lib/engine/engines.js", import.meta.url), join(folder, "lib/engine/engines.js"));
  assert.equal(nameBuild(folder), name);
  assert.deepEqual(all(folder), before);
  for (const path of [
    "lib/engine/lock.js",
    "tokenformer.js",
    "page/page.css",
    "index.html",
    "page/icon.svg",
    "service-worker.js",
  ]) {
    appendFileSync(join(folder, path), "\n");
    assert.notEqual(nameBuild(folder), name, path);
  }
});

test("a build with its bundles has the same name, once more too", async () => {
  const { folder, name } = await finishedBuild();
  assert.equal(namedBuild().name, name);
  const before = all(folder);
  assert.equal(await finishBuild(folder), name);
  assert.deepEqual(all(folder), before);
  // A module that has been put in its bundle's place by hand.
  appendFileSync(join(folder, "tokenformer.js"), "\n");
  copyFileSync(new URL("../../www/tokenformer.js", import.meta.url), join(folder, "tokenformer.js"));
  assert.equal(await finishBuild(folder), name);
  assert.deepEqual(all(folder), before);
});

test("the name stands in every file, and in every address by which one asks for another", async () => {
  const { folder, name } = await finishedBuild();
  const relative = /"(?:\.{1,2}\/)?[\w./-]+\.(?:js|css|svg|wasm)(\?build=\w+)?"/g;
  for (const [path, text] of Object.entries(all(folder))) {
    assert.ok(text.includes(name), path);
    // Its lists are of this build; the page registers it under one address for all builds.
    if (path === "service-worker.js" || path === SINGLE_FILE) continue; // tests/js/bundle.test.mjs
    for (const [whole, query] of text.matchAll(relative)) {
      const address = whole.slice(1, -1).split("?")[0];
      const isFile = [dirname(path), "", "lib"].some((from) => existsSync(join(folder, from, address)));
      const line = text.split("\n").find((line) => line.includes(whole));
      if (address === "service-worker.js" || /^\s*(\/\/|\*)/.test(line) || !isFile) continue;
      assert.equal(query, `?build=${name}`, `${path}: ${line}`);
    }
  }
  assert.equal(buildOf(new WebAssembly.Module(readFileSync(join(folder, "tokenformer-web_bg.wasm")))), name);
  assert.equal(buildOf(new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))), null);
});

test("the service worker's list is all that the pages ask for, and the module", async () => {
  const { folder } = await finishedBuild();
  const source = read(folder, "service-worker.js");
  const listed = (name) => JSON.parse(new RegExp(`^const ${name} = (\\[[^\\]]*\\]);$`, "m").exec(source)[1]);
  const engine = ["tokenformer-web.js", "tokenformer-web_bg.wasm"];
  assert.deepEqual(listed("ENGINE"), engine);
  const pages = filesOf(folder).filter((path) => path.endsWith(".html"));
  const asked = pages.flatMap((page) =>
    [...read(folder, page).matchAll(/(?:src|href)="(?!www\/)([\w./-]+\.(?:js|css|svg))\?build=/g)].map(
      ([, path]) => path,
    ),
  );
  const module = ["tokenformer.js", "lib/library.js", "lib/errors.js", "lib/engine/worker.js"];
  const wanted = [...new Set([...pages, ...asked, ...module])].map((path) => (path === "index.html" ? "./" : path));
  assert.ok(wanted.length > 20);
  assert.deepEqual(listed("SHELL").toSorted(), wanted.toSorted());
  for (const path of listed("SHELL")) assert.ok(existsSync(join(folder, path)), path);
  // What the listed scripts ask for is listed as well: the page works without a network.
  for (const path of listed("SHELL").filter((path) => path.endsWith(".js")))
    for (const [, address] of read(folder, path).matchAll(
      /^(?:(?:import|export|\}).* from |import )"(\.{1,2}\/[^"?]+\.js)\?build=[^"]*";$/gm,
    ))
      assert.ok(listed("SHELL").includes(join(dirname(path), address)), `${path} asks for ${address}`);
});

test("the files hold hash and size of the WebAssembly file, name and all", () => {
  const { folder } = namedBuild();
  const wasm = readFileSync(join(folder, "tokenformer-web_bg.wasm"));
  const build = read(folder, "lib/build.js");
  assert.ok(build.includes(`const WASM_INTEGRITY = "${integrityOf(wasm)}";`));
  assert.ok(build.includes(`const WASM_BYTES = ${wasm.length};`));
});
