// TokenFormer.availability: what `load` would find, asked without weights and engine, of a hub and of a static host.

import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, test } from "node:test";
import { TokenFormer } from "../../www/lib/api/model.js";
import { PRESETS } from "../../www/lib/api/shape.js";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { MOST_BYTES, MOST_PARAMETERS } from "../../www/lib/engine/backend.js";
import { engines } from "../../www/lib/engine/engines.js";
import { startHub } from "../browser/hub-simulator.mjs";
import { useStorage } from "./fake-storage.mjs";

const path = (name) => new URL(`../../www/models/${EMBEDDED.name}/${name}`, import.meta.url);
const bytes = (name) => readFileSync(path(name));
const SMALL = { "config.json": bytes("config.json"), "tokenizer.json": bytes("tokenizer.json") };
const QUANTIZED = { ...SMALL, "model.safetensors": bytes("model.safetensors") };
const WITH_MANIFEST = { ...QUANTIZED, "manifest.json": bytes("manifest.json") };
const CHECKPOINT = Buffer.alloc(3_000_000);
const HEADER = 8 + Number(QUANTIZED["model.safetensors"].readBigUInt64LE());
const size = (files) => Object.values(files).reduce((sum, file) => sum + file.length, 0);
const COMMIT = "c".repeat(40);

let hub;
let host;
before(async () => {
  hub = await startHub({
    "o/quantized": { files: WITH_MANIFEST, commit: COMMIT },
    "o/TokenFormer-150M": { files: { "pytorch_model.bin": CHECKPOINT }, commit: COMMIT, branches: ["v1"] },
    "o/TokenFormer-450M": { files: { ...SMALL, "pytorch_model.bin": CHECKPOINT, "config.json": Buffer.from("{}") } },
    "o/large": { files: { "pytorch_model.bin": CHECKPOINT }, sizes: { "pytorch_model.bin": 5e9 } },
    "o/private": { files: QUANTIZED, token: "hf_secret" },
    "o/gated": { files: QUANTIZED, token: "hf_secret", gated: true },
    "o/empty": { files: { "README.md": Buffer.from("none") } },
    "o/other": {
      files: { ...SMALL, "model.safetensors": safetensors({ "encoder.weight": {} }), "pytorch_model.bin": CHECKPOINT },
    },
  });
  host = await startHub(
    {
      "o/folder": { files: WITH_MANIFEST },
      "o/bare": { files: QUANTIZED },
      "o/bin": { files: { "pytorch_model.bin": CHECKPOINT } },
    },
    { plain: true },
  );
});
after(() => Promise.all([hub.close(), host.close()]));

let storage;
beforeEach(async () => {
  storage = await useStorage();
  engines.get = () => assert.fail("the engine was asked for");
  for (const { requests, faults } of [hub, host]) [requests.length, faults.length] = [0, 0];
  useGpu(null);
});

function safetensors(header) {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json]);
}

/** The value of `navigator.gpu`: no WebGPU, or an adapter with this description. */
function useGpu(info) {
  const gpu = info && { requestAdapter: async () => ({ info }) };
  Object.defineProperty(globalThis, "navigator", { value: gpu ? { gpu } : {}, configurable: true });
}

const of = (name, options) => TokenFormer.availability(name, { endpoint: hub.endpoint, ...options });

/** No weights except a header, and no tokenizer. */
function assertFrugal({ sent, violations }) {
  assert.equal(sent("tokenizer.json"), 0);
  assert.ok(sent("model.safetensors") <= HEADER, `${sent("model.safetensors")} bytes of weights`);
  assert.ok(sent("pytorch_model.bin") <= 1, `${sent("pytorch_model.bin")} bytes of a checkpoint`);
  assert.deepEqual(violations, []);
}

test("a quantized repository costs what its files have", async () => {
  const told = await of("o/quantized");
  assert.deepEqual(told, {
    state: "downloadable",
    downloadBytes: size(WITH_MANIFEST),
    storedBytes: 0,
    backend: "cpu",
    reason: null,
  });
  assertFrugal(hub);
});

test("a checkpoint costs its file", async () => {
  for (const name of ["o/TokenFormer-150M", "o/other"]) {
    const { state, downloadBytes } = await of(name);
    assert.deepEqual([state, downloadBytes], ["downloadable", CHECKPOINT.length], name);
  }
  assertFrugal({ ...hub, sent: (name) => (name === "model.safetensors" ? 0 : hub.sent(name)) });
});

test("a static host tells the same, with a manifest and without", async () => {
  const told = async (name) => {
    const { state, downloadBytes } = await of(host.folder(name).replace("/main/", "/main"));
    return [state, downloadBytes];
  };
  assert.deepEqual(await told("o/folder"), ["downloadable", size(WITH_MANIFEST)]);
  // Nothing reports the tokenizer's size there.
  assert.deepEqual(await told("o/bare"), ["downloadable", size(QUANTIZED) - SMALL["tokenizer.json"].length]);
  assert.deepEqual(await told("o/bin"), ["downloadable", CHECKPOINT.length]);
  host.ignoresRanges = true;
  assert.deepEqual(await told("o/folder"), ["downloadable", size(WITH_MANIFEST)]);
  assert.deepEqual(await told("o/bin"), ["downloadable", null], "whoever ignores ranges tells no size");
  host.ignoresRanges = false;
  assert.equal(host.sent("tokenizer.json"), 0);
});

test("the embedded model is downloadable from its own host", async () => {
  const { state, downloadBytes, backend } = await TokenFormer.availability();
  assert.deepEqual([state, downloadBytes, backend], ["downloadable", EMBEDDED.downloadBytes, "cpu"]);
});

test("what is stored is told without asking for its files", async () => {
  const told = JSON.parse(SMALL["config.json"]);
  const model = { endpoint: hub.endpoint, id: "o/quantized", commit: COMMIT, complete: true, bytes: 77, told };
  await storage.model(model);
  const stored = { state: "stored", downloadBytes: 0, storedBytes: 77, backend: "cpu", reason: null };
  assert.deepEqual(await of("o/quantized"), stored);
  hub.requests.length = 0;
  assert.deepEqual(await of("o/quantized", { revision: COMMIT }), stored);
  assert.equal(hub.requests.length, 0, "a commit never changes");
  hub.faults.push({ kind: "status", server: "hub", status: 503, times: 9 });
  assert.deepEqual(await of("o/quantized"), stored, "it stands in for what cannot be reached");
  assert.equal((await of("o/quantized", { revision: "v7" })).state, "unavailable", "nobody asked for that before");
  hub.faults.length = 0;
  hub.faults.push({ kind: "status", server: "hub", status: 404, code: "RepoNotFound", times: 9 });
  assert.deepEqual(await of("o/quantized"), stored, "and for what is there no more");
  hub.faults.length = 0;
  const uncached = await of("o/quantized", { cache: false });
  assert.deepEqual([uncached.state, uncached.downloadBytes], ["downloadable", size(WITH_MANIFEST)]);
  // Another commit, another hub.
  await storage.again();
  assert.equal((await of("o/quantized", { endpoint: host.endpoint })).state, "unavailable");
});

test("another version or precision is not what is asked for", async () => {
  const model = { endpoint: hub.endpoint, id: "o/TokenFormer-150M", complete: true, bytes: 77, is_converted: true };
  await storage.model({ ...model, commit: "b".repeat(40) });
  const other = await of("o/TokenFormer-150M");
  assert.deepEqual([other.state, other.storedBytes], ["downloadable", 0]);
  await storage.model({ ...model, commit: COMMIT, quantization: "q8" });
  assert.equal((await of("o/TokenFormer-150M")).state, "downloadable", "q4 is the default");
  assert.equal((await of("o/TokenFormer-150M", { quantization: "q8" })).state, "stored");
});

test("what is stored in part is downloaded no more", async () => {
  const units = [
    { len: 10, source_bytes: 1_000_000 },
    { len: 12, source_bytes: 500_000 },
  ];
  const id = "o/TokenFormer-150M";
  await storage.model({ endpoint: hub.endpoint, id, commit: COMMIT, is_converted: true, bytes: 22, units });
  const { state, downloadBytes, storedBytes } = await of(id);
  assert.deepEqual([state, downloadBytes, storedBytes], ["downloadable", CHECKPOINT.length - 1_500_000, 22]);
});

test("why a model cannot be had is told in words, and nothing rejects", async () => {
  for (const [name, options, says] of [
    ["o/nothing", {}, /no repository o\/nothing on .*private/],
    ["o/private", {}, /no repository o\/private/],
    ["o/private", { token: "hf_wrong" }, /does not accept the access token/],
    ["o/gated", {}, /gated/],
    ["o/empty", {}, /no weights/],
    ["o/quantized", { revision: "nowhere" }, /no such revision/],
    ["o/quantized", { endpoint: "http://127.0.0.1:9" }, /connection failed/],
    ["o/quantized", { signal: AbortSignal.abort() }, /aborted/],
  ]) {
    const told = await of(name, options);
    assert.deepEqual([told.state, told.downloadBytes, told.backend], ["unavailable", null, null], name);
    assert.match(told.reason, says);
  }
  assert.equal((await of("o/private", { token: "hf_secret" })).state, "downloadable");
  for (const fault of [
    { kind: "status", status: 429 },
    { kind: "html", match: /config\.json/ },
  ]) {
    hub.faults.push({ server: "hub", times: 99, ...fault });
    const { state } = await of("o/TokenFormer-450M", { backend: "webgpu" });
    assert.equal(state, "unavailable");
    hub.faults.length = 0;
  }
});

test("arguments that load would refuse are refused", async () => {
  for (const [name, options] of [
    ["nonsense", {}],
    ["o/quantized", { quantization: "q5" }],
    ["o/quantized", { quantization: "q8" }],
    ["o/quantized", { contextLength: EMBEDDED.contextLength + 1 }],
    ["o/quantized", { unknown: 1 }],
  ])
    await assert.rejects(of(name, options), { code: "invalid-argument" }, JSON.stringify([name, options]));
});

test("the backend is the one that load would choose", async () => {
  const backend = async (name, options) => {
    const { state, backend, reason } = await of(name, options);
    return state === "unavailable" ? reason : backend;
  };
  const [small, large] = ["o/TokenFormer-150M", "o/TokenFormer-450M"];
  assert.equal(await backend(small), "cpu");
  assert.match(await backend(large), /No WebGPU adapter.*454 million parameters, and the CPU runs 200/);
  assert.match(await backend("o/large"), /1250 million parameters/, "guessed by the file's size");
  assert.match(await backend(small, { backend: "webgpu" }), /No WebGPU adapter/);
  assert.match(
    await backend(small, { config: { max_position_embeddings: 40_000 }, contextLength: 40_000 }),
    /1\d\d\d MB/,
  );
  useGpu({ vendor: "nvidia", architecture: "ampere" });
  assert.deepEqual([await backend(small), await backend(large)], ["webgpu", "webgpu"]);
  assert.equal(await backend(small, { backend: "cpu" }), "cpu");
  assert.match(await backend(large, { backend: "cpu" }), /needs WebGPU.*Leave backend out/);
  useGpu({ vendor: "google", architecture: "swiftshader" });
  assert.deepEqual([await backend(small), await backend(large)], ["cpu", "webgpu"]);
  assert.equal(await backend(small, { backend: "webgpu" }), "webgpu");
  useGpu({ vendor: "microsoft", architecture: "warp" });
  assert.equal(await backend(small), "cpu");
});

test("what the CPU runs and what names tell is as in Rust", () => {
  const read = (name) => readFileSync(new URL(`../../src/${name}.rs`, import.meta.url), "utf8");
  const [limits, config, device] = ["cpu/limits", "config", "gpu/device"].map(read);
  assert.equal(Number(limits.match(/MOST_PARAMETERS: u64 = ([\d_]+)/)[1].replaceAll("_", "")), MOST_PARAMETERS);
  assert.match(limits, /MOST_BYTES: u64 = 1 << 30;/);
  assert.equal(MOST_BYTES, 2 ** 30);
  const presets = [...config.matchAll(/\("(TokenFormer-[^"]+)", (\d+), (\d+), \d+\),/g)];
  assert.deepEqual(Object.fromEntries(presets.map(([, name, ...n]) => [name.toLowerCase(), n.map(Number)])), PRESETS);
  assert.match(device, /\["swiftshader", "llvmpipe", "lavapipe", "basic render", "warp"\]/);
});
