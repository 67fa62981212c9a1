// What is stored between visits, on the CPU engine: how a stored model is identified, damaged records, and a storage, other
// tabs and other versions of the module that misbehave.

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
/** As in `src/store/indexed_db/connection.rs`. */
const DATABASE = "tokenformer-web 3";

let world;
let hub;
before(async () => {
  world = await start({ webgpu: false });
  hub = await startHub({ "o/folder": { files: FILES } });
});
after(async () => {
  await hub?.close();
  await world?.close();
});

/** A context with storage of its own. Timers run 20 times as fast, so that waits cost nothing. */
async function newContext() {
  const context = await world.browser.newContext();
  await onMainThread(context);
  await context.addInitScript(() => {
    const setTimeout = globalThis.setTimeout;
    globalThis.setTimeout = (callback, time, ...rest) => setTimeout(callback, time / 20, ...rest);
  });
  return context;
}

/** A page whose `loaded(name, options)` loads a model and returns what it reports, or the code of the error. */
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

test("one connection serves all loads, and no other is left open", async () => {
  const context = await newContext();
  const page = await newPage(context);
  await page.evaluate(() => {
    const { open } = IDBFactory.prototype;
    const { close } = IDBDatabase.prototype;
    /** How often each database was opened, and how many connections are open now. */
    globalThis.opened = {};
    globalThis.left = 0;
    IDBFactory.prototype.open = function (name, ...version) {
      opened[name] = (opened[name] ?? 0) + 1;
      const request = open.call(this, name, ...version);
      request.addEventListener("success", () => (left += 1));
      return request;
    };
    IDBDatabase.prototype.close = function () {
      left -= 1;
      return close.call(this);
    };
  });
  await assertLoaded(page, "o/folder");
  await assertLoaded(page, "o/folder");
  assert.deepEqual(await page.evaluate(() => [opened, left]), [{ [DATABASE]: 1 }, 1]);
  for (let i = 0; i < 5; i += 1) await models(page);
  await page.evaluate(() => TokenFormer.delete("o/nothing"));
  assert.equal(await page.evaluate(() => left), 1, "who asks without the engine leaves none");
  // Those of other versions are closed again.
  await page.evaluate(async () => {
    const request = indexedDB.open("tokenformer-web", 2);
    request.onupgradeneeded = () => {
      for (const name of ["models", "units", "data"]) request.result.createObjectStore(name);
    };
    await new Promise((resolve) => (request.onsuccess = resolve));
    request.result.close();
  });
  for (let i = 0; i < 3; i += 1) await models(page);
  await page.evaluate(() => TokenFormer.delete("o/nothing"));
  const [seen, stillOpen] = await page.evaluate(() => [opened, left]);
  assert.ok(seen["tokenformer-web"] > 4, "they were looked into");
  assert.equal(stillOpen, 1);
  // Deleting the site's data does not wait for the connection, and later work opens another.
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
  assert.equal(await page.evaluate(() => left), 1, "the lost one is none");
  await context.close();
});

test("what is damaged is loaded again, and nothing else", async () => {
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
  const { config } = await assertLoaded(page, "o/folder");
  const whole = hub.sent("model.safetensors");
  for (const [store, change] of [
    ["data", flipByte],
    ["units", noPieces],
    ["models", fewerLayers],
  ]) {
    await inStore(page, store, change);
    if (store === "models") assert.equal((await models(page))[0].bytes > 0, true, "it still takes room");
    hub.requests.length = 0;
    const result = await load(page, "o/folder");
    assert.equal(result.outcome, "loaded", `${store}: ${result.message}`);
    assert.deepEqual(result.config, config, store);
    assert.ok(
      hub.sent("model.safetensors") < 0.8 * whole,
      `${store}: ${hub.sent("model.safetensors")} of ${whole} bytes`,
    );
    hub.requests.length = 0;
    await assertLoaded(page, "o/folder");
    assert.equal(hub.sent("model.safetensors"), 0, `${store}: it is complete again`);
  }
  await context.close();
});

test("other versions on the same origin neither break nor hide anything", async () => {
  const context = await newContext();
  const page = await newPage(context);
  const other = await newPage(context);
  // A later format under the name that older versions use, and a tab that does not close it.
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

  // Just asking fetches no engine.
  const asking = await newPage(context);
  world.requests.length = 0;
  hub.requests.length = 0;
  const [told, { state, storedBytes }, freed, after] = await asking.evaluate(async (endpoint) => {
    const told = await TokenFormer.models();
    const available = await TokenFormer.availability("o/folder", { endpoint });
    const freed = await TokenFormer.delete("o/folder");
    return [told, available, freed, await TokenFormer.availability("o/folder", { endpoint })];
  }, hub.endpoint);
  assert.deepEqual([told.length, state, storedBytes, freed], [1, "stored", told[0].bytes, told[0].bytes]);
  const sizes = Object.values(FILES).reduce((sum, { length }) => sum + length, 0);
  assert.deepEqual(
    [after.state, after.downloadBytes, after.storedBytes, after.backend],
    ["downloadable", sizes, 0, "cpu"],
  );
  assert.ok(hub.sent("model.safetensors") < 0.1 * WEIGHTS.length, "only its header");
  assert.deepEqual(
    world.requests.filter((request) => /wasm|worker|tokenformer-web\.js/.test(request)),
    [],
  );
  assert.deepEqual(hub.violations, []);
  await context.close();
});

test("a storage that does not answer, and a tab that does not get on, are not waited for", async () => {
  const context = await newContext();
  const page = await newPage(context);
  const hanging = await newPage(context);
  await hanging.evaluate(() => {
    // The engine requires an IDBOpenDBRequest: this is one that never fires an event.
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
  // On a busy machine an answer may take longer than the 150 ms after which the wait is shown, too.
  const waiting = alone.waiting.filter((text) => !/^Waiting for an answer/.test(text));
  assert.deepEqual(waiting, ["Another tab is loading this model; waiting for it"]);
  assert.ok(
    alone.notes.some((note) => /Another tab/.test(note)),
    alone.notes.join(" "),
  );
  assert.equal((await models(page))[0].complete, true, "it is kept all the same");
  await context.close();
});
