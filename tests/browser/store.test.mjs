// What is kept between visits, on the CPU engine: what a stored model is known by, what is damaged, and a storage, other
// tabs and other versions of the module that do not do what they should.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { modulePage, onMainThread, start } from "./harness.mjs";
import { startHub } from "./hub-simulator.mjs";

const medium = fileURLToPath(new URL("../../target/oracle/medium/", import.meta.url));
const read = (path) => readFileSync(`${medium}${path}`);
const CONFIG = read("quantized/config.json");
const WEIGHTS = read("quantized/model.safetensors");
const FILES = {
  "config.json": CONFIG,
  "manifest.json": read("quantized/manifest.json"),
  "model.safetensors": WEIGHTS,
};
const PUBLISHED = { "config.json": read("config.json"), "pytorch_model.bin": read("pytorch_model.bin") };
/** As in `src/store/indexed_db/connection.rs`. */
const DATABASE = "tokenformer-web 3";

let world;
let hub;
before(async () => {
  world = await start({ webgpu: false });
  hub = await startHub({
    "o/folder": { files: FILES, branches: ["v1.0"] },
    "o/published": { files: PUBLISHED },
  });
});
after(async () => {
  await hub?.close();
  await world?.close();
});

/** A context of its own storage. Timers run 20 times as fast, so that waits cost nothing. */
async function newContext() {
  const context = await world.browser.newContext();
  await onMainThread(context);
  await context.addInitScript(() => {
    const setTimeout = globalThis.setTimeout;
    globalThis.setTimeout = (callback, time, ...rest) => setTimeout(callback, time / 20, ...rest);
  });
  return context;
}

/** A page whose `loaded(name, options)` loads a model and gives what is told of it, or the code of the error. */
async function newPage(context) {
  const page = await modulePage(world, undefined, context);
  await page.evaluate((endpoint) => {
    globalThis.loaded = async (name, options) => {
      const waiting = new Set();
      const onProgress = (p) => waiting.add(p.waitingFor);
      try {
        const model = await TokenFormer.load(name, { endpoint, onProgress, ...options });
        const { config, notes, revision } = model.info;
        await model.dispose();
        return { outcome: "loaded", config, notes, revision, waiting: [...waiting].filter(Boolean) };
      } catch (e) {
        return { outcome: e.code, message: `${e.message} ${e.hint}` };
      }
    };
  }, hub.endpoint);
  return page;
}

const load = (page, name, options = {}) => page.evaluate(([name, options]) => loaded(name, options), [name, options]);
const models = (page) => page.evaluate(() => TokenFormer.models());

async function assertLoaded(page, name, options) {
  const result = await load(page, name, options);
  assert.equal(result.outcome, "loaded", result.message);
  return result;
}

/** Runs `change(keys, get, put)` on a store of the database. */
const inStore = (page, store, change) =>
  page.evaluate(
    async ([name, store, change]) => {
      const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const database = await done(indexedDB.open(name));
      const objects = () => database.transaction(store, "readwrite").objectStore(store);
      const keys = (await done(objects().getAllKeys())).filter((key) => !key.endsWith("tokenizer"));
      const get = (key) => done(objects().get(key));
      const put = (value, key) => done(objects().put(value, key));
      await (0, eval)(`(${change})`)(keys, get, put);
      database.close();
    },
    [DATABASE, store, String(change)],
  );

test("a config counts for the load that it was given to", async () => {
  const context = await newContext();
  const page = await newPage(context);
  const first = await assertLoaded(page, "o/folder");
  const kept = await models(page);
  hub.requests.length = 0;
  const other = await assertLoaded(page, "o/folder", { config: { rotary_pct: 0.5 } });
  assert.equal(other.config.rotary_pct, 0.5);
  const again = await assertLoaded(page, "o/folder");
  assert.deepEqual(again.config, first.config);
  assert.notEqual(again.config.rotary_pct, 0.5);
  for (const layers of [1, first.config.num_layers + 1]) {
    const { outcome } = await load(page, "o/folder", { config: { num_layers: layers } });
    assert.equal(outcome, "invalid-config", `${layers} layers`);
  }
  assert.ok(hub.sent("model.safetensors") < 300_000, "the weights are not loaded again");
  const now = await models(page);
  assert.deepEqual(
    now.map(({ bytes, complete }) => [bytes, complete]),
    kept.map(({ bytes, complete }) => [bytes, complete]),
  );
  // The first load of all is no other: what it was given is not kept.
  const published = await assertLoaded(page, "o/published", { config: { rotary_pct: 0.5 } });
  assert.equal(published.config.rotary_pct, 0.5);
  assert.notEqual((await assertLoaded(page, "o/published")).config.rotary_pct, 0.5);
  assert.deepEqual(hub.violations, []);
  await context.close();
});

test("without a network a model is found by every name that it was loaded by", async () => {
  const context = await newContext();
  const page = await newPage(context);
  for (const revision of ["main", "v1.0"]) await assertLoaded(page, "o/folder", { revision });
  const folder = hub.folder("o/folder");
  await assertLoaded(page, folder, { revision: "means-nothing" });
  await context.setOffline(true);
  for (const revision of ["main", "v1.0"]) await assertLoaded(page, "o/folder", { revision });
  assert.equal((await load(page, "o/folder", { revision: "v2.0" })).outcome, "network");
  await assertLoaded(page, folder);
  await context.setOffline(false);
  await context.close();
});

test("one connection serves all calls", async () => {
  const context = await newContext();
  const page = await newPage(context);
  await page.evaluate(() => {
    const { open } = IDBFactory.prototype;
    globalThis.opened = 0;
    IDBFactory.prototype.open = function (...which) {
      globalThis.opened += 1;
      return open.apply(this, which);
    };
  });
  await assertLoaded(page, "o/folder");
  for (let i = 0; i < 5; i += 1) await models(page);
  await page.evaluate(() => TokenFormer.delete("o/nothing"));
  assert.equal(await page.evaluate(() => opened), 1);
  // Whoever deletes the site's data does not wait for it, and what comes later opens another.
  await page.evaluate(
    (name) =>
      new Promise((resolve, reject) => {
        const request = indexedDB.deleteDatabase(name);
        request.onsuccess = resolve;
        request.onblocked = () => reject(new Error("blocked"));
      }),
    DATABASE,
  );
  assert.deepEqual(await models(page), []);
  await assertLoaded(page, "o/folder");
  assert.equal((await models(page))[0].complete, true);
  await context.close();
});

test("what is damaged is loaded again, and nothing else, even if an answer is garbled once more", async () => {
  const context = await newContext();
  const page = await newPage(context);
  const flipByte = async (keys, get, put) => {
    const bytes = new Uint8Array(await (await get(keys[1])).arrayBuffer());
    bytes[bytes.length >> 1] ^= 4;
    await put(new Blob([bytes]), keys[1]);
  };
  const noPieces = async (keys, get, put) => {
    const text = await get(keys[1]);
    await put(text.replace(/"pieces":\[.*?\]/, '"pieces":[]'), keys[1]);
  };
  const fewerLayers = async (keys, get, put) => {
    const text = await get(keys[0]);
    await put(text.replace(/"num_layers":\d+/, '"num_layers":1'), keys[0]);
  };
  for (const [name, path] of [
    ["o/folder", "model.safetensors"],
    ["o/published", "pytorch_model.bin"],
  ]) {
    const { config } = await assertLoaded(page, name);
    const whole = hub.sent(path);
    for (const [store, change, garbled] of [
      ["data", flipByte, 0],
      ["data", flipByte, 2],
      ["units", noPieces, 0],
      ["models", fewerLayers, 0],
    ]) {
      await inStore(page, store, change);
      const what = `${name} ${store} ${garbled}`;
      if (store === "models") assert.equal((await models(page))[0].bytes > 0, true, "it still takes room");
      hub.requests.length = 0;
      // In the middle of the second unit, each time at another byte: a sign or an exponent.
      const at = 1.5 * (name === "o/folder" ? 1 << 20 : 2 << 20);
      for (let n = 0; n < garbled; n += 1) hub.faults.push({ kind: "corrupt", only: true, at: at + 3 + 4 * n });
      const result = await load(page, name);
      assert.ok(
        hub.faults.splice(0).every((fault) => fault.times === 0),
        `${what}: the faults were met`,
      );
      assert.equal(result.outcome, "loaded", `${what}: ${result.message}`);
      assert.deepEqual(result.config, config, what);
      assert.ok(hub.sent(path) < 0.8 * whole, `${what}: ${hub.sent(path)} of ${whole} bytes were sent again`);
      hub.requests.length = 0;
      await assertLoaded(page, name);
      assert.equal(hub.sent(path), 0, `${what}: it is complete again`);
    }
    await page.evaluate((name) => TokenFormer.delete(name), name);
  }
  await context.close();
});

test("other versions on the same origin neither break nor hide anything", async () => {
  const context = await newContext();
  const page = await newPage(context);
  const other = await newPage(context);
  // A later format by the name that older versions use, and a tab that does not close it.
  await other.evaluate(async () => {
    const request = indexedDB.open("tokenformer-web", 7);
    request.onupgradeneeded = () => {
      for (const name of ["models", "units", "data"]) request.result.createObjectStore(name);
    };
    await new Promise((resolve) => (request.onsuccess = resolve));
    const database = request.result;
    const transaction = database.transaction(["models", "data"], "readwrite");
    const key = { endpoint: "", id: "https://host/elsewhere/", commit: "c", quantization: "q4" };
    const record = { key, requested: "main", units: 1, bytes: 1234, complete: true, last_used: 5 };
    transaction.objectStore("models").put(JSON.stringify(record), "the key");
    transaction.objectStore("data").put(new Blob([new Uint8Array(1234)]), "the key\n00000000");
    await new Promise((resolve) => (transaction.oncomplete = resolve));
    globalThis.heldOpen = database;
  });
  const { notes } = await assertLoaded(page, "o/folder");
  assert.ok(!notes.some((note) => /not kept/.test(note)), notes.join(" "));
  const list = await models(page);
  assert.deepEqual(
    list.map(({ id, complete }) => [id, complete]),
    [
      ["o/folder", true],
      ["https://host/elsewhere/", false],
    ],
  );
  assert.equal(await page.evaluate(() => TokenFormer.delete("https://host/elsewhere/")), 1234);
  assert.deepEqual(
    (await models(page)).map(({ id }) => id),
    ["o/folder"],
  );
  const left = await other.evaluate(
    () =>
      new Promise(
        (resolve) =>
          (heldOpen.transaction("data").objectStore("data").count().onsuccess = (e) => resolve(e.target.result)),
      ),
  );
  assert.equal(left, 0);
  await context.close();
});

test("a storage that does not answer, and a tab that does not get on, are not waited for", async () => {
  const context = await newContext();
  const page = await newPage(context);
  const hanging = await newPage(context);
  await hanging.evaluate(() => {
    // What the engine asks for is an IDBOpenDBRequest: one that nothing ever happens to.
    const silent = Object.create(IDBOpenDBRequest.prototype);
    for (const name of ["addEventListener", "removeEventListener"]) silent[name] = () => {};
    Object.defineProperty(silent, "onupgradeneeded", { set() {} });
    IDBFactory.prototype.open = () => silent;
  });
  const { notes } = await assertLoaded(hanging, "o/folder");
  assert.ok(
    notes.some((note) => /not kept.*does not answer/.test(note)),
    notes.join(" "),
  );
  assert.deepEqual(await models(hanging), []);

  const lock = `tokenformer-web ${hub.endpoint} o/folder`;
  await hanging.evaluate(
    (lock) => new Promise((held) => navigator.locks.request(lock, () => new Promise(() => held()))),
    lock,
  );
  const alone = await assertLoaded(page, "o/folder");
  assert.deepEqual(alone.waiting, ["Another tab is loading this model; waiting for it"]);
  assert.ok(
    alone.notes.some((note) => /Another tab/.test(note)),
    alone.notes.join(" "),
  );
  assert.equal((await models(page))[0].complete, true, "it is kept all the same");
  await context.close();
});
