// Loading from a hub: streamed, resumed, verified, saved. The hub is a simulator with faults.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { compileKernels, FULL, modulePage, quickContext, relativeError, start, until } from "./harness.mjs";
import { startHub } from "./hub-simulator.mjs";

const medium = fileURLToPath(new URL("../../target/oracle/medium/", import.meta.url));
const CHECKPOINT = readFileSync(`${medium}pytorch_model.bin`);
const WEIGHTS = readFileSync(`${medium}quantized/model.safetensors`);
const CONFIG = readFileSync(`${medium}config.json`);
const QUANTIZED_CONFIG = readFileSync(`${medium}quantized/config.json`);
const MANIFEST = readFileSync(`${medium}quantized/manifest.json`);
const UNALIGNED = readFileSync(`${medium}unaligned.bin`);
const SHARDED = Object.fromEntries(
  readdirSync(`${medium}sharded`).map((name) => [name, readFileSync(`${medium}sharded/${name}`)]),
);
/** What is sent besides the weights: lists, small files, directory and headers. */
const SMALL = 300_000;

const repositories = () => ({
  "o/published": { files: { "README.md": Buffer.from("x"), "config.json": CONFIG, "pytorch_model.bin": CHECKPOINT } },
  "o/folder": { files: { "config.json": QUANTIZED_CONFIG, "manifest.json": MANIFEST, "model.safetensors": WEIGHTS } },
  "o/sharded": { files: SHARDED },
  "o/unaligned": { files: { "config.json": CONFIG, "pytorch_model.bin": UNALIGNED } },
  "o/bare": { files: { "config.json": QUANTIZED_CONFIG, "model.safetensors": WEIGHTS } },
});

/** Where the loaded model runs: on a software GPU, the kernels of each load compile for seconds. */
const BACKEND = FULL ? "webgpu" : "cpu";

let world;
const hubs = [];
before(async () => {
  world = await start();
});
after(async () => {
  await Promise.all(hubs.map((hub) => hub.close()));
  await world?.close();
});

/** A hub, a context with storage of its own, and a page in it whose `fill(name, options)` loads weights. */
async function setUp(options = {}, more = {}, thread = "main") {
  const hub = await startHub({ ...repositories(), ...more }, options);
  hubs.push(hub);
  const context = await quickContext(world, thread);
  const page = await loadingPage(hub, context);
  return { hub, context, page };
}

async function loadingPage(hub, context) {
  const page = await modulePage(world, undefined, context);
  await page.evaluate((endpoint) => {
    /** Loads a model up to the end of its download: "loaded" and the progress, or the code of the error. */
    globalThis.fill = async (name, options = {}) => {
      const controller = new AbortController();
      const progress = [];
      globalThis.controller = controller;
      const onProgress = (p) => {
        progress.push(p);
        if (p.phase === "compile") controller.abort("filled");
      };
      try {
        const model = await TokenFormer.load(name, { endpoint, signal: controller.signal, onProgress, ...options });
        return { outcome: "not aborted", message: model.info.notes.join(" "), progress };
      } catch (e) {
        const filled = e.code === "aborted" && progress.at(-1)?.phase === "compile";
        return { outcome: filled ? "loaded" : e.code, message: `${e.message} ${e.hint}`, progress };
      }
    };
  }, hub.endpoint);
  return page;
}

const fill = (page, name, options) => page.evaluate(([name, options]) => fill(name, options), [name, options]);
const models = (page) => page.evaluate(() => TokenFormer.models());
/** Records stored for a model, unit by unit: `[[key, record]]`. */
const storedUnits = (page, name) =>
  page.evaluate(async (name) => {
    if (!(await indexedDB.databases()).some(({ name }) => name === "tokenformer-web 3")) return [];
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const database = await done(indexedDB.open("tokenformer-web 3"));
    const store = database.transaction("units").objectStore("units");
    const [keys, records] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    database.close();
    return keys.map((key, i) => [key, JSON.parse(records[i].slice(64))]).filter(([key]) => key.includes(`|${name}|`));
  }, name);
/** Bytes of the checkpoint that are stored, in whatever form. */
const storedOf = async (page, name) =>
  (await storedUnits(page, name)).reduce((sum, [, unit]) => sum + unit.source_bytes, 0);

/** Waits until the hub holds back what `loading` requested; fails if `loading` ends before. */
async function untilHeld(held, loading) {
  assert.equal(await Promise.race([held.then(() => "held"), loading]), "held");
}

async function untilStored(page, name, bytes) {
  while ((await storedOf(page, name)) < bytes) await page.evaluate(() => new Promise(requestAnimationFrame));
}

function assertHonest(progress) {
  let last = { loadedBytes: 0 };
  for (const p of progress.filter((p) => ["download", "cache"].includes(p.phase))) {
    assert.ok(p.loadedBytes >= last.loadedBytes, "progress never goes back");
    assert.ok(p.loadedBytes <= p.totalBytes, "progress never passes the total");
    assert.equal(p.fromCache, p.phase === "cache");
    last = p;
  }
  assert.equal(last.loadedBytes, last.totalBytes, "progress ends at the total");
}

for (const thread of ["main", "worker"])
  test(`a published checkpoint opens by its name, and the next visit downloads nothing: ${thread}`, async () => {
    const { hub, context, page } = await setUp({}, {}, thread);
    const first = await fill(page, "o/published", { quantization: "q4" });
    assert.equal(first.outcome, "loaded", first.message);
    assertHonest(first.progress);
    const download = first.progress.filter((p) => p.phase === "download");
    assert.ok(download.every((p) => !p.fromCache) && download.some((p) => p.bytesPerSecond > 0 && p.secondsLeft >= 0));
    assert.equal(download.at(-1).totalBytes, CHECKPOINT.length);
    const [stored] = await models(page);
    assert.deepEqual([stored.id, stored.quantization, stored.complete], ["o/published", "q4", true]);
    assert.ok(stored.bytes < WEIGHTS.length + 1000 && stored.bytes > 0.9 * WEIGHTS.length);
    await page.close();

    hub.requests.length = 0;
    const again = await loadingPage(hub, context);
    await compileKernels(again, thread);
    const result = await again.evaluate(
      async ([endpoint, backend]) => {
        const progress = [];
        const model = await TokenFormer.load("o/published", {
          endpoint,
          quantization: "q4",
          backend,
          onProgress: (p) => progress.push(p),
        });
        const logits = Array.from(await model.logits([5, 17, 300, 2, 1999]));
        const { info } = model;
        await model.dispose();
        return { progress, logits, info };
      },
      [hub.endpoint, BACKEND],
    );
    assert.deepEqual(
      hub.requests.filter((r) => r.server === "cdn"),
      [],
    );
    assertHonest(result.progress);
    assert.equal(result.info.revision, stored.revision);
    assert.equal(result.info.quantization, "q4");

    // The same numbers as the folder that `convert` wrote from the same file.
    for (const name of ["o/folder", "o/sharded", "o/unaligned"]) {
      const same = await again.evaluate(
        async ([endpoint, name, backend]) => {
          const model = await TokenFormer.load(name, { endpoint, backend, cache: false });
          const logits = Array.from(await model.logits([5, 17, 300, 2, 1999]));
          await model.dispose();
          return logits;
        },
        [hub.endpoint, name, BACKEND],
      );
      assert.equal(relativeError(result.logits, same), 0, name);
    }
    assert.equal((await models(again)).length, 1, "cache: false keeps nothing");

    // Without a network the stored copy is used, and a note says so.
    await context.setOffline(true);
    const offline = await fill(again, "o/published");
    const other = await fill(again, "o/published", { quantization: "q8" });
    await context.setOffline(false);
    assert.equal(offline.outcome, "loaded", offline.message);
    assert.equal(other.outcome, "network", "of another precision nothing is stored");
    assert.deepEqual(hub.violations, []);
    assert.deepEqual(
      again.problems.filter((p) => !/ERR_INTERNET_DISCONNECTED/.test(p)),
      [],
    );
    const freed = await again.evaluate(() => TokenFormer.delete("o/published", { quantization: "q4" }));
    assert.equal(freed, stored.bytes);
    assert.deepEqual(await models(again), []);
    await context.close();
  });

// What each fault means, and which failures are permanent, is tested in src/hub/tests and src/load/tests. Here: that a browser's own
// errors, streams, timers and hidden answers are told apart.
test("what fails once is overcome", async () => {
  const { hub, context, page } = await setUp();
  for (const fault of [
    { kind: "cut", after: 300_000, times: 3 },
    { kind: "stall", after: 100_000 },
    { kind: "no-range" },
    { kind: "status", status: 403 },
    { kind: "cut", after: 10, server: "hub", match: /config/ },
  ]) {
    hub.faults.push({ ...fault });
    const { outcome, message, progress } = await fill(page, "o/published");
    const left = hub.faults.splice(0);
    assert.equal(outcome, "loaded", `${JSON.stringify(fault)} ${message}`);
    assert.ok(left[0].times <= 0, `${JSON.stringify(fault)} was met`);
    assertHonest(progress);
    await page.evaluate(() => TokenFormer.delete("o/published"));
  }
  hub.opaqueExpiry = true;
  const held = hub.holdAfter(2_500_000);
  const loading = fill(page, "o/published");
  await untilHeld(held, loading);
  hub.expire();
  hub.release();
  assert.equal((await loading).outcome, "loaded", "signed addresses that expire are fetched again");
  assert.deepEqual(hub.violations, []);
  await context.close();
});

test("a wrong byte is an integrity error, is not kept, and the next attempt succeeds", async () => {
  const { hub, context, page } = await setUp();
  // Hashed by this module's code, and by the browser's.
  for (const name of ["o/published", "o/folder"]) {
    hub.faults.push({ kind: "corrupt", at: 2_400_000, times: Infinity });
    const damaged = await fill(page, name);
    hub.faults.length = 0;
    assert.equal(damaged.outcome, "integrity", `${name} ${damaged.message}`);
    assert.ok((await models(page)).every((m) => !m.complete || m.id !== name));
    assert.equal((await fill(page, name)).outcome, "loaded", name);
  }
  await context.close();
});

test("a load that was cut goes on where it was", async () => {
  const { hub, context, page } = await setUp({}, {}, "worker");
  // The tab is closed twice in the middle of the download.
  let open = page;
  for (let visit = 0; visit < 2; visit += 1) {
    const before = await storedOf(open, "o/published");
    // How much is missing depends on how much the first visit stored.
    const missing = CHECKPOINT.length - before;
    const bytes = visit === 0 ? Math.floor(missing / 2) : missing - 1_000_000;
    const held = hub.holdAfter(bytes);
    const loading = fill(open, "o/published").catch(() => null);
    await untilHeld(held, loading);
    // What has arrived is stored, except for data in flight.
    await untilStored(open, "o/published", before + bytes - (8 << 20));
    await open.close();
    await loading;
    hub.hangUp();
    open = await loadingPage(hub, context);
  }
  const stored = await storedOf(open, "o/published");
  hub.requests.length = 0;
  const last = await fill(open, "o/published");
  assert.equal(last.outcome, "loaded", last.message);
  assertHonest(last.progress);
  assert.ok(last.progress.some((p) => p.phase === "cache" && p.fromCache));
  const sent = hub.sent("pytorch_model.bin");
  assert.ok(
    sent <= CHECKPOINT.length - stored + SMALL,
    `${sent} bytes were sent where ${stored} of ${CHECKPOINT.length} were stored`,
  );

  // Once more with abort, which answers at once and leaves nothing half-written.
  await open.evaluate(() => TokenFormer.delete("o/published"));
  const held = hub.holdAfter(9e6);
  const loading = fill(open, "o/published");
  await untilHeld(held, loading);
  // The hub still holds back the response: neither the abort nor other loads of the same model wait for it.
  await open.evaluate(() => controller.abort());
  assert.equal((await loading).outcome, "aborted");
  await until(open, async () => (await navigator.locks.query()).held.length === 0);
  hub.release();
  assert.equal((await fill(open, "o/published")).outcome, "loaded");
  await context.close();
});

test("two tabs share one download", async () => {
  const { hub, context, page } = await setUp({}, {}, "worker");
  const second = await loadingPage(hub, context);
  const results = await Promise.all([fill(page, "o/published"), fill(second, "o/published")]);
  assert.deepEqual(
    results.map((r) => r.outcome),
    ["loaded", "loaded"],
  );
  assert.ok(hub.sent("pytorch_model.bin") < CHECKPOINT.length + SMALL);
  await context.close();
});

test("a storage that is full or small stops nothing", async () => {
  const { hub, context, page } = await setUp();
  const note = async (pages) =>
    pages.evaluate(
      async ([endpoint, backend]) => {
        const model = await TokenFormer.load("o/published", { endpoint, backend });
        const { notes } = model.info;
        await model.dispose();
        return notes;
      },
      [hub.endpoint, BACKEND],
    );
  // The estimate says so before the download.
  await compileKernels(page);
  await page.evaluate(() => {
    StorageManager.prototype.estimate = async () => ({ usage: 1e6, quota: 2e6 });
  });
  const [estimated] = await note(page);
  assert.match(estimated, /4 MB/);
  assert.match(estimated, /1 MB more/);
  assert.deepEqual(await models(page), []);
  // The browser says so in the middle.
  const full = await loadingPage(hub, context);
  await full.evaluate(() => {
    const put = IDBObjectStore.prototype.put;
    let puts = 0;
    IDBObjectStore.prototype.put = function (value, key) {
      if (this.name === "data" && ++puts > 2) throw new DOMException("no room", "QuotaExceededError");
      return put.call(this, value, key);
    };
  });
  assert.equal((await fill(full, "o/published")).outcome, "loaded");
  assert.deepEqual(await models(full), [], "what can never become whole takes no room");
  await context.close();
});

test("tokens go to the endpoint alone", async () => {
  const token = "hf_secret";
  const files = repositories()["o/folder"].files;
  const { hub, context, page } = await setUp({}, { "o/private": { token, files } });
  assert.equal((await fill(page, "o/private")).outcome, "model-not-found");
  assert.equal((await fill(page, "o/private", { token })).outcome, "loaded");
  assert.deepEqual(hub.violations, [], "nor does anything need a preflight there");
  await context.close();
});

test("headers that a page may not see count as none", async () => {
  for (const [plain, ignoresRanges, exposeRange] of [
    [true, true, true],
    [false, false, false],
  ]) {
    const { hub, context, page } = await setUp({ plain, exposeRange });
    hub.ignoresRanges = ignoresRanges;
    for (const name of ["o/published", "o/bare"]) {
      const { outcome, message, progress } = await fill(page, name);
      assert.equal(outcome, "loaded", `${name} ${JSON.stringify({ plain, ignoresRanges, exposeRange })}: ${message}`);
      assertHonest(progress);
    }
    assert.deepEqual(hub.violations, []);
    await context.close();
  }
});

test("an answer that a page may not see is that of a file that is missing", async () => {
  const { hub, context, page } = await setUp({ plain: true });
  hub.missing = "opaque";
  for (const name of ["o/folder", "o/published"]) {
    const { outcome, message } = await fill(page, hub.folder(name));
    assert.equal(outcome, "loaded", `${name}: ${message}`);
  }
  assert.equal((await fill(page, hub.folder("o/nothing"))).outcome, "network");
  await context.close();
});
