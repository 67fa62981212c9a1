// Where files are looked for: as the build is on a server, as bundlers leave it, and where the page says.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { modelPlaces, wasmPlaces } from "../../www/lib/locations.js";

const LIB = new URL("../../www/lib/", import.meta.url);
const DISK = "file:///home/somebody/project/node_modules/tokenformer-web/";
const PAGE = "https://site.example/app/index.html";
const WASM = "tokenformer-web_bg.wasm";
const MODEL = `models/${EMBEDDED.name}/`;

test("the WebAssembly file is where the module's address leads, or beside the page", () => {
  const beside = `https://site.example/app/${WASM}`;
  const cases = [
    // As it was built: from the page's origin, from another one, with a build's name, in a worker.
    [`https://site.example/x/${WASM}`, PAGE, [`https://site.example/x/${WASM}`, beside]],
    [`https://cdn.example/${WASM}?build=0`, PAGE, [`https://cdn.example/${WASM}?build=0`, beside]],
    [beside, PAGE, [beside]],
    [`https://cdn.example/${WASM}`, undefined, [`https://cdn.example/${WASM}`]],
    // As a bundler named it; where a server renders the page, without an origin.
    ["https://site.example/app/assets/1f2e.wasm", PAGE, ["https://site.example/app/assets/1f2e.wasm", beside]],
    ["/_next/static/media/1f.wasm", undefined, ["file:///_next/static/media/1f.wasm"]],
    // A disk address of the bundling machine is of no use to a page; a page opened from the disk has no other.
    [`${DISK}${WASM}`, PAGE, [beside]],
    [`${DISK}${WASM}`, undefined, [`${DISK}${WASM}`]],
    ["", PAGE, [beside]],
    // Vite's development server, which leaves files in the package.
    [
      `https://site.example/x/node_modules/.vite/deps/${WASM}`,
      PAGE,
      [`https://site.example/x/node_modules/tokenformer-web/${WASM}`, beside],
    ],
    [
      "https://site.example/node_modules/.vite/other/a.wasm",
      PAGE,
      ["https://site.example/node_modules/.vite/other/a.wasm", beside],
    ],
  ];
  for (const [wasm, page, wanted] of cases) assert.deepEqual(wasmPlaces({ wasm, page }), wanted, wasm);
  const disk = "file:///home/somebody/index.html";
  assert.equal(wasmPlaces({ wasm: `${DISK}${WASM}`, page: disk })[0], `${DISK}${WASM}`);
});

test("the embedded model is beside the code, in the package beside it, or where the site's own files are", () => {
  const first = (wasm, page = PAGE, version = "1.2.3") => modelPlaces({ wasm, page, version })[0];
  const cases = {
    // As it was built, or copied.
    [`https://site.example/x/${WASM}`]: "https://site.example/x/",
    [`https://cdn.example/dist/${WASM}?build=0`]: "https://cdn.example/dist/",
    // Packages: on this host, in the layout of Vite's development server, and on a CDN, which has versions.
    [`https://site.example/node_modules/tokenformer-web/${WASM}`]:
      "https://site.example/node_modules/tokenformer-web-stories/",
    [`https://site.example/x/node_modules/.vite/deps/${WASM}`]:
      "https://site.example/x/node_modules/tokenformer-web-stories/",
    [`https://site.example/libs/tokenformer-web/${WASM}`]: "https://site.example/libs/tokenformer-web-stories/",
    [`https://cdn.example/npm/tokenformer-web@1.2.3/${WASM}`]: "https://cdn.example/npm/tokenformer-web-stories@1.2.3/",
    [`https://cdn.example/npm/tokenformer-web@1/${WASM}`]: "https://cdn.example/npm/tokenformer-web-stories@1.2.3/",
    [`https://cdn.example/npm/tokenformer-web/${WASM}`]: "https://cdn.example/npm/tokenformer-web-stories@1.2.3/",
    [`https://cdn.example/npm:tokenformer-web@1.2.3/${WASM}`]: "https://cdn.example/npm:tokenformer-web-stories@1.2.3/",
    // Bundles: the site's root, whatever the page's route.
    "https://site.example/app/assets/tokenformer-web_bg-1f.wasm": "https://site.example/app/",
    "https://site.example/_next/static/media/tokenformer-web_bg.1f.wasm": "https://site.example/",
    "https://site.example/base/_next/static/media/a.wasm": "https://site.example/base/",
    "https://site.example/static/media/a.1f.wasm": "https://site.example/",
    "https://site.example/app/1f2e.wasm": "https://site.example/app/",
    // No information.
    [`${DISK}${WASM}`]: "https://site.example/app/",
    "": "https://site.example/app/",
  };
  for (const [wasm, root] of Object.entries(cases)) assert.equal(first(wasm), `${root}${MODEL}`, wasm);
  assert.equal(
    first(`https://site.example/libs/tokenformer-web/${WASM}`, PAGE, ""),
    `https://site.example/libs/tokenformer-web/${MODEL}`,
  );
  assert.deepEqual(modelPlaces({ wasm: "https://site.example/out/assets/a.wasm", page: PAGE, version: "" }), [
    `https://site.example/out/${MODEL}`,
    `https://site.example/out/assets/${MODEL}`,
    `https://site.example/app/${MODEL}`,
    `https://site.example/${MODEL}`,
  ]);
  // Nothing is requested from this site for a module of another one.
  for (const place of modelPlaces({ wasm: `https://cdn.example/${WASM}`, page: PAGE }))
    assert.match(place, /^https:\/\/cdn\./);
});

let locations;
let pages = 0;
beforeEach(async () => {
  globalThis.document = { baseURI: PAGE, querySelector: () => null };
  locations = await import(`../../www/lib/locations.js?page=${(pages += 1)}`);
});
afterEach(() => {
  delete globalThis.document;
});

test("what the page names is where everything is", () => {
  const { assets, setAssets, wasmAddresses, glueAddress, workerAddress, embeddedFolders } = locations;
  assert.equal(assets(), null);
  for (const folder of ["/tf", "/tf/", "../tf/", new URL("https://site.example/tf")]) {
    setAssets(folder);
    assert.equal(assets().href, "https://site.example/tf/", String(folder));
    assert.deepEqual(wasmAddresses(), [`https://site.example/tf/${WASM}`]);
    assert.equal(glueAddress(), "https://site.example/tf/tokenformer-web.js");
    assert.equal(workerAddress(), "https://site.example/tf/lib/engine/worker.js");
    assert.deepEqual(embeddedFolders(), [`https://site.example/tf/${MODEL}`]);
  }
  locations.rememberEmbeddedFolder("https://elsewhere.example/");
  assert.deepEqual(embeddedFolders(), [`https://site.example/tf/${MODEL}`], "the page's word counts");
  for (const nothing of [null, undefined, ""]) {
    setAssets("/tf");
    setAssets(nothing);
    assert.equal(assets(), null);
  }
  for (const bad of [7, {}, "https://[", "/tf?x", "/tf#x"])
    assert.throws(() => setAssets(bad), { code: "invalid-argument", message: /^assets / }, String(bad));
});

test("a script tag may name it, and an assignment has the last word", () => {
  const script = { getAttribute: (name) => name === "data-assets" && "./of-the-tag" };
  globalThis.document.querySelector = (selector) => selector === "script[data-assets]" && script;
  assert.equal(locations.assets().href, "https://site.example/app/of-the-tag/");
  locations.setAssets("/assigned/");
  assert.equal(locations.assets().href, "https://site.example/assigned/");
});

test("a worker believes what it is told, and an embedded model that was found is asked first", () => {
  locations.tellWasmAddresses(["https://a.example/x.wasm"]);
  assert.deepEqual(locations.wasmAddresses(), ["https://a.example/x.wasm"]);
  locations.rememberEmbeddedFolder("https://b.example/");
  assert.equal(locations.embeddedFolders()[0], "https://b.example/");
});

const codeOf = (name) => readFileSync(new URL(name, LIB), "utf8").replace(/^\s*(\/\/|\/?\*).*$/gm, "");
const modules = readdirSync(LIB, { recursive: true }).filter((name) => name.endsWith(".js"));

test("no module says its own address in a way that bundlers make one of the disk of", () => {
  for (const name of modules) {
    const all = codeOf(name).match(/import\.meta\.url/g)?.length ?? 0;
    const followed = codeOf(name).match(/new URL\("\.{1,2}\/[^"]*\.[a-z]+", import\.meta\.url\)/g)?.length ?? 0;
    assert.equal(all, followed, `${name}: write new URL("./file", import.meta.url)`);
    assert.doesNotMatch(codeOf(name), /import\.meta\.(?!url)/, name);
  }
});

test("what bundlers cannot follow, they are told to leave alone", () => {
  for (const name of modules) {
    for (const [, what] of codeOf(name).matchAll(/\bimport\(([^)]*)/g)) {
      if (/^"[^"]+"$/.test(what.trim())) continue;
      for (const comment of ["@vite-ignore", "webpackIgnore: true", "turbopackIgnore: true"])
        assert.ok(what.includes(`/* ${comment} */`), `${name}: import(${what}) lacks ${comment}`);
    }
  }
});
