// Where files are looked for: as the build lies on a server, and as bundlers leave it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { rootOf } from "../../www/lib/locations.js";

const LIB = new URL("../../www/lib/", import.meta.url);
const DISK = "file:///home/somebody/project/node_modules/tokenformer-web/";
const PAGE = "https://site.example/app/index.html";

test("what is not in a bundle is found beside the build, above the bundle, or beside the page", () => {
  const cases = [
    // As it was built: from the page's origin, from another one, with a build's name, in a worker.
    [
      "https://site.example/x/tokenformer-web_bg.wasm",
      "https://site.example/x/lib/locations.js",
      PAGE,
      "https://site.example/x/",
    ],
    ["https://cdn.example/tokenformer-web_bg.wasm?build=0", undefined, PAGE, "https://cdn.example/"],
    ["https://cdn.example/tokenformer-web_bg.wasm", undefined, undefined, "https://cdn.example/"],
    // Bundles: with an address of their own, and without.
    [
      "https://site.example/app/assets/tokenformer-web_bg-1f.wasm",
      "https://site.example/app/assets/locations.js",
      PAGE,
      "https://site.example/app/",
    ],
    ["https://site.example/app/1f2e.wasm", undefined, PAGE, "https://site.example/app/"],
    ["https://site.example/app/1f2e.wasm", "https://site.example/app/3d4c.js", PAGE, "https://site.example/app/"],
    [
      "https://site.example/_next/static/media/tokenformer-web_bg.1f.wasm",
      `${DISK}lib/locations.js`,
      PAGE,
      "https://site.example/app/",
    ],
    ["/_next/static/media/tokenformer-web_bg.1f.wasm", undefined, undefined, "file:///_next/static/media/"],
    // An address of the disk where the bundle was made is nothing to a page; a page from the disk has no other.
    [`${DISK}tokenformer-web_bg.wasm`, `${DISK}lib/locations.js`, PAGE, "https://site.example/app/"],
    [`${DISK}tokenformer-web_bg.wasm`, `${DISK}lib/locations.js`, "file:///home/somebody/index.html", DISK],
    [`${DISK}tokenformer-web_bg.wasm`, `${DISK}lib/locations.js`, undefined, DISK],
  ];
  for (const [wasm, own, page, wanted] of cases) assert.equal(rootOf(wasm, own, page).href, wanted, `${wasm} ${own}`);
});

test("no module says its own address in a way that bundlers make one of the disk of", () => {
  for (const name of readdirSync(LIB, { recursive: true }).filter((name) => name.endsWith(".js"))) {
    const code = readFileSync(new URL(name, LIB), "utf8").replace(/^\s*(\/\/|\/?\*).*$/gm, "");
    const all = code.match(/import\.meta\.url/g)?.length ?? 0;
    const followed = code.match(/new URL\("\.{1,2}\/[^"]*\.[a-z]+", import\.meta\.url\)/g)?.length ?? 0;
    assert.equal(all, followed, `${name}: write new URL("./file", import.meta.url)`);
  }
});

test("what bundlers cannot follow, they are told to leave alone", () => {
  for (const name of readdirSync(LIB, { recursive: true }).filter((name) => name.endsWith(".js"))) {
    const code = readFileSync(new URL(name, LIB), "utf8").replace(/^\s*(\/\/|\/?\*).*$/gm, "");
    for (const [, what] of code.matchAll(/\bimport\(([^)]*)/g)) {
      if (/^"[^"]+"$/.test(what.trim())) continue;
      for (const comment of ["@vite-ignore", "webpackIgnore: true", "turbopackIgnore: true"])
        assert.ok(what.includes(`/* ${comment} */`), `${name}: import(${what}) lacks ${comment}`);
    }
  }
});
