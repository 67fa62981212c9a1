// How answers of a hub or host become messages to the user: on the CPU engine, with models of a few megabytes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { modulePage, onMainThread, start } from "./harness.mjs";
import { startHub } from "./hub-simulator.mjs";

const medium = fileURLToPath(new URL("../../target/oracle/medium/", import.meta.url));
const read = (name) => readFileSync(`${medium}${name}`);
const FOLDER = {
  "config.json": read("quantized/config.json"),
  "model.safetensors": read("quantized/model.safetensors"),
};
let world;
const hubs = [];
before(async () => {
  world = await start({ webgpu: false });
});
after(async () => {
  await Promise.all(hubs.map((hub) => hub.close()));
  await world?.close();
});

/**
 * A hub and a page whose `tell(name, options)` loads a model on the CPU and says what became of it. Waits between attempts
 * are 200 times as short there; the clock, and how long an answer may take, run `globalThis.speed` times as fast.
 */
async function setUp(repositories, options = {}) {
  const hub = await startHub(repositories, options);
  hubs.push(hub);
  const context = await world.browser.newContext();
  await onMainThread(context);
  await context.addInitScript(() => {
    globalThis.speed = 1;
    const [now, setTimeout] = [performance.now.bind(performance), globalThis.setTimeout];
    let [real, shown] = [now(), now()];
    Performance.prototype.now = () => {
      shown += (now() - real) * globalThis.speed;
      real = now();
      return shown;
    };
    // Time limits, of the storage too, are whole seconds; waits between attempts have a random part.
    const speed = (time) => (time % 1000 === 0 ? globalThis.speed : 200);
    globalThis.setTimeout = (callback, time, ...rest) => setTimeout(callback, time / speed(time), ...rest);
  });
  const page = await modulePage(world, undefined, context);
  await page.evaluate((endpoint) => {
    globalThis.tell = async (name, options = {}) => {
      const waits = [];
      const onProgress = ({ waitingFor }) => {
        if (!waitingFor || waitingFor === waits.at(-1)) return;
        waits.push(waitingFor);
        globalThis.onWait?.(waitingFor);
      };
      try {
        const model = await TokenFormer.load(name, { endpoint, backend: "cpu", onProgress, ...options });
        const { notes, quantization, revision } = model.info;
        const ids = (await model.complete([5, 17, 300], { maxTokens: 3, temperature: 0 })).tokenIds;
        await model.dispose();
        return { outcome: "loaded", notes: notes.join(" "), quantization, revision, ids, waits };
      } catch (e) {
        return { outcome: e.code, message: `${e.message} ${e.hint}`, waits };
      }
    };
  }, hub.endpoint);
  const tell = (name, options) => page.evaluate(([name, options]) => tell(name, options), [name, options]);
  const close = () => context.close();
  return { hub, context, page, tell, close };
}

const files = { "o/folder": { files: FOLDER } };

// What each answer means is tested in src/hub/answer.rs, src/hub/tests and src/load/tests.
test("a stored model stands in for a hub that gives no answer", async () => {
  const { hub, tell, close } = await setUp(files);
  // By the address that users copy.
  const byAddress = await tell(`${hub.endpoint}/o/folder/resolve/main/model.safetensors`);
  assert.equal(byAddress.outcome, "loaded", byAddress.message);
  assert.equal((await tell(`${hub.endpoint}/o/folder/tree/no-such-branch`)).outcome, "model-not-found");
  hub.requests.length = 0;
  hub.faults.push({ kind: "status", server: "hub", match: /api/, times: Infinity, status: 503 });
  const seen = await tell("o/folder");
  assert.equal(seen.outcome, "loaded", seen.message);
  assert.match(seen.notes, /cannot be reached.*stored on an earlier visit/);
  assert.deepEqual(seen.ids, byAddress.ids);
  assert.ok(hub.requests.length <= 2, "nobody waits long beside a copy");
  await close();
});

test("what cannot be reached is said at once, and so is a device without a network", async () => {
  const { context, tell, close } = await setUp(files);
  const nobody = await tell("o/folder", { endpoint: "http://127.0.0.1:1" });
  assert.equal(nobody.outcome, "network");
  assert.match(nobody.waits[0], /127\.0\.0\.1:1 does not answer as it should: attempt 2 of 6/);
  await context.setOffline(true);
  const offline = await tell("o/folder");
  await context.setOffline(false);
  assert.equal(offline.outcome, "network");
  assert.match(offline.message, /This device is offline/);
  assert.doesNotMatch(offline.message, /CORS/);
  await close();
});

test("a browser that never gives an adapter or a device is not waited for", async () => {
  const { page, tell, close } = await setUp(files);
  await page.evaluate(() => {
    // The hub answers long before the wait for the browser times out.
    globalThis.speed = 2;
    globalThis.onWait = (waitingFor) => /GPU/.test(waitingFor) && (globalThis.speed = 100);
    const gpu = { requestAdapter: () => new Promise(() => {}) };
    Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  });
  const seen = await tell("o/folder", { backend: "auto" });
  assert.equal(seen.outcome, "loaded", seen.message);
  assert.ok(seen.waits.includes("Waiting for the browser to open the GPU"), seen.waits.join());
  assert.match(seen.notes, /No WebGPU adapter was found: the browser gave no answer for 20s.*runs on the CPU/);
  const refused = await tell("o/folder", { backend: "webgpu" });
  assert.equal(refused.outcome, "webgpu-unavailable", refused.message);
  await close();
});
