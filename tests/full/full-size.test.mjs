// Checkpoints of full size, and how fast they load. Times are printed, for BENCHMARKS.md, and not asserted.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { modulePage, onMainThread, start } from "../browser/harness.mjs";
import { startHub } from "../browser/hub-simulator.mjs";

const oracle = fileURLToPath(new URL("../../target/oracle/", import.meta.url));
const HEAP_LIMIT = 256 * 2 ** 20;

let world;
let hub;
before(async () => {
  world = await start();
  const repository = (folder, path) => ({
    files: { "config.json": `${folder}/config.json`, [path]: `${folder}/${path}` },
  });
  hub = await startHub({
    "o/published": repository(`${oracle}150M`, "pytorch_model.bin"),
    "o/quantized": repository(`${oracle}150M/quantized`, "model.safetensors"),
    "o/beyond": repository(`${oracle}beyond-4-gib`, "pytorch_model.bin"),
    "o/medium": repository(`${oracle}medium/quantized`, "model.safetensors"),
  });
});
after(async () => {
  await hub?.close();
  await world?.close();
});

/** Loads a model: logits of a few tokens, the final size of the module's memory, and when each phase was first and last seen. */
const load = (page, name, options = {}) =>
  page.evaluate(
    async ([name, options]) => {
      const from = performance.now();
      const times = {};
      const controller = new AbortController();
      const onProgress = ({ phase }) => {
        const now = performance.now() - from;
        times[phase] = [times[phase]?.[0] ?? now, now];
        if (phase === "compile" && options.weightsOnly) controller.abort();
      };
      const { weightsOnly, ...rest } = options;
      try {
        const model = await TokenFormer.load(name, { ...rest, onProgress, signal: controller.signal });
        const logits = Array.from(await model.logits([5, 17, 300, 2, 1999]));
        const { wasmHeapBytes } = model.info;
        await model.dispose();
        return { logits, wasmHeapBytes, times };
      } catch (e) {
        if (weightsOnly && e.code === "aborted") return { times };
        throw e;
      }
    },
    [name, { endpoint: hub.endpoint, ...options }],
  );

const seconds = ([from, to]) => (to - from) / 1000;
const rate = (bytes, time) => `${Math.round(bytes / time / 1e6)} MB/s`;

test("a published 150M checkpoint: memory, logits, and rates", async (t) => {
  const context = await world.browser.newContext();
  const page = await modulePage(world, undefined, context);
  page.setDefaultTimeout(600_000);
  const first = await load(page, "o/published", { quantization: "q4" });
  const size = hub.sent("pytorch_model.bin");
  assert.ok(first.wasmHeapBytes <= HEAP_LIMIT, `${first.wasmHeapBytes} bytes`);
  t.diagnostic(
    `download, conversion and storing: ${rate(size, seconds(first.times.download))}, wasm memory ${Math.round(first.wasmHeapBytes / 1e6)} MB`,
  );
  const folder = await load(page, "o/quantized", { cache: false });
  assert.deepEqual(first.logits, folder.logits);

  const [{ bytes }] = await page.evaluate(() => TokenFormer.models());
  const bare = await page.evaluate(copyFromStorage);
  const stored = await load(page, "o/published", { quantization: "q4", weightsOnly: true });
  t.diagnostic(
    `from the storage: ${rate(bytes, seconds([stored.times.resolve[1], stored.times.compile[0]]))}; a bare copy from IndexedDB to the GPU: ${rate(bare.bytes, bare.seconds)}`,
  );

  // The profile covers one thread, so the engine has to run in it.
  await onMainThread(context);
  const profiled = await modulePage(world, undefined, context);
  profiled.setDefaultTimeout(600_000);
  const session = await context.newCDPSession(profiled);
  await session.send("Profiler.enable");
  await session.send("Profiler.start");
  await load(profiled, "o/published", { quantization: "q4", cache: false, weightsOnly: true });
  const { profile } = await session.send("Profiler.stop");
  const inWasm = new Set(profile.nodes.filter((n) => n.callFrame.url.endsWith(".wasm")).map((n) => n.id));
  const micros = profile.samples.reduce((sum, id, i) => sum + (inWasm.has(id) ? profile.timeDeltas[i] : 0), 0);
  t.diagnostic(`quantizing and hashing (all time in wasm): ${rate(size, micros / 1e6)}`);
  await context.close();
});

/** The baseline for loading from the storage: the same records, read and written to a buffer, and nothing else. */
async function copyFromStorage() {
  const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
  const database = await done(indexedDB.open("tokenformer-web 3"));
  const data = () => database.transaction("data").objectStore("data");
  const keys = (await done(data().getAllKeys())).filter((key) => /\d$/.test(key));
  const device = await (await navigator.gpu.requestAdapter()).requestDevice();
  const buffer = device.createBuffer({ size: 64 << 20, usage: GPUBufferUsage.COPY_DST });
  const from = performance.now();
  let bytes = 0;
  for (const key of keys) {
    const piece = await (await done(data().get(key))).arrayBuffer();
    device.queue.writeBuffer(buffer, 0, piece, 0, piece.byteLength & ~3);
    bytes += piece.byteLength;
  }
  await device.queue.onSubmittedWorkDone();
  const seconds = (performance.now() - from) / 1000;
  device.destroy();
  database.close();
  return { bytes, seconds };
}

test("a checkpoint beyond 4 GiB", async (t) => {
  const page = await modulePage(world);
  page.setDefaultTimeout(600_000);
  const beyond = await load(page, "o/beyond");
  assert.ok(hub.sent("beyond/pytorch_model.bin") > 2 ** 32);
  assert.ok(beyond.wasmHeapBytes <= HEAP_LIMIT, `${beyond.wasmHeapBytes} bytes`);
  const folder = await load(page, "o/medium");
  assert.deepEqual(beyond.logits, folder.logits);
  t.diagnostic(`download and hashing: ${rate(hub.sent("beyond/pytorch_model.bin"), seconds(beyond.times.download))}`);
  await page.close();
});
