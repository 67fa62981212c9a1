import "./fake-dom.mjs"; // first: the element looks for HTMLElement when it is imported
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { TokenFormerElement } from "../../www/lib/element/element.js";
import { setAssets } from "../../www/lib/locations.js";
import { becomes, FakeEngine, useFakeEngine } from "./fake-engine.mjs";
import { nodesBelow, textOfPart } from "./fake-dom.mjs";

const shown = (writer) => textOfPart(writer, "output").replaceAll("|", "");

let calls;
beforeEach(() => {
  calls = useFakeEngine();
  FakeEngine.requests.length = 0;
  FakeEngine.made.length = 0;
  FakeEngine.beforeLoad = async () => {};
});

/** Elements of the running test: they would share their models with the next test's. */
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

const field = (it) => nodesBelow(it.shadow).find((node) => node.attributes?.get("part") === "prompt");

/** What a visitor does to the field. */
function type(it, text) {
  field(it).value = text;
  field(it).dispatchEvent(new Event("input"));
}

/** Presses a key in the element; returns whether the element handled it. */
function press(it, key, properties) {
  const event = Object.assign(new Event("keydown", { cancelable: true }), {
    key,
    ctrlKey: false,
    metaKey: false,
    ...properties,
  });
  it.shadow.dispatchEvent(event);
  return event.defaultPrevented;
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

test("the attribute `assets` names the folder of the page's files, and a bad one is told", async (t) => {
  t.after(() => setAssets(null));
  const it = element({ assets: "/tf/" });
  await it.load();
  assert.match(FakeEngine.requests.at(-1).folderUrl, /^https:\/\/site\.example\/tf\/models\/[^/]+\/$/);
  it.setAttribute("assets", "https://[");
  await assert.rejects(it.load(), { code: "invalid-argument", message: /^assets / });
});

test("nothing is loaded before a method is called or autoload is set", async () => {
  const lazy = element({ model: "a/b", prompt: "x" });
  await pause();
  assert.deepEqual([calls.loads, lazy.model], [0, null]);
  lazy.setAttribute("autoload", "");
  await becomes(() => lazy.model !== null, true);
  assert.equal(lazy.model.info.id, "a/b");
  assert.equal(textOfPart(lazy, "status"), "Ready on fake");
  assert.deepEqual(lazy.told, ["progress", "progress", "load"]);
});

test("generate loads first, writes, and tells", async () => {
  const writer = element({ prompt: "x", "max-tokens": "2" });
  const result = await writer.generate();
  assert.deepEqual([result.text, result.finishReason], ["AB", "length"]);
  assert.deepEqual(writer.told, ["progress", "progress", "load", "token", "token", "done"]);
  assert.deepEqual([writer.text, shown(writer)], ["xAB", "xAB"]);
  assert.deepEqual(writer.passages, [
    { text: "x", written: false },
    { text: "AB", written: true },
  ]);
  assert.equal((await writer.generate("y")).text, "AB");
  assert.equal(writer.text, "yAB");
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

test("a name that a framework assigns as a property is the attribute", () => {
  const it = element();
  it.model = "a/b";
  assert.deepEqual([it.getAttribute("model"), it.model], ["a/b", null]);
  it.model = undefined;
  assert.equal(it.hasAttribute("model"), false);
  assert.throws(() => (it.model = 5), { code: "invalid-argument" });
});

test("properties that were assigned before the element was defined count", () => {
  const it = new TokenFormerElement();
  it.setAttribute("prompt", "x");
  for (const [name, value] of Object.entries({ model: "a/b", text: "early", mine: 1 }))
    Object.defineProperty(it, name, { value, configurable: true, writable: true });
  it.connectedCallback();
  assert.deepEqual([it.getAttribute("model"), it.model, it.text, it.mine], ["a/b", null, "early", 1]);
  it.text = "later";
  assert.equal(shown(it), "later");
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
  await becomes(() => goOn !== undefined, true);
  other.stop();
  await assert.rejects(writing, { code: "aborted" });
  assert.equal(textOfPart(other, "status"), "Stopped");
  goOn();
});

test("who stops and begins again at once gets a text", async () => {
  let goOn;
  FakeEngine.beforeLoad = () => new Promise((resolve) => (goOn = resolve));
  const writer = element({ prompt: "x", "max-tokens": "1" });
  const first = writer.generate();
  await becomes(() => FakeEngine.requests.length, 1);
  writer.stop();
  const second = writer.generate();
  await assert.rejects(first, { code: "aborted" });
  goOn(); // it is the same loading, which never lacked somebody who waits for it
  assert.deepEqual([(await second).text, writer.state], ["A", "idle"]);
});

test("a second text ends the first", async () => {
  const writer = element({ prompt: "x", "max-tokens": "3" });
  await writer.load();
  const [first, second] = await Promise.all([writer.generate("a"), writer.generate("b")]);
  assert.deepEqual([first.finishReason, second.finishReason], ["abort", "length"]);
  assert.deepEqual([writer.text, shown(writer)], ["bABC", "bABC"]);
});

test("another model frees the one before", async () => {
  const writer = element({ model: "a/b", prompt: "x", "max-tokens": "1" });
  const before = await writer.load();
  assert.equal(writer.load(), writer.load());
  writer.setAttribute("model", "c/d");
  assert.equal(writer.model, before); // until it is asked for
  assert.equal((await writer.generate()).text, "A");
  assert.equal(writer.model.info.id, "c/d");
  assert.deepEqual(
    FakeEngine.made.map((engine) => engine.disposed),
    [true, false],
  );
});

test("generate continues the text, regenerate replaces the last passage, undo takes it back", async () => {
  const writer = element({ prompt: "x", "max-tokens": "2" });
  await writer.generate();
  await writer.generate();
  assert.equal(writer.text, "xABAB");
  const prompts = FakeEngine.made[0].prompts;
  assert.deepEqual(prompts, ["x", "xAB"]);
  writer.setAttribute("max-tokens", "1");
  await writer.regenerate();
  assert.deepEqual([writer.text, prompts.at(-1)], ["xABA", "xAB"]);
  let told = 0;
  writer.addEventListener("input", () => (told += 1));
  assert.deepEqual([writer.undo(), writer.text, told], [true, "xABAB", 1]);
  assert.deepEqual([writer.undo(), writer.undo(), writer.text], [true, true, "x"]);
  assert.deepEqual([writer.redo(), writer.text], [true, "xAB"]);
});

test("several ways to go on are told and not put into the text; what is taken is, with its tokens, and can be undone", async () => {
  const writer = element({ prompt: "x ", "max-tokens": "3", seed: "5" });
  const { model } = { model: await writer.load() };
  const asked = [];
  model.alternatives = async function* (prompt, { signal, ...options }) {
    asked.push([prompt, options]);
    for (const index of [0, 1]) yield { index, text: "ab"[index], tokenId: 7 + index };
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    yield { index: 0, text: "late", tokenId: 9 };
    return [{ finishReason: "abort" }];
  };
  const told = [];
  writer.addEventListener("alternative", ({ detail }) => told.push(detail));
  const results = writer.alternatives({ n: 2, maxTokens: 1 });
  await becomes(() => told.length, 2);
  assert.deepEqual(asked, [["x ", { maxTokens: 1, seed: 5, n: 2 }]]);
  assert.deepEqual([writer.state, writer.text], ["writing", "x "]);
  const { index, ...taken } = told[1];
  writer.splice(2, 2, [{ ...taken, written: true }]);
  assert.deepEqual(await results, [{ finishReason: "abort" }]);
  assert.deepEqual([index, told.length, writer.state, writer.text, writer.selectionStart], [1, 2, "idle", "x b", 3]);
  assert.deepEqual(writer.passages.at(-1), { text: "b", written: true });
  assert.deepEqual([writer.undo(), writer.text], [true, "x "]);
  assert.throws(() => writer.splice(0, 0, [{ text: 1 }]), { code: "invalid-argument" });
});

test("a page can have another idea of the buttons, and learns what an undo or another passage has replaced", async () => {
  const writer = element({ prompt: "x", "max-tokens": "2" });
  const replaced = [];
  writer.addEventListener("input", ({ detail }) => replaced.push(detail?.map(({ text }) => text)));
  const told = [];
  const refuse = (event) => {
    told.push(event.detail);
    event.preventDefault();
  };
  await writer.generate();
  writer.addEventListener("beforegenerate", refuse);
  const click = (name) =>
    nodesBelow(writer.shadow)
      .find((node) => node.attributes?.get("part") === `button ${name}`)
      .dispatchEvent(new Event("click"));
  click("generate");
  click("regenerate");
  press(writer, "Enter", { ctrlKey: true });
  assert.deepEqual(
    [told, writer.state, writer.text],
    [
      [
        { call: "generate", start: 3 },
        { call: "regenerate", start: 1 },
        { call: "generate", start: 3 },
      ],
      "idle",
      "xAB",
    ],
  );
  writer.removeEventListener("beforegenerate", refuse);
  await writer.regenerate();
  writer.undo();
  writer.text = "z";
  assert.deepEqual(replaced, [["x", "AB"], ["x", "AB"], undefined]);
});

test("regenerate replaces what the visitor wrote behind the passage, too, and undo brings it back", async () => {
  const writer = element({ prompt: "x", "max-tokens": "2" });
  await writer.generate();
  type(writer, "xAB, and then");
  const before = writer.passages;
  await writer.regenerate();
  assert.deepEqual([writer.text, FakeEngine.made[0].prompts.at(-1)], ["xAB", "x"]);
  assert.deepEqual([writer.undo(), writer.passages], [true, before]);
});

test("Ctrl + Z takes back on every keyboard", () => {
  const pressIn = (it, key, code, more) => {
    const event = Object.assign(new Event("keydown", { cancelable: true }), { key, code, ctrlKey: true, ...more });
    field(it).dispatchEvent(event);
    return event.defaultPrevented;
  };
  const writer = element({ prompt: "x" });
  const keyboards = [
    ["z", "KeyZ"],
    ["Z", "KeyY"],
    ["я", "KeyZ"],
    ["ζ", "KeyZ"],
    ["z", undefined],
  ]; // QWERTY, QWERTZ with caps, Russian, Greek, none told
  for (const [key, code] of keyboards) {
    writer.text = "y";
    assert.deepEqual([pressIn(writer, key, code), writer.text], [true, "x"], key);
    assert.deepEqual([pressIn(writer, key, code, { shiftKey: true }), writer.text], [true, "y"], key);
    writer.undo();
  }
  writer.text = "y";
  for (const [key, code] of [
    ["w", "KeyZ"],
    ["ω", "KeyV"],
    ["Enter", "Enter"],
  ])
    assert.equal(pressIn(writer, key, code), false, key); // AZERTY's first
});

test("Ctrl + Enter begins one text, however often and long it is pressed", async () => {
  const writer = element({ prompt: "x", "max-tokens": "3" });
  const ended = new Promise((resolve) =>
    writer.addEventListener("done", ({ detail }) => resolve(detail), { once: true }),
  );
  assert.equal(press(writer, "Enter", { ctrlKey: true, isComposing: true }), false);
  assert.equal(press(writer, "Enter", { ctrlKey: true, repeat: true }), true);
  assert.equal(writer.state, "idle");
  assert.equal(press(writer, "Enter", { ctrlKey: true }), true);
  assert.equal(writer.state, "loading");
  writer.addEventListener("token", () => assert.equal(press(writer, "Enter", { metaKey: true }), true), { once: true });
  const { finishReason, text } = await ended;
  assert.deepEqual([finishReason, text, FakeEngine.made[0].prompts], ["length", "ABC", ["x"]]);
  assert.equal(press(writer, "Escape"), false, "there is nothing to stop");
});

test("a text that is changed while the model loads is the one that is continued", async () => {
  let goOn;
  FakeEngine.beforeLoad = () => new Promise((resolve) => (goOn = resolve));
  const writer = element({ prompt: "x", "max-tokens": "1" });
  const writing = writer.generate();
  await becomes(() => goOn !== undefined, true);
  type(writer, "xyz");
  goOn();
  await writing;
  assert.deepEqual([writer.text, FakeEngine.made[0].prompts], ["xyzA", ["xyz"]]);
});

test("a text that is set while the model loads is the one that is continued, and reset ends the waiting", async () => {
  const goOn = [];
  FakeEngine.beforeLoad = () => new Promise((resolve) => goOn.push(resolve));
  const writer = element({ prompt: "x", "max-tokens": "1" });
  const writing = writer.generate();
  await becomes(() => goOn.length, 1);
  writer.text = "an example";
  assert.equal(writer.state, "loading");
  goOn.pop()();
  assert.deepEqual(
    [(await writing).finishReason, writer.text, FakeEngine.made[0].prompts],
    ["length", "an exampleA", ["an example"]],
  );
  writer.setAttribute("model", "c/d");
  const other = writer.generate();
  await becomes(() => goOn.length, 1);
  await writer.reset();
  goOn.pop()();
  assert.deepEqual([(await other).finishReason, writer.text], ["abort", "x"]);
});

test("the status is of the text that stands there", async () => {
  const writer = element({ prompt: "x", "max-tokens": "1" });
  await writer.generate();
  assert.match(textOfPart(writer, "status"), /1 token/);
  writer.text = "y";
  assert.equal(textOfPart(writer, "status"), "");
  await writer.generate();
  writer.passages = [{ text: "z", written: false }];
  assert.equal(textOfPart(writer, "status"), "");
});

test("a text that is set while another is written ends that one", async () => {
  const writer = element({ prompt: "x" });
  const writing = writer.generate();
  await new Promise((resolve) => writer.addEventListener("token", resolve, { once: true }));
  writer.text = "y";
  assert.equal((await writing).finishReason, "abort");
  assert.deepEqual([writer.text, shown(writer)], ["y", "y"]);
});

test("ids of a prompt leave no text of the visitor's", async () => {
  const writer = element({ prompt: "x", "max-tokens": "2" });
  await writer.generate([1, 2]);
  assert.equal(writer.text, "AB");
});

test("the token view asks for alternatives, unless the page says how many", async () => {
  const writer = element({ prompt: "x", "max-tokens": "1", "token-view": "" });
  assert.equal((await writer.generate()).options.logprobs, 10);
  writer.setAttribute("logprobs", "0"); // as a settings panel leaves it
  assert.equal((await writer.generate()).options.logprobs, 10);
  writer.setAttribute("logprobs", "2");
  assert.equal((await writer.generate()).options.logprobs, 2);
});

test("the focus goes to Generate when Undo, which has it, goes away", () => {
  const writer = element({ prompt: "x" });
  const button = (name) => nodesBelow(writer.shadow).find((node) => node.attributes?.get("part") === `button ${name}`);
  let focused = button("undo");
  for (const name of ["generate", "undo"])
    Object.assign(button(name), {
      getRootNode: () => ({ activeElement: focused }),
      focus: () => (focused = button(name)),
    });
  writer.text = "y";
  writer.text = "z";
  button("undo").dispatchEvent(new Event("click"));
  assert.deepEqual([writer.text, button("undo").hidden, focused === button("undo")], ["y", false, true]);
  button("undo").dispatchEvent(new Event("click"));
  assert.deepEqual([writer.text, button("undo").hidden, focused === button("generate")], ["x", true, true]);
});

test("passages can be kept and set again", () => {
  const writer = element({ prompt: "x" });
  const passages = [
    { text: "a", written: false },
    { text: "b", written: true },
  ];
  writer.passages = passages;
  assert.deepEqual([writer.passages, writer.text], [passages, "ab"]);
  assert.throws(() => (writer.text = 5), { code: "invalid-argument" });
  assert.throws(() => (writer.passages = [{ text: "\ud800" }]), { code: "invalid-argument" });
});

test("reset ends the text, empties the output and makes the model forget", async () => {
  const writer = element({ prompt: "x" });
  const writing = writer.generate("y");
  await new Promise((resolve) => writer.addEventListener("token", resolve, { once: true }));
  await writer.reset();
  assert.equal((await writing).finishReason, "abort");
  assert.deepEqual([writer.text, shown(writer)], ["x", "x"]);
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
