// Defective GPUs: wrong results, missing features, little memory. The browser's answers are changed on
// their way to the engine; everything that the engine does with them is real.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { enginePage, FULL, relativeError, start } from "./harness.mjs";

/** The reference's results for the model: logits after each of `lengths`. */
const ORACLE = JSON.parse(
  readFileSync(new URL("../../target/oracle/fixtures/head64-q4/oracle.json", import.meta.url), "utf8"),
);
/** Keys and values are rounded to f16 on both sides, after sums in a different order. */
const REFERENCE_TOLERANCE = 2e-3;

let world;
let folder;
/** A page with a working GPU, and its results for the model. */
let sound;
let right;
before(async () => {
  world = await start();
  folder = `${world.server.origin}/oracle/fixtures/head64-q4/`;
  sound = await pageAfter(() => {
    globalThis.samples = 0;
    const { createBuffer } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      if (descriptor.label === "sample") globalThis.samples += 1;
      return createBuffer.call(this, descriptor);
    };
  });
  right = await load(sound);
});
after(() => world?.close());

/** A page whose loads share a device, after `code` ran. */
async function pageAfter(code) {
  const page = await enginePage(world, "main", code);
  await page.evaluate(shareDevice);
  return page;
}

/**
 * Gives all loads of a page that request the same device a single one, which lives as long as the page. A software GPU
 * compiles for most of a load's time, and pipelines that a device has compiled before are available at once.
 */
function shareDevice() {
  const devices = new Map();
  const kept = [];
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = function (descriptor = {}) {
    const { requiredFeatures = [], requiredLimits = {} } = descriptor;
    const key = JSON.stringify([[...requiredFeatures].sort(), requiredLimits]);
    if (!devices.has(key)) devices.set(key, requestDevice.call(this, descriptor));
    return devices.get(key);
  };
  GPUDevice.prototype.destroy = () => {};
  const { createShaderModule, createComputePipelineAsync } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    const module = createShaderModule.call(this, descriptor);
    kept.push(module);
    return module;
  };
  GPUDevice.prototype.createComputePipelineAsync = async function (descriptor) {
    const pipeline = await createComputePipelineAsync.call(this, descriptor);
    kept.push(pipeline);
    return pipeline;
  };
}

const LENGTHS = ORACLE.lengths.slice(0, 3);

/** Loads the model; returns its info and results, or how that failed: a first token, a step, a prompt. */
const load = (page, options = {}) =>
  page.evaluate(
    async ([folder, options, prompts]) => {
      let seen;
      const error = await failure(async () => {
        const model = await TokenFormer.load(folder, options);
        const logits = [];
        for (const ids of prompts) logits.push(...(await model.logits(ids)));
        const { tokenIds } = await model.complete(prompts.at(-1), {
          maxTokens: 6,
          seed: 3,
          temperature: 1,
          logitBias: { 0: -1000 },
        });
        seen = { info: model.info, logits, tokenIds };
        await model.dispose();
        seen.left = model.info.gpuBytes;
      });
      return error ?? seen;
    },
    [folder, options, LENGTHS.map((n) => ORACLE.inputIds.slice(0, n))],
  );

/** The model's results are right all the same. */
function assertRight(seen, tolerance = 1e-3) {
  assert.ok(seen.logits, `${seen.code}: ${seen.message}`);
  const error = relativeError(seen.logits, right.logits);
  assert.ok(error < tolerance, `${error}`);
  assert.equal(seen.left, 0);
}

test("where all is well, nothing is noted, and the self-test is made once", async () => {
  assert.deepEqual([right.info.notes, right.info.backend], [[], "webgpu"]);
  const error = relativeError(right.logits, ORACLE.logits.slice(0, LENGTHS.length).flat());
  assert.ok(error < REFERENCE_TOLERANCE, `${error} from the reference`);
  assert.equal(await sound.evaluate(() => samples), 1);
  assertRight(await load(sound));
  assert.equal(await sound.evaluate(() => samples), 1);
  await sound.context().close();
});

// A software GPU takes long to compile the kernel.
test("what was fastest on another visit writes from the first text on", { skip: !FULL }, async () => {
  const page = await pageAfter(() => {
    globalThis.names = new Set();
    globalThis.pipelines = 0;
    const { get } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.get = function (name) {
      if (String(name).startsWith("tuning|")) globalThis.names.add(name);
      return get.call(this, name);
    };
    const { createComputePipelineAsync } = GPUDevice.prototype;
    GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
      globalThis.pipelines += 1;
      return createComputePipelineAsync.call(this, descriptor);
    };
  });
  assertRight(await load(page));
  const others = await page.evaluate(() => pipelines);
  const team = { workgroups: 1, threads: 128, spin_limit: 1024, arithmetic: "f32", subgroups: false };
  const seen = await page.evaluate(
    async ([folder, trials, prompt]) => {
      const [name] = names;
      const json = JSON.stringify(trials);
      const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${name}\n${json}`));
      const seal = [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const [{ name: of }] = (await indexedDB.databases()).filter(({ name }) => name.startsWith("tokenformer-web"));
      const database = await done(indexedDB.open(of));
      await done(
        database
          .transaction("notes", "readwrite")
          .objectStore("notes")
          .put(seal + json, name),
      );
      database.close();
      const before = pipelines;
      const model = await TokenFormer.load(folder);
      const whileLoading = pipelines - before;
      // The first text may come before the browser has compiled it.
      await model.benchmark({ promptTokens: 4, maxTokens: 2, runs: 1 });
      const logits = await model.logits(prompt);
      const { info } = model;
      await model.dispose();
      return { whileLoading, logits, variants: info.variants, notes: info.notes };
    },
    [folder, JSON.stringify({ choice: { team }, unfinished: 0, begun: 0 }), ORACLE.inputIds.slice(0, LENGTHS[0])],
  );
  assert.deepEqual(seen.notes, []);
  assert.match(seen.variants.at(-1), /^decode: 1 persistent workgroups of 128 threads/);
  assert.ok(seen.whileLoading > others, `${seen.whileLoading} kernels beside the load, ${others} without it`);
  assert.ok(relativeError(seen.logits, ORACLE.logits[0]) < REFERENCE_TOLERANCE);
  await page.context().close();
});

test("subgroups that compute wrongly are not used, at once and on the next visit", async () => {
  const page = await pageAfter(() => {
    globalThis.changed = 0;
    const { createShaderModule } = GPUDevice.prototype;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = descriptor.code.replaceAll("subgroupAdd(", "subgroupMax(");
      if (code !== descriptor.code) globalThis.changed += 1;
      return createShaderModule.call(this, { ...descriptor, code });
    };
  });
  for (const why of [/gave wrong results/, /failed when they were tried before/]) {
    const seen = await load(page);
    assertRight(seen);
    assert.ok(!seen.info.features.includes("subgroups") && right.info.features.includes("subgroups"));
    assert.ok(
      seen.info.notes.some((note) => why.test(note)),
      `${seen.info.notes}`,
    );
    assert.ok(seen.info.variants.every((variant) => !/subgroups/.test(variant)));
  }
  assert.ok((await page.evaluate(() => changed)) > 0, "there was something to be wrong");
  await page.context().close();
});

test("subgroups that do not compile are not used", async () => {
  const page = await pageAfter(() => {
    const { createShaderModule } = GPUDevice.prototype;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = descriptor.code.includes("enable subgroups;") ? `${descriptor.code}\nnonsense` : descriptor.code;
      return createShaderModule.call(this, { ...descriptor, code });
    };
  });
  const seen = await load(page);
  assertRight(seen);
  assert.ok(
    seen.info.notes.some((note) => /subgroups did not compile/.test(note)),
    `${seen.info.notes}`,
  );
  await page.context().close();
});

test("a GPU that is wrong throughout is not used: a small model goes to the CPU", async () => {
  const page = await pageAfter(() => {
    const { createShaderModule } = GPUDevice.prototype;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = descriptor.code.replace(/const EPSILON: f32 = [^;]*;/, "const EPSILON: f32 = 7f;");
      return createShaderModule.call(this, { ...descriptor, code });
    };
  });
  const refused = await load(page, { backend: "webgpu" });
  assert.equal(refused.code, "webgpu-unavailable");
  assert.match(refused.message, /computes wrong results/);
  const seen = await load(page);
  assertRight(seen, 5e-3);
  assert.equal(seen.info.backend, "cpu");
  assert.ok(
    seen.info.notes.some((note) => /computes wrong results.*runs on the CPU/.test(note)),
    `${seen.info.notes}`,
  );
  await page.context().close();
});

test("no optional feature and exactly the default limits suffice", async () => {
  const page = await pageAfter(() => {
    globalThis.asked = [];
    // https://www.w3.org/TR/webgpu/#limits
    const defaults = {
      maxStorageBufferBindingSize: 128 << 20,
      maxBufferSize: 256 << 20,
      maxComputeWorkgroupStorageSize: 16 << 10,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupSizeX: 256,
      maxStorageBuffersPerShaderStage: 8,
    };
    const limits = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "limits").get;
    Object.defineProperty(GPUAdapter.prototype, "limits", {
      get() {
        const real = limits.call(this);
        return new Proxy(real, { get: (_, key) => defaults[key] ?? real[key] });
      },
    });
    Object.defineProperty(GPUAdapter.prototype, "features", { get: () => new Set() });
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await requestDevice.call(this, descriptor);
      const granted = Object.fromEntries(Object.keys(defaults).map((key) => [key, device.limits[key]]));
      globalThis.asked.push({ features: [...(descriptor.requiredFeatures ?? [])], granted, defaults });
      return device;
    };
  });
  const seen = await load(page);
  assertRight(seen);
  assert.deepEqual(seen.info.features, []);
  const asked = await page.evaluate(() => asked);
  assert.ok(asked.length > 0);
  for (const { features, granted, defaults } of asked) {
    assert.deepEqual(features, []);
    assert.deepEqual(granted, defaults);
  }
  await page.context().close();
});

test("where memory is short the context is shorter, or the error says what fits", async () => {
  const page = await pageAfter(() => {
    /** Buffers with these labels that are larger than this cannot be allocated. */
    globalThis.scarce = { labels: [], bytes: Infinity };
    const scopes = [];
    let failed = false;
    const { createBuffer, pushErrorScope, popErrorScope } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      failed ||= scarce.labels.includes(descriptor.label) && descriptor.size > scarce.bytes;
      return createBuffer.call(this, descriptor);
    };
    GPUDevice.prototype.pushErrorScope = function (filter) {
      scopes.push(filter);
      return pushErrorScope.call(this, filter);
    };
    GPUDevice.prototype.popErrorScope = async function () {
      const isMemory = scopes.pop() === "out-of-memory";
      const injected = isMemory && failed ? new GPUOutOfMemoryError("injected") : null;
      if (isMemory) failed = false;
      return (await popErrorScope.call(this)) ?? injected;
    };
  });
  const short = (labels, bytes) => page.evaluate((given) => void Object.assign(scarce, given), { labels, bytes });
  const { contextLength, kvBytes, config } = right.info;
  const half = kvBytes / config.num_layers / 2 / 2; // of a layer's keys
  await short(["key cache"], half * config.num_layers); // whether or not layers share a buffer
  const seen = await load(page);
  assertRight(seen);
  assert.ok(seen.info.contextLength < contextLength && seen.info.contextLength >= 64, `${seen.info.contextLength}`);
  assert.ok(
    seen.info.notes.some((note) => /no room for a context of/.test(note)),
    `${seen.info.notes}`,
  );
  // A requested length is used, or the error says which one fits.
  const asked = await load(page, { contextLength });
  assert.equal(asked.code, "out-of-memory");
  const [, fits] = /contextLength (\d+)/.exec(asked.hint) ?? [];
  assertRight(await load(page, { contextLength: Number(fits) }));
  await short(["layers", "embedding"], 0);
  const nothing = await load(page);
  assert.equal(nothing.code, "out-of-memory");
  assert.match(`${nothing.message} ${nothing.hint}`, /weights take \d+ MB.*Close other tabs/);
  // Nothing is left over from the failure.
  await short([], Infinity);
  assertRight(await load(page));
  await page.context().close();
});
