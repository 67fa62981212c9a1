import "./fake-dom.mjs"; // first: the element looks for HTMLElement when it is imported
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { TokenFormerElement } from "../../www/lib/element.js";
import { becomes, FakeEngine, useFakeEngine } from "./fake-engine.mjs";
import { textOfPart } from "./fake-dom.mjs";

let calls;
beforeEach(() => {
  calls = useFakeEngine();
  FakeEngine.requests.length = 0;
  FakeEngine.made.length = 0;
  FakeEngine.beforeLoad = async () => {};
});

/** Elements of the test that runs: they would share their models with the next one's. */
const made = new Set();
afterEach(async () => {
  for (const it of made) remove(it);
  made.clear();
  FakeEngine.beforeLoad = async () => {};
  await becomes(() => FakeEngine.made.every((engine) => engine.disposed || engine.destroyed), true);
});

function remove(element) {
  element.isConnected = false;
  element.disconnectedCallback();
}

const pause = (ms = 10) => new Promise((resolve) => setTimeout(resolve, ms));

function element(attributes = {}) {
  const it = new TokenFormerElement();
  made.add(it);
  it.told = [];
  for (const type of ["load", "progress", "token", "done", "error"]) {
    it.addEventListener(type, (event) => {
      assert.equal(event.bubbles, false);
      it.told.push(type === "error" ? `error ${event.detail.code}` : type);
    });
  }
  for (const [name, value] of Object.entries(attributes)) it.setAttribute(name, value);
  it.isConnected = true;
  it.connectedCallback();
  return it;
}

test("nothing is loaded before a method is called or autoload is set", async () => {
  const lazy = element({ model: "a/b", prompt: "x" });
  await pause();
  assert.deepEqual([calls.loads, lazy.model], [0, null]);
  lazy.setAttribute("autoload", "");
  await pause();
  assert.equal(lazy.model.info.id, "a/b");
  assert.equal(textOfPart(lazy, "status"), "Ready on fake");
  assert.deepEqual(lazy.told, ["progress", "progress", "load"]);
});

test("generate loads first, writes, and tells", async () => {
  const writer = element({ prompt: "x", "max-tokens": "2" });
  const result = await writer.generate();
  assert.deepEqual([result.text, result.finishReason], ["AB", "length"]);
  assert.deepEqual(writer.told, ["progress", "progress", "load", "token", "token", "done"]);
  assert.equal(textOfPart(writer, "output"), "|AB");
  assert.equal((await writer.generate("y")).text, "AB");
  assert.equal(calls.loads, 1);
});

test("mistakes are told before anything is loaded, once, with what to do next", async () => {
  const writer = element({ prompt: "x", "top-p": "7" });
  await assert.rejects(writer.generate(), { code: "invalid-argument" });
  assert.deepEqual([calls.loads, writer.told], [0, ["error invalid-argument"]]);
  assert.match(textOfPart(writer, "error"), /topP must be .*\|.*Correct the argument/);
  await assert.rejects(element({ model: "nonsense" }).load(), { code: "invalid-argument" });
});

test("a failed loading is told once, and can be tried again", async () => {
  FakeEngine.beforeLoad = async () => {
    throw Object.assign(new Error("No GPU."), { code: "webgpu-unavailable" });
  };
  const writer = element({ prompt: "x", "max-tokens": "1" });
  await assert.rejects(writer.generate(), { code: "webgpu-unavailable" });
  assert.deepEqual(writer.told, ["progress", "error webgpu-unavailable"]);
  FakeEngine.beforeLoad = async () => {};
  assert.equal((await writer.generate()).text, "A");
});

test("a model that was disposed or whose engine stopped is loaded anew", async () => {
  const it = element({ prompt: "a", "max-tokens": "1" });
  const first = await it.load();
  await first.dispose();
  assert.equal((await it.generate()).text, "A");
  const second = it.model;
  assert.notEqual(second, first);
  await assert.rejects(it.generate("stop"), { code: "device-lost" });
  assert.equal((await it.generate("a")).text, "A");
  assert.notEqual(it.model, second);
  assert.equal(FakeEngine.made.length, 3);
});

test("stop ends the writing normally and the loading with aborted", async () => {
  const writer = element({ prompt: "x" });
  writer.addEventListener("token", () => writer.stop(), { once: true });
  assert.equal((await writer.generate()).finishReason, "abort");
  let goOn;
  FakeEngine.beforeLoad = () => new Promise((resolve) => (goOn = resolve));
  const other = element({ model: "c/d", prompt: "x" }); // not the one that is there already
  const writing = other.generate();
  await pause();
  other.stop();
  await assert.rejects(writing, { code: "aborted" });
  assert.equal(textOfPart(other, "status"), "Stopped");
  goOn();
});

test("a second text ends the first", async () => {
  const writer = element({ prompt: "x", "max-tokens": "3" });
  await writer.load();
  const [first, second] = await Promise.all([writer.generate("a"), writer.generate("b")]);
  assert.deepEqual([first.finishReason, second.finishReason], ["abort", "length"]);
  assert.equal(textOfPart(writer, "output"), "|ABC");
});

test("another model frees the one before", async () => {
  const writer = element({ model: "a/b", prompt: "x", "max-tokens": "1" });
  const before = await writer.load();
  assert.equal(writer.load(), writer.load());
  writer.setAttribute("model", "c/d");
  assert.equal(writer.model, before); // until it is asked for
  assert.equal((await writer.generate()).text, "A");
  assert.equal(writer.model.info.id, "c/d");
  assert.deepEqual(FakeEngine.made.map((engine) => engine.disposed), [true, false]);
});

test("reset ends the text, empties the output and makes the model forget", async () => {
  const writer = element({ prompt: "x" });
  const writing = writer.generate("y");
  await new Promise((resolve) => writer.addEventListener("token", resolve, { once: true }));
  await writer.reset();
  assert.equal((await writing).finishReason, "abort");
  assert.equal(textOfPart(writer, "output"), "|");
  assert.equal(FakeEngine.made[0].log.at(-1), "reset");
});

test("removal frees the model, a move does not", async () => {
  const writer = element({ prompt: "x" });
  await writer.load();
  remove(writer);
  writer.isConnected = true;
  writer.connectedCallback();
  await pause();
  assert.notEqual(writer.model, null);
  const writing = writer.generate();
  await pause();
  remove(writer);
  assert.equal((await writing).finishReason, "abort");
  await becomes(() => [writer.model, FakeEngine.made[0].freed], [null, true]);
});

test("elements of the same model share it; each removal ends that element's text alone", async () => {
  const [one, other] = [element({ prompt: "x" }), element({ prompt: "y", "max-tokens": "2" })];
  await Promise.all([one.load(), other.load()]);
  assert.equal(one.model, other.model);
  assert.equal(FakeEngine.made.length, 1);
  assert.ok(one.told.includes("progress") && other.told.includes("progress"));
  const writing = one.generate();
  await new Promise((resolve) => one.addEventListener("token", resolve, { once: true }));
  const waiting = other.generate();
  remove(one);
  assert.equal((await writing).finishReason, "abort");
  assert.deepEqual([(await waiting).text, FakeEngine.made[0].disposed], ["AB", false]);
  remove(other);
  await becomes(() => FakeEngine.made[0].freed, true);
});
