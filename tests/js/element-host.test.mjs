// <token-former> as frameworks and pages use it: properties for attributes, a bound text, line ends, the caret.

import "./fake-dom.mjs"; // first: the element looks for HTMLElement when it is imported
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ATTRIBUTE_TABLE, ATTRIBUTES } from "../../www/lib/element/attributes.js";
import { TokenFormerElement } from "../../www/lib/element/element.js";
import { becomes, FakeEngine, useFakeEngine } from "./fake-engine.mjs";
import { nodesBelow, textOfPart } from "./fake-dom.mjs";

beforeEach(() => {
  useFakeEngine();
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

function element(attributes = {}) {
  const it = new TokenFormerElement();
  made.add(it);
  it.told = [];
  for (const type of ["load", "done", "error"])
    it.addEventListener(type, (event) => it.told.push(type === "error" ? `error ${event.detail.code}` : type));
  for (const [name, value] of Object.entries(attributes)) it.setAttribute(name, value);
  it.isConnected = true;
  it.connectedCallback();
  return it;
}

const part = (it, name) => nodesBelow(it.shadow).find((node) => node.attributes?.get("part") === name);
const field = (it) => part(it, "prompt");
const shown = (it) => textOfPart(it, "output").replaceAll("|", "");

/** What a visitor does to the field. */
function type(it, text) {
  field(it).value = text;
  field(it).dispatchEvent(new Event("input"));
}

test("an attribute that is assigned as a property, as frameworks do, is the attribute", async () => {
  const it = element({ prompt: "x" });
  it.load = async () => {}; // of autoload
  assert.deepEqual(ATTRIBUTE_TABLE.map(({ attribute }) => attribute).sort(), [...ATTRIBUTES].sort());
  for (const { attribute, property, kind } of ATTRIBUTE_TABLE)
    for (const name of [attribute, property]) {
      it[name] = "o/n";
      assert.equal(it.getAttribute(attribute), "o/n", name);
      // Frameworks assign one of these when a template no longer sets it.
      for (const nothing of [undefined, null, false, ""]) {
        it.setAttribute(attribute, "o/n");
        it[name] = nothing;
        // Only for a switch does "" mean on, as in HTML.
        assert.equal(it.hasAttribute(attribute), nothing === "" && kind === "boolean", `${name} = ${nothing}`);
      }
    }
  delete it.load;
  it.model = new URL("https://models.example/m/");
  assert.equal(it.getAttribute("model"), "https://models.example/m/");
  it.model = null;
  it.prompt = "x";
  it.stop = ["B", "\n\n"];
  assert.deepEqual(JSON.parse(it.getAttribute("stop")), ["B", "\n\n"]);
  it.stop = '["B"]';
  assert.equal(it.getAttribute("stop"), '["B"]');
  const { stop } = it;
  it.addEventListener("token", () => stop(), { once: true });
  const { finishReason, options } = await it.generate();
  assert.deepEqual([finishReason, options.stop], ["abort", ["B"]]);
  assert.throws(() => (it.stop = 5), { code: "invalid-argument" });
});

test("switches, numbers and JSON are attributes by both names, and can be read again", async () => {
  const it = element({ prompt: "x" });
  it.load = async () => {};
  const values = [
    ["noCache", "no-cache", true, ""],
    ["autoload", "autoload", true, ""],
    ["tokenView", "token-view", true, ""],
    ["maxTokens", "max-tokens", 5, "5"],
    ["temperature", "temperature", 0, "0"],
    ["logitBias", "logit-bias", { 11: -5 }, '{"11":-5}'],
    ["config", "config", { num_layers: 2 }, '{"num_layers":2}'],
    ["backend", "backend", "cpu", "cpu"],
  ];
  for (const [property, attribute, value, text] of values)
    for (const name of [property, attribute]) {
      const empty = typeof value === "boolean" ? false : null;
      assert.deepEqual([it[property], it[attribute]], [empty, empty], name);
      it[name] = value;
      assert.equal(it.getAttribute(attribute), text, name);
      assert.deepEqual([it[property], it[attribute]], [value, value], name);
      it.removeAttribute(attribute);
    }
  it.setAttribute("max-tokens", "many");
  assert.equal(it.maxTokens, null, "told when it is used");
  for (const [name, wrong] of [
    ["maxTokens", {}],
    ["logit-bias", 5],
    ["model", 5],
    ["backend", ["cpu"]],
    ["config", () => {}],
  ])
    assert.throws(() => (it[name] = wrong), {
      code: "invalid-argument",
      message: new RegExp(`^${name === "maxTokens" ? "max-tokens" : name} must be `),
    });
  const circle = {};
  circle.circle = circle;
  assert.throws(() => (it.config = circle), { code: "invalid-argument" });
});

test("assigning what is there already sets nothing, tells nothing and leaves the caret", async () => {
  const it = element({ prompt: "x", "max-tokens": "2", stop: '["."]' });
  await it.generate();
  field(it).setSelectionRange(1, 1);
  const told = [];
  it.addEventListener("input", () => told.push("input"));
  const { setAttribute } = it;
  it.setAttribute = (...args) => told.push(args) && setAttribute.apply(it, args);
  const { passages } = it;
  Object.assign(it, { prompt: "x", maxTokens: 2, "max-tokens": "2", stop: ["."], text: it.text, passages });
  assert.deepEqual([told, it.passages, field(it).selectionStart], [[], passages, 1]);
});

test("text and passages that a template no longer binds are empty", () => {
  const it = element({ prompt: "x" });
  it.text = null;
  assert.equal(it.text, "");
  it.passages = [{ text: "y", written: true }];
  it.passages = undefined;
  assert.deepEqual(it.passages, []);
});

test("handlers can be assigned for its own events, as for those that every element has", async () => {
  const it = element({ prompt: "x", "max-tokens": "1" });
  const told = [];
  it.ontoken = () => told.push("never");
  it.ontoken = ({ detail }) => told.push(detail.text);
  it.ondone = function ({ detail }) {
    told.push(this === it, detail.finishReason);
  };
  await it.generate();
  assert.deepEqual(told, ["A", true, "length"]);
  assert.equal(it.ontoken.name, "");
  it.ontoken = null;
  it.ondone = undefined;
  await it.generate();
  assert.deepEqual([told.length, it.ontoken, it.ondone], [3, null, null]);
});

test("what was assigned before the element was defined is assigned again, in its order", () => {
  const it = new TokenFormerElement();
  made.add(it);
  for (const [name, value] of Object.entries({ prompt: "x", "max-tokens": 3, text: "y" }))
    Object.defineProperty(it, name, { value, configurable: true, writable: true, enumerable: true });
  it.isConnected = true;
  it.connectedCallback();
  assert.deepEqual([it.getAttribute("max-tokens"), it.maxTokens, it.text], ["3", 3, "y"]);
});

test("stop texts that were assigned before the element was defined count, and it can be stopped", async () => {
  const it = new TokenFormerElement();
  made.add(it);
  it.setAttribute("prompt", "x");
  Object.defineProperty(it, "stop", { value: ["."], configurable: true, writable: true });
  it.isConnected = true;
  it.connectedCallback();
  assert.equal(it.getAttribute("stop"), '["."]');
  it.addEventListener("token", () => it.stop(), { once: true });
  assert.equal((await it.generate()).finishReason, "abort");
});

test("a bound text, assigned whenever it is told, ends nothing and leaves who wrote what", async () => {
  const it = element({ prompt: "x", "max-tokens": "2" });
  const told = [];
  // Frameworks assign a moment later.
  it.addEventListener("input", () => {
    const { text } = it;
    told.push(text);
    setTimeout(() => (it.text = text), 1);
  });
  it.addEventListener("token", () => (it.text = `${it.text}`));
  assert.equal((await it.generate()).finishReason, "length");
  assert.equal((await it.generate()).finishReason, "length");
  assert.deepEqual(told, [], "what the model writes is told by its own events");
  assert.deepEqual(it.passages, [
    { text: "x", written: false },
    { text: "ABAB", written: true },
  ]);
  it.setAttribute("max-tokens", "9");
  assert.equal((await it.regenerate()).finishReason, "length");
  assert.deepEqual([it.text, told], ["xABABCDEFGHI", ["xAB"]]);
  const { passages } = it;
  it.passages = passages;
  assert.equal((await it.generate(it.text)).finishReason, "length");
  assert.deepEqual(it.passages, [
    { text: "x", written: false },
    { text: "ABABCDEFGHIABCDEFGHI", written: true },
  ]);
  it.text = "xAB"; // now it is a change
  assert.deepEqual(it.passages, [{ text: "xAB", written: false }]);
});

test("another text ends what is written, also the one that it began with", async () => {
  const it = element({ prompt: "x" });
  const writing = it.generate();
  await new Promise((resolve) => it.addEventListener("token", resolve, { once: true }));
  it.text = "x";
  assert.deepEqual([(await writing).finishReason, it.text, shown(it)], ["abort", "x", "x"]);
});

test("a letter typed behind a text with Windows' line ends leaves who wrote what", () => {
  const it = element({ prompt: "a\r\nb" });
  assert.equal(it.text, "a\nb");
  it.text = "One\r\nTwo\r";
  assert.equal(it.text, "One\nTwo\n");
  it.passages = [
    { text: "One\r\nTwo\r\n", written: false },
    { text: "Three\r\nfour", written: true },
  ];
  type(it, `${field(it).value}!`);
  assert.deepEqual(it.passages, [
    { text: "One\nTwo\n", written: false },
    { text: "Three\nfour", written: true },
    { text: "!", written: false },
  ]);
  assert.equal(shown(it), it.text);
});

test("half a character that a visitor pasted is no error of theirs", async () => {
  const it = element({ prompt: "x", "max-tokens": "1" });
  type(it, "ab\ud83d");
  field(it).setSelectionRange(1, 1);
  assert.equal((await it.generate()).text, "A");
  assert.deepEqual([it.text, shown(it), field(it).value], ["ab\ufffdA", "ab\ufffdA", "ab\ufffdA"]);
  assert.deepEqual(FakeEngine.made[0].prompts, ["ab\ufffd"]);
  it.setAttribute("prompt", "\ude00x"); // a link's
  assert.equal(it.text, "\ufffdx");
  await assert.rejects(it.generate("\ud83d"), { code: "invalid-argument" }, "the page's own mistake");
});

test("the caret at the end stays at the end while the model writes; elsewhere it stays where it is", async () => {
  const it = element({ prompt: "x", "max-tokens": "2" });
  const caret = () => [field(it).selectionStart, field(it).selectionEnd];
  type(it, "xyz");
  await it.generate();
  assert.deepEqual([field(it).value, caret()], ["xyzAB", [5, 5]]);
  field(it).setSelectionRange(1, 1);
  await it.generate();
  assert.deepEqual([field(it).value, caret()], ["xyzABAB", [1, 1]]);
  field(it).setSelectionRange(7, 7);
  it.addEventListener("token", () => field(it).setSelectionRange(2, 3), { once: true });
  await it.generate();
  assert.deepEqual(caret(), [2, 3], "who selects something meanwhile keeps it");
});

test("what is typed changes the mirror in place", async () => {
  const it = element({ prompt: "x", "max-tokens": "2" });
  const spans = () => part(it, "output").children;
  await it.generate();
  type(it, "xAB!");
  const before = [...spans()];
  type(it, "xAB!?");
  type(it, "xyAB!?");
  assert.deepEqual([...spans()].length, before.length);
  assert.ok([...spans()].every((span, i) => span === before[i]));
  assert.equal(shown(it), "xyAB!?");
  type(it, "xy-AB!?");
  type(it, "xy-AxB!?"); // another stretch: anew
  assert.equal(shown(it), "xy-AxB!?");
  assert.equal(it.undo() && shown(it), it.text);
});

test("an element that is removed, or given another model, while it loads tells no error; stop() does", async () => {
  const goOn = [];
  FakeEngine.beforeLoad = () => new Promise((resolve) => goOn.push(resolve));
  const it = element({ model: "a/b", prompt: "x" });
  const first = it.load();
  await becomes(() => goOn.length, 1);
  it.setAttribute("model", "c/d");
  const second = it.generate();
  await assert.rejects(first, { code: "aborted" });
  await becomes(() => goOn.length, 2);
  remove(it);
  await assert.rejects(second, { code: "aborted" });
  assert.deepEqual(it.told, []);
  const other = element({ model: "e/f", prompt: "x" });
  const third = other.load();
  await becomes(() => goOn.length, 3);
  other.stop();
  await assert.rejects(third, { code: "aborted" });
  assert.deepEqual(other.told, ["error aborted"]);
  goOn.forEach((resume) => resume());
});

test("an element that is moved into another document takes its styles there, and its frames", async () => {
  const it = element({ prompt: "x", "max-tokens": "1" });
  const [own] = it.shadow.adoptedStyleSheets;
  let frames = 0;
  const window = {
    CSSStyleSheet: class {
      replaceSync(text) {
        this.text = text;
      }
    },
    requestAnimationFrame: (callback) => setTimeout(callback, (frames += 1)),
    cancelAnimationFrame: clearTimeout,
  };
  Object.assign(it.shadow, { ownerDocument: { defaultView: window }, adoptedStyleSheets: [] });
  it.adoptedCallback();
  const [sheet] = it.shadow.adoptedStyleSheets;
  assert.ok(sheet instanceof window.CSSStyleSheet && sheet !== own && sheet.text.includes(":host"));
  await it.generate();
  assert.equal(frames, 1);
});

test("a click beside the field leaves the focus alone, and focus() goes to the text", () => {
  const it = element({ prompt: "x" });
  assert.notEqual(it.shadowOptions.delegatesFocus, true);
  const focused = [];
  field(it).focus = (options) => focused.push(["field", options]);
  part(it, "button generate").focus = () => focused.push(["button"]);
  it.focus({ preventScroll: true });
  it.setAttribute("token-view", "");
  it.focus();
  assert.deepEqual(focused, [["field", { preventScroll: true }], ["button"]]);
});

test("a text that ends in a space is healed by default, and an alternative does not write the space again", async () => {
  const it = element({ prompt: "the sea and ", "max-tokens": "2", "token-view": "" });
  const { options } = await it.generate();
  assert.equal(options.heal, true);
  /** Continues with the alternative "␣w" of a token. */
  const choose = async (index) => {
    const done = new Promise((resolve) => it.addEventListener("done", resolve, { once: true }));
    const target = { dataset: { index }, setAttribute() {}, getClientRects: () => [] };
    part(it, "tokens").dispatchEvent(Object.defineProperty(new Event("click"), "target", { value: target }));
    const rows = nodesBelow(part(it, "card")).filter(({ className }) => className === "alternative");
    rows
      .find((row) => nodesBelow(row).some(({ textContent }) => textContent === "␣w"))
      .dispatchEvent(new Event("click"));
    await done;
  };
  await choose(1);
  assert.deepEqual([it.text, FakeEngine.made[0].prompts.at(-1)], ["the sea and wAB", "the sea and w"]);
  await choose(1); // once more in the same place
  assert.equal(it.text, "the sea and wAB");
  await choose(2);
  assert.equal(it.text, "the sea and w wAB");
  it.setAttribute("no-heal", "");
  it.text = "and ";
  assert.equal((await it.generate()).options.heal, false);
  await choose(1);
  assert.equal(it.text, "and  wAB");
});

test("what the visitor typed is scored while its tokens are seen, and can be written on with another token", async (t) => {
  const { info, score } = FakeEngine.prototype;
  t.after(() => Object.assign(FakeEngine.prototype, { info, score }));
  FakeEngine.prototype.info = () => ({ contextLength: 100 });
  const scored = [];
  FakeEngine.prototype.score = async (items) =>
    items.map(({ text, context }) => {
      scored.push(String.fromCodePoint(...context, ...text));
      return { logprobs: Array.from(text, () => -2) };
    });
  const it = element({ prompt: "abc ", "max-tokens": "1" });
  await it.load();
  const label = (index) => part(it, "tokens").children[index]?.getAttribute("aria-label");
  const until = async (read, wanted) => {
    while (read() !== wanted) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  it.setAttribute("token-view", "");
  await until(() => label(2), "c, 14 %");
  assert.deepEqual([scored, label(0), label(3)], [["abc"], "a", null]);
  const target = Object.assign(part(it, "tokens").children[1], { dataset: { index: 1 }, getClientRects: () => [] });
  part(it, "tokens").dispatchEvent(Object.defineProperty(new Event("click"), "target", { value: target }));
  const rows = () => nodesBelow(part(it, "card")).filter(({ className }) => className === "alternative");
  await until(() => rows().length, 5);
  assert.deepEqual(Array.from(FakeEngine.made[0].prompts.at(-1)), [97]);
  const done = new Promise((resolve) => it.addEventListener("done", resolve, { once: true }));
  rows()[1].dispatchEvent(new Event("click"));
  await done;
  assert.deepEqual([it.text, FakeEngine.made[0].prompts.at(-1)], ["ayA", "ay"]);
  assert.equal(it.undo() && it.text, "abc ");
});
