import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { acquire } from "../../www/lib/api/shared-models.js";
import { rememberEmbeddedFolder } from "../../www/lib/locations.js";
import { becomes, FakeEngine, useFakeEngine } from "./fake-engine.mjs";

beforeEach(() => {
  useFakeEngine();
  FakeEngine.requests.length = 0;
  FakeEngine.made.length = 0;
  FakeEngine.beforeLoad = async () => {};
});

/** Holds the load back until the returned function is called. */
function hold() {
  let goOn;
  const held = new Promise((resolve) => (goOn = resolve));
  FakeEngine.beforeLoad = () => held;
  return goOn;
}

test("who asks for the same gets the same, and the last one's release frees it", async () => {
  const [one, other] = await Promise.all([
    acquire("a/b", { config: { num_layers: 1, hidden_size: 32 }, revision: "main" }),
    acquire("a/b", { config: { hidden_size: 32, num_layers: 1 } }),
  ]);
  const third = await acquire("a/b", { config: { hidden_size: 32, num_layers: 1 } });
  assert.ok(one.model === other.model && one.model === third.model);
  assert.equal(FakeEngine.made.length, 1);
  await one.release();
  await one.release(); // counts once
  await third.release();
  assert.equal(FakeEngine.made[0].freed, false);
  await other.release();
  assert.equal(FakeEngine.made[0].disposed, true);
  await becomes(() => FakeEngine.made[0].freed, true);
  const again = await acquire("a/b", { config: { hidden_size: 32, num_layers: 1 } });
  assert.notEqual(again.model, one.model);
  await again.release();
});

test("the embedded model is one, wherever its first load found it", async () => {
  const one = await acquire();
  rememberEmbeddedFolder("https://site.example/elsewhere/models/it/");
  const other = await acquire();
  assert.equal(other.model, one.model);
  await Promise.all([one.release(), other.release()]);
});

test("another name, option or token is another model", async () => {
  const held = await Promise.all([
    acquire(),
    acquire("a/b"),
    acquire("a/b", { token: "t" }),
    acquire("a/b", { contextLength: 64 }),
  ]);
  assert.equal(new Set(held.map(({ model }) => model)).size, 4);
  await Promise.all(held.map(({ release }) => release()));
  await becomes(() => FakeEngine.made.every((engine) => engine.freed), true);
});

test("mistakes are refused before anything is loaded, and nothing is kept of them", async () => {
  await assert.rejects(acquire("nonsense"), { code: "invalid-argument" });
  await assert.rejects(acquire("a/b", { quantization: "q5" }), { code: "invalid-argument" });
  await assert.rejects(acquire("a/b", { signal: new AbortController().signal }), { code: "invalid-argument" });
  await assert.rejects(acquire("a/b", {}, { onProgress: 5 }), { code: "invalid-argument" });
  await assert.rejects(acquire("a/b", {}, { signal: AbortSignal.abort("why") }), { code: "aborted", cause: "why" });
  assert.equal(FakeEngine.requests.length, 0);
});

test("progress goes to all who wait; who comes later begins with the last; a listener that throws harms nobody", async () => {
  const goOn = hold();
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  const seen = [[], [], []];
  const tell = (i) => ({ onProgress: ({ phase }) => seen[i].push(phase) });
  const first = acquire("a/b", {}, tell(0));
  const bad = acquire(
    "a/b",
    {},
    {
      onProgress: () => {
        throw new Error("mine");
      },
    },
  );
  await becomes(() => seen[0], ["resolve"]);
  const second = acquire("a/b", {}, tell(1));
  assert.deepEqual(seen[1], ["resolve"]);
  goOn();
  const held = await Promise.all([first, bad, second]);
  const third = await acquire("a/b", {}, tell(2));
  delete globalThis.reportError;
  assert.deepEqual(seen, [["resolve", "ready"], ["resolve", "ready"], []]);
  assert.deepEqual(reported, ["mine", "mine"]);
  await Promise.all([...held, third].map(({ release }) => release()));
});

test("an abort ends one caller's waiting; the last one's ends the loading", async () => {
  let goOn = hold();
  const [stopOne, stopOther] = [new AbortController(), new AbortController()];
  const told = [];
  const one = acquire("a/b", {}, { signal: stopOne.signal, onProgress: (p) => told.push(p.phase) });
  const other = acquire("a/b", {}, { signal: stopOther.signal });
  await becomes(() => FakeEngine.requests.length, 1);
  stopOne.abort("why");
  await assert.rejects(one, { code: "aborted", cause: "why" });
  goOn();
  const { model, release } = await other;
  assert.equal(model.info.id, "a/b");
  assert.ok(!told.includes("ready"));
  await release();

  goOn = hold();
  const last = acquire("a/b", {}, { signal: stopOther.signal });
  await becomes(() => FakeEngine.requests.length, 2);
  stopOther.abort();
  await assert.rejects(last, { code: "aborted" });
  const next = acquire("a/b"); // not the one that is being ended
  await becomes(() => FakeEngine.requests.length, 3);
  goOn();
  const held = await next;
  await becomes(() => FakeEngine.made.map((engine) => engine.freed), [true, true, false]);
  assert.equal((await held.model.complete("x", { maxTokens: 1 })).text, "A");
  await held.release();
});

test("a failed load fails all who wait, and the next one tries again", async () => {
  FakeEngine.beforeLoad = async () => {
    throw Object.assign(new Error("No GPU."), { code: "webgpu-unavailable" });
  };
  const calls = [acquire("a/b"), acquire("a/b")];
  for (const call of calls) await assert.rejects(call, { code: "webgpu-unavailable" });
  assert.equal(FakeEngine.requests.length, 1);
  FakeEngine.beforeLoad = async () => {};
  const { release } = await acquire("a/b");
  await release();
});

test("a model that was disposed, or whose engine stopped, is loaded anew; its holders may still release it", async () => {
  const one = await acquire("a/b");
  await one.model.dispose();
  const other = await acquire("a/b");
  assert.notEqual(other.model, one.model);
  await one.release();
  assert.equal((await other.model.complete("x", { maxTokens: 1 })).text, "A");
  await assert.rejects(other.model.complete("trap"), { code: "device-lost" });
  const third = await acquire("a/b");
  assert.notEqual(third.model, other.model);
  const fourth = await acquire("a/b");
  assert.equal(fourth.model, third.model);
  await Promise.all([other, third, fourth].map(({ release }) => release()));
});
