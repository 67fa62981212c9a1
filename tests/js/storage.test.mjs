import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenFormer } from "../../www/lib/api/model.js";

test("delete checks what it is told before it looks", async () => {
  const bad = [
    [],
    [7],
    ["no name"],
    ["o/n", { quantization: "q5" }],
    ["o/n", { everything: true }],
    ["o/n", { revision: "a..b" }],
  ];
  for (const call of bad)
    await assert.rejects(TokenFormer.delete(...call), { code: "invalid-argument" }, JSON.stringify(call));
});

test("without storage nothing is stored, and nothing to delete", async () => {
  assert.deepEqual(await TokenFormer.models(), []);
  assert.equal(await TokenFormer.delete("o/n"), 0);
});

test("storage and persist answer where the browser has nothing to say", async () => {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const as = (storage) => Object.defineProperty(globalThis, "navigator", { value: { storage }, configurable: true });
  as(undefined);
  assert.deepEqual(await TokenFormer.storage(), { usage: 0, quota: 0, persisted: false });
  assert.equal(await TokenFormer.persist(), false);
  as({ estimate: async () => ({ usage: 5, quota: 9 }), persisted: async () => true, persist: async () => true });
  assert.deepEqual(await TokenFormer.storage(), { usage: 5, quota: 9, persisted: true });
  assert.equal(await TokenFormer.persist(), true);
  as({ estimate: async () => Promise.reject(new Error("no")), persisted: async () => Promise.reject(new Error("no")) });
  assert.deepEqual(await TokenFormer.storage(), { usage: 0, quota: 0, persisted: false });
  if (before) Object.defineProperty(globalThis, "navigator", before);
  else delete globalThis.navigator;
});

test("a storage that does not answer is not waited for", async (t) => {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const never = () => new Promise(() => {});
  Object.defineProperty(globalThis, "navigator", {
    value: { storage: { estimate: never, persisted: async () => true } },
    configurable: true,
  });
  t.after(() => (before ? Object.defineProperty(globalThis, "navigator", before) : delete globalThis.navigator));
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked = TokenFormer.storage();
  t.mock.timers.tick(5_000);
  assert.deepEqual(await asked, { usage: 0, quota: 0, persisted: true });
});
