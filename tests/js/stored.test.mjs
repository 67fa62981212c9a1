// What is stored, read and deleted without an engine, with records as the engine writes them.

import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { beforeEach, test } from "node:test";
import { engines } from "../../www/lib/engine/engines.js";
import * as database from "../../www/lib/store/database.js";
import { downloadedBytes, modelRecords, parseKey, SEAL_LENGTH, unseal } from "../../www/lib/store/records.js";
import { TokenFormer } from "../../www/lib/api/model.js";
import { useStorage } from "./fake-storage.mjs";

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const seal = (place, record) => {
  const json = JSON.stringify(record);
  return `${createHash("sha256").update(`${place}\n${json}`).digest("hex")}${json}`;
};
const HUB = "https://hub.example";

let storage;
beforeEach(async () => {
  storage = await useStorage();
  engines.get = () => assert.fail("the engine was asked for");
});

test("names, format and seal are those of Rust", () => {
  const [store, connection, sealed] = ["mod", "indexed_db/connection", "seal"].map((name) =>
    read(`src/store/${name}.rs`),
  );
  const value = (text, name) => text.match(new RegExp(`const ${name}: [^=]+ = "?([^";]+)"?;`))[1];
  assert.equal(database.FORMAT, Number(value(store, "FORMAT")));
  for (const name of ["NAME", "MODELS", "UNITS", "DATA"]) assert.equal(database[name], value(connection, name), name);
  assert.match(connection, /format!\("\{NAME\} \{FORMAT\}"\)/);
  assert.equal(database.DATABASE, `${database.NAME} ${database.FORMAT}`);
  assert.equal(SEAL_LENGTH, Number(value(sealed, "HASH_LEN")));
});

test("records are read as Rust writes them", async () => {
  const [key, model, unit] = read("tests/fixtures/stored/records.txt").split("\n");
  await storage.put(database.MODELS, key, model);
  await storage.put(database.UNITS, `${key}\n00000001`, unit);
  const [record] = await modelRecords();
  assert.deepEqual(record.key, parseKey(key));
  assert.deepEqual([record.told.hidden_size, record.units, record.is_converted], [768, 2, true]);
  assert.equal(await downloadedBytes(record.key), 40);
  assert.deepEqual(await TokenFormer.models(), [
    { id: "o/a", revision: "a".repeat(40), quantization: "q4", bytes: 0, complete: false, lastUsed: 0 },
  ]);
});

test("a record counts as it was written and where it was written", async (t) => {
  const text = seal("place", [1, 20]);
  assert.deepEqual(await unseal("place", text), [1, 20]);
  assert.equal(await unseal("elsewhere", text), null);
  assert.equal(await unseal("place", text.replace("20", "21")), null);
  for (const damaged of ["", "[1,20]", text.slice(1)]) assert.equal(await unseal("place", damaged), null, damaged);
  // A page without a secure context cannot hash: then the text itself counts.
  const { subtle } = globalThis.crypto;
  Object.defineProperty(globalThis.crypto, "subtle", { value: undefined, configurable: true });
  t.after(() => Object.defineProperty(globalThis.crypto, "subtle", { value: subtle, configurable: true }));
  assert.deepEqual(await unseal("place", text), [1, 20]);
});

test("a key is read from its end: an address may have any sign", () => {
  const id = "http://host/a|b/?x=|/";
  const key = { endpoint: "", id, commit: "c", quantization: "q8", plan: "p" };
  assert.deepEqual(parseKey(`|${id}|c|q8|p`), key);
  assert.equal(parseKey("tuning|1"), null);
});

test("a model that was planned twice is one entry, and the last used is the first", async () => {
  await storage.model({ id: "o/b", bytes: 3, last_used: 9 });
  await storage.model({ id: "o/a", plan: "one", bytes: 5, last_used: 1 });
  await storage.model({ id: "o/a", plan: "two", bytes: 7, complete: true, last_used: 2 });
  await storage.model({ id: "o/a", endpoint: "https://other.example", bytes: 1 });
  const told = (await TokenFormer.models()).map(({ id, bytes, complete }) => [id, bytes, complete]);
  assert.deepEqual(told, [
    ["o/b", 3, false],
    ["o/a", 12, true],
    ["o/a", 1, false],
  ]);
});

test("what is damaged takes room, and can be deleted", async () => {
  const key = await storage.model({ id: "o/a", complete: true, bytes: 99, units: [{ len: 4 }, { len: 6 }] });
  await storage.change(database.MODELS, key, (text) => text.replace('"complete":true', '"complete":1'));
  const [entry] = await TokenFormer.models();
  assert.deepEqual([entry.id, entry.bytes, entry.complete], ["o/a", 10, false]);
  assert.deepEqual(await modelRecords(), []);
  assert.equal(await TokenFormer.delete("o/a"), 10);
  assert.equal(await storage.count(), 0);
});

test("delete takes what is meant, with all that belongs to it, and nothing else", async () => {
  const make = (more) => storage.model({ id: "o/a", bytes: 5, units: [{ len: 5 }], ...more });
  await make({ commit: "1".repeat(40), names: { main: 1, v1: 2 } });
  await make({ commit: "2".repeat(40), names: { main: 3 }, quantization: "q8" });
  await make({ id: "o/ab" });
  await make({ id: "https://host/m/", endpoint: "", commit: "f".repeat(64), names: {} });
  const left = async () => (await TokenFormer.models()).map(({ id, quantization }) => `${id} ${quantization}`).sort();
  assert.equal(await TokenFormer.delete("o/a", { revision: "v2" }), 0);
  assert.equal(await TokenFormer.delete("o/a", { revision: "v1" }), 5);
  assert.deepEqual(await left(), ["https://host/m/ q4", "o/a q8", "o/ab q4"]);
  assert.equal(await TokenFormer.delete("o/a", { quantization: "q4" }), 0);
  assert.equal(await TokenFormer.delete("o/a", { revision: "2".repeat(40), quantization: "q8" }), 5);
  assert.equal(await TokenFormer.delete("https://host/m", { revision: "0".repeat(64) }), 0, "other contents");
  assert.equal(await TokenFormer.delete("https://host/m", { revision: "main" }), 5, "a folder has no branches");
  assert.deepEqual(await left(), ["o/ab q4"]);
  assert.equal(await storage.count(), 3, "a record, a unit and its bytes");
});

test("what other versions stored is seen and can be deleted", async () => {
  const key = { endpoint: HUB, id: "o/a", commit: "c1", quantization: "q4" };
  const json = JSON.stringify({ key, requested: "v1", units: 3, bytes: 70, complete: true, last_used: 3 });
  for (const [name, text] of [
    ["tokenformer-web", json],
    ["tokenformer-web 9", `${"0".repeat(64)}${json}`],
    ["tokenformer-website", json],
    ["tokenformer-web 4", "plain text"],
  ]) {
    const other = await useStorage(name, { keep: true });
    await other.put(database.MODELS, "the key", text);
  }
  const entry = { id: "o/a", revision: "c1", quantization: "q4", bytes: 140, complete: false, lastUsed: 3 };
  assert.deepEqual(await TokenFormer.models(), [entry]);
  assert.equal(await TokenFormer.delete("o/a", { revision: "main" }), 0);
  assert.equal(await TokenFormer.delete("o/a", { revision: "v1" }), 140);
  assert.deepEqual(await TokenFormer.models(), []);
});

test("nothing is made where nothing was stored, and nothing is left open", async () => {
  await storage.gone();
  assert.deepEqual(await TokenFormer.models(), []);
  assert.equal(await TokenFormer.delete("o/a"), 0);
  assert.deepEqual(await indexedDB.databases(), []);
  await storage.again();
  await storage.model({ id: "o/a" });
  await TokenFormer.models();
  await storage.gone(); // is blocked for ever by a connection that is left
});

test("a storage that does not answer is not waited for", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(indexedDB, "open", () => new EventTarget());
  t.mock.method(indexedDB, "databases", async () => []);
  const asked = TokenFormer.models();
  await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(5_000);
  assert.deepEqual(await asked, []);
});
