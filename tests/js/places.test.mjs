// Which requests are made if a file of the engine or the embedded model is not in the first place.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { loadEmbedded } from "../../www/lib/api/embedded-place.js";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { TokenFormerError } from "../../www/lib/errors.js";
import * as locations from "../../www/lib/locations.js";
import { namedBuild, removeBuilds } from "./build-folder.mjs";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { fetch } = globalThis;
const MODEL = `models/${EMBEDDED.name}/`;
/** Requests to the network. */
let asked;
/** Answers by address; everything else is missing. */
let host;
beforeEach(() => {
  asked = [];
  host = {};
  globalThis.document = { baseURI: "https://site.example/app/", querySelector: () => null };
  globalThis.fetch = async (address, options) => {
    asked.push(String(address));
    const answer = host[address];
    return typeof answer === "function" ? answer(options) : new Response(answer ?? "", { status: answer ? 200 : 404 });
  };
});
afterEach(() => {
  delete globalThis.document;
  globalThis.fetch = fetch;
  locations.setAssets(null);
});

const notFound = () => {
  throw new TokenFormerError("model-not-found", "no such folder");
};

test("an embedded model that loads costs no request, nor does one that is stored", async () => {
  assert.equal(await loadEmbedded(async (folder) => folder), locations.embeddedFolders()[0]);
  assert.deepEqual(asked, []);
});

test("where it is not, the error names every address that was asked, and what to copy where", async () => {
  const places = locations.embeddedFolders();
  assert.ok(places.length > 0);
  await assert.rejects(loadEmbedded(notFound), (error) => {
    assert.equal(error.code, "model-not-found");
    for (const place of places) assert.ok(error.message.includes(place), place);
    assert.match(error.hint, new RegExp(`^Copy ${MODEL} of the build to \\S+, or set TokenFormer\\.assets`));
    return true;
  });
  assert.deepEqual(
    asked,
    places.map((place) => `${place}manifest.json`),
  );
  locations.setAssets("/tf/");
  await assert.rejects(loadEmbedded(notFound), {
    message: new RegExp(`not there: https://site\\.example/tf/${MODEL}\\.`),
  });
});

test("errors of a model that is there, and the caller's own end, stay what they are", async () => {
  const failure = (code) => () => Promise.reject(new TokenFormerError(code, "x"));
  for (const code of ["out-of-memory", "quota", "aborted", "webgpu-unavailable"])
    await assert.rejects(loadEmbedded(failure(code)), { code });
  assert.deepEqual(asked, []);
  await assert.rejects(loadEmbedded(notFound, AbortSignal.abort()), {
    code: "model-not-found",
    message: "no such folder",
  });
  assert.deepEqual(asked, []);
  host[`${locations.embeddedFolders()[0]}manifest.json`] = '{"files":{}}';
  await assert.rejects(loadEmbedded(failure("integrity")), { code: "integrity", message: "x" });
  globalThis.fetch = async () => Promise.reject(new TypeError("Failed to fetch"));
  await assert.rejects(loadEmbedded(failure("network")), { code: "network", message: "x" });
});

test("a model that is in the next folder is loaded from there, and asked for there first from then on", async () => {
  const [first, second] = locations.embeddedFolders();
  host[`${first}manifest.json`] = "<!doctype html>"; // many hosts have a page for every address
  host[`${second}manifest.json`] = '{"files":{}}';
  const load = async (folder) => (folder === second ? "loaded" : notFound());
  assert.equal(await loadEmbedded(load), "loaded");
  asked = [];
  assert.equal(await loadEmbedded(load), "loaded");
  assert.deepEqual(asked, []);
});

// ---- The engine's file ---------------------------------------------------------------------------

/** compileWasm as in a named build, and the bytes of that build's file. */
async function compiler(t) {
  const { folder, name } = namedBuild();
  t.after(removeBuilds);
  const { compileWasm } = await import(`${pathToFileURL(join(folder, "lib/engine/wasm-file.js"))}?build=${name}`);
  const own = await import(`${pathToFileURL(join(folder, "lib/locations.js"))}?build=${name}`);
  own.tellWasmAddresses(["https://a.example/a.wasm", "https://b.example/b.wasm"]);
  return { compileWasm, bytes: readFileSync(join(folder, "tokenformer-web_bg.wasm")), name };
}
/** Answers like a browser that compares bytes with the hash: `bytes` match, others fail. */
const checked =
  (bytes, hasHash) =>
  ({ integrity } = {}) => {
    if (integrity && !hasHash) throw new TypeError("Failed to fetch");
    assert.match(integrity ?? "sha384-x", /^sha384-/);
    return new Response(bytes, { headers: { "Content-Type": "application/wasm" } });
  };

test("the file is asked for with its hash, at the next address where it is not at the first", async (t) => {
  const { compileWasm, bytes } = await compiler(t);
  host["https://a.example/a.wasm"] = checked(bytes, true);
  assert.equal((await compileWasm()).address, "https://a.example/a.wasm");
  assert.deepEqual(asked, ["https://a.example/a.wasm"]);
  for (const absent of [undefined, "<!doctype html>", () => Promise.reject(new TypeError("Failed to fetch"))]) {
    host = { "https://a.example/a.wasm": absent, "https://b.example/b.wasm": checked(bytes, true) };
    assert.equal((await compileWasm()).address, "https://b.example/b.wasm");
  }
  host = {};
  await assert.rejects(compileWasm(), {
    code: "network",
    message:
      "The engine's file cannot be fetched: https://a.example/a.wasm (status 404), https://b.example/b.wasm (status 404).",
    hint: /^Reload the page/,
  });
});

test("a file that was changed is not started, and another build's is named", async (t) => {
  const { compileWasm, bytes, name } = await compiler(t);
  host["https://a.example/a.wasm"] = checked(bytes, false);
  await assert.rejects(compileWasm(), { code: "integrity", message: /is not what was built/ });
  assert.equal(asked.length, 3, "it is asked for once more, past every cache");
  const another = Buffer.from(bytes);
  another.write("0123456789ab", bytes.length - 12);
  host["https://a.example/a.wasm"] = checked(another, false);
  await assert.rejects(compileWasm(), { code: "integrity", message: new RegExp(`0123456789ab.*${name}`) });
  let times = 0;
  host["https://a.example/a.wasm"] = (options) => checked(bytes, (times += 1) > 2)(options);
  await compileWasm(); // what was cut off once comes whole
});
