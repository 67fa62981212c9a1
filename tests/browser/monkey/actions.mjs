// What the monkey can do, each as `[weight, act]`: `act(stage, tab, random)` may return a description of what it did.

import assert from "node:assert/strict";
import { assertInLibrary, assertNextVisit, assertRight } from "./invariants.mjs";
import { calm, deploy, hostFault, hubFault, offline, storageFault } from "./faults.mjs";
import { CHOSEN, FORBIDDEN, LINKED, TOKENS } from "./stage.mjs";
import { field, remember, type, words } from "./typing.mjs";

async function typeAnew(stage, tab, random) {
  const textbox = await field(tab);
  const text = `${words(random)} ${random.below(1000)}`;
  await textbox.press("ControlOrMeta+a");
  await tab.page.keyboard.insertText(text);
  await remember(stage, tab);
  return JSON.stringify(text);
}

async function undo(stage, tab, random) {
  await tab.idle(1000);
  const times = 1 + random.below(3);
  const way = random.chance(0.7) ? "undo" : "redo";
  const done = await tab.do(
    ([way, times]) => Array.from({ length: times }, () => monkey.element[way]()).some(Boolean),
    [way, times],
  );
  if (done) await remember(stage, tab);
  return `${way} ${times}`;
}

/** A model to write with: the embedded one takes seconds. */
async function chooseModel(stage, tab, random) {
  const model = await tab.do(() => monkey.element.getAttribute("model"));
  if (model === null && !(stage.embedded && random.chance(0.1)))
    await choose(stage, tab, "model", random.pick(CHOSEN.model));
}

async function write(stage, tab, random) {
  await chooseModel(stage, tab, random);
  const way = random.pick(["generate", "generate", "regenerate", "keys"]);
  if (way === "keys") {
    await field(tab);
    await tab.page.keyboard.press("ControlOrMeta+Enter");
  } else {
    await tab.do((way) => void (monkey.writing = monkey.attempt(() => monkey.element[way]())), way);
  }
  if (random.chance(0.6)) await tab.idle();
  // Regenerating removes what the visitor wrote after the passage; the visitor asked for that, and Undo has it. Until it
  // starts, the element is idle.
  if (way === "regenerate") {
    await tab.do(() => Promise.race([monkey.writing, new Promise((done) => setTimeout(done, 3000))]));
    await tab.stop();
    await tab.do(() => monkey.writing);
    await remember(stage, tab);
  }
  return way;
}

/** A text that a model finishes becomes the visitor's own, and stays so. */
async function writeToTheEnd(stage, tab) {
  await tab.idle();
  if ((await tab.do(() => monkey.element.getAttribute("model"))) === null) return "not with the embedded model";
  const result = await tab.do(async () => {
    const { element } = monkey;
    const before = element.text;
    const { outcome, value } = await monkey.attempt(() =>
      Promise.race([element.generate(), new Promise((done) => setTimeout(done, 4000))]),
    );
    return { outcome, written: value?.text, before, text: element.text, passages: element.passages };
  });
  if (result.written === undefined) return result.outcome;
  const { written, before, text, passages } = result;
  if (written !== "" && !/\r/.test(before + written)) {
    assert.ok(text.startsWith(before), "what was there stays");
    assert.equal(passages.at(-1).written, true, "what the model wrote is told as written");
    assert.ok(passages.at(-1).text.endsWith(text.slice(before.length)), "and all of it is");
  }
  return `${written.length} characters`;
}

async function stop(stage, tab, random) {
  if (random.chance(0.5)) {
    await field(tab);
    await tab.page.keyboard.press("Escape");
  }
  await tab.stop();
}

function linkOf(stage, random) {
  const query = new URLSearchParams();
  if (random.chance(0.8)) {
    const prompt = `Linked ${random.below(1000)} ${words(random)}`;
    stage.brought.add(prompt);
    query.set("prompt", prompt);
  }
  for (const [name, values] of Object.entries(LINKED)) if (random.chance(0.3)) query.set(name, random.pick(values));
  for (const [name, value] of Object.entries(FORBIDDEN)) if (random.chance(0.3)) query.set(name, value);
  return `${stage.url}#${query}`;
}

async function link(stage, tab, random) {
  const address = linkOf(stage, random);
  if (random.chance(0.5)) {
    await tab.do((address) => void (location.href = address), address);
    return `in the page, ${address}`;
  }
  await tab.page.goto("about:blank");
  await tab.go(() => tab.page.goto(address));
  return address;
}

async function back(stage, tab) {
  await stage.calm();
  // The page renews its own address while it is idle, and playwright takes that for going back: the history knows better.
  const from = await tab.do(() => {
    const { index, key } = navigation.currentEntry;
    return { key, isSameDocument: navigation.entries()[index - 1]?.sameDocument ?? false };
  });
  await tab.page.goBack();
  await tab.page.waitForFunction(
    ({ key, isSameDocument }) => !("monkey" in globalThis) || (isSameDocument && navigation.currentEntry.key !== key),
    from,
  );
  if (!tab.page.url().startsWith(stage.url)) await tab.go(() => tab.page.goto(stage.url));
  else if (!(await tab.do(() => "monkey" in globalThis))) await tab.go(async () => {});
}

async function example(stage, tab, random) {
  await chooseModel(stage, tab, random);
  await field(tab);
  const which = random.below(5);
  // It writes at once; the next actions deal with the result.
  await tab.do((which) => document.querySelectorAll("#examples button")[which].click(), which);
  return String(which);
}

async function bringBack(stage, tab) {
  const isOffered = await tab.do(() => !document.querySelector("#own-text").hidden);
  if (!isOffered) return "not offered";
  await tab.do(() => document.querySelector("#own-text button").click());
  await remember(stage, tab);
  // From now on, another tab's text is this one's.
  for (const other of stage.tabs)
    if (other !== tab && other.own !== null && tab.own?.startsWith(other.own)) {
      if (!(await other.text()).startsWith(other.own)) other.own = null;
    }
}

/** A new story, or another one from the list; the previous text is in the library, or set aside. */
async function story(stage, tab, random) {
  await tab.idle();
  const { own } = tab;
  await tab.do(() => document.querySelector("#open-stories").click());
  const isNew = random.chance(0.4);
  // A storage that does not answer lists none.
  if (!isNew) await tab.page.waitForSelector(".story-open", { timeout: 2000 }).catch(() => {});
  const opened = await tab.do(
    ([isNew, at]) => {
      const listed = document.querySelectorAll(".story-open");
      const chosen = isNew ? null : listed[Math.floor(at * listed.length)];
      (chosen ?? document.querySelector("#new-story")).click();
      return chosen?.textContent ?? "a new one";
    },
    [isNew, random.next()],
  );
  await tab.page.waitForSelector("#stories", { state: "hidden" });
  await assertInLibrary(tab, own);
  await remember(stage, tab);
  return opened;
}

/** The visitor sets an attribute, as a panel does. */
async function choose(stage, tab, name, value) {
  const isChanged = await tab.do(
    ([name, value]) => {
      const { element } = monkey;
      const isChanged = element.getAttribute(name) !== value;
      element.setAttribute(name, value);
      return isChanged;
    },
    [name, value],
  );
  if (isChanged) tab.set[name] = value;
}

async function setting(stage, tab, random) {
  const name = random.pick(Object.keys(CHOSEN));
  const value = random.pick(CHOSEN[name]);
  await choose(stage, tab, name, value);
  return `${name}=${value}`;
}

/** A model from a hub, with the token that was typed for it, in the panel's fields; then perhaps another hub. */
async function hub(stage, tab, random) {
  const name = random.pick(["home", "other"]);
  const next = random.pick(["home", "other"]);
  const fill = (row, value) =>
    tab.do(
      ([row, value]) => {
        const input = document.querySelector(`#row-${row}`);
        input.value = value;
        input.dispatchEvent(new Event("input", { bubbles: true }));
      },
      [row, value],
    );
  await fill("endpoint", stage.hubs[name].endpoint);
  await fill("token", TOKENS[name]);
  const repository = random.pick(["o/public", "o/private"]);
  const load = () =>
    tab.do((repository) => {
      monkey.element.setAttribute("model", repository);
      void monkey.attempt(() => monkey.element.load());
    }, repository);
  await load();
  if (random.chance(0.5)) await tab.idle();
  if (random.chance(0.5)) {
    await fill("endpoint", stage.hubs[next].endpoint);
    await load();
    await tab.idle();
  }
  await tab.idle();
  await fill("endpoint", "");
  await choose(stage, tab, "model", random.pick(CHOSEN.model));
  return `${repository} of ${name}, then ${next}`;
}

/** Loads with the API as published, which must be the right model or a typed error. */
async function load(stage, tab, random) {
  const source = stage.embedded && random.chance(0.03) ? stage.embedded : random.pick(stage.sources);
  const abortAfter = random.chance(0.3) ? random.below(300) : 6000;
  const result = await tab.do(
    ([{ name, options }, how]) => monkey.load(name, options, how),
    [source, { abortAfter, texts: random.below(3) }],
  );
  if (result.outcome === "done") assertRight(stage, source, result.value);
  return `${source.name} ${result.outcome}`;
}

/** Loads with odd options that nothing else uses: the result must not be taken for the model as published. */
async function loadOddly(stage, tab, random) {
  const { name, options } = random.pick(stage.sources);
  const odd = random.pick([
    { config: { num_attention_heads: 4 } },
    { config: { rotary_pct: 0.5 } },
    { contextLength: 1 + random.below(60) },
    { quantization: random.pick(["q4", "q8", "f16"]) },
    { cache: false },
    { revision: "nowhere" },
    { temperature: 1 },
    { config: { norm_activation_type: "softmax" } },
  ]);
  const { outcome } = await tab.do(
    ([name, options, how]) => monkey.load(name, options, how),
    [name, { ...options, ...odd }, { abortAfter: 6000 }],
  );
  return `${name} ${JSON.stringify(odd)} ${outcome}`;
}

/** An element that a page inserts, uses, and removes in the middle. */
async function element(stage, tab, random) {
  return tab.do(
    async ([model, removeAfter]) => {
      const other = document.createElement("token-former");
      other.setAttribute("model", model);
      other.setAttribute("max-tokens", "30");
      document.body.append(other);
      const written = monkey.attempt(() => other.generate("Here"));
      setTimeout(() => other.remove(), removeAfter);
      const { outcome } = await written;
      other.remove();
      return outcome;
    },
    [random.pick(CHOSEN.model), random.below(600)],
  );
}

async function dispose(stage, tab) {
  return tab.do(async () => (await monkey.attempt(async () => monkey.element.model?.dispose())).outcome);
}

async function forget(stage, tab, random) {
  const id = random.pick(stage.right).id;
  const { outcome } = await tab.do((id) => monkey.attempt(() => monkey.TokenFormer.delete(id)), id);
  return `${id} ${outcome}`;
}

async function reload(stage, tab) {
  await tab.go(() => tab.page.reload());
}

async function reloadAtRest(stage, tab) {
  await stage.calm();
  await tab.idle();
  const before = await tab.look();
  const { isFull } = tab;
  await tab.go(() => tab.page.reload());
  const after = await tab.look();
  // A tab that was not used is a new visit each time, and has the text that was written last.
  if (!isFull && before.text !== stage.beginning)
    assert.deepEqual(after.passages, before.passages, "a reload changes no text");
}

async function nextVisit(stage, tab) {
  await stage.calm();
  await assertNextVisit(stage, tab);
}

export const ACTIONS = [
  [14, type],
  [5, typeAnew],
  [6, undo],
  [12, write],
  [6, writeToTheEnd],
  [4, stop],
  [6, link],
  [2, back],
  [4, example],
  [3, bringBack],
  [5, story],
  [8, setting],
  [4, hub],
  [8, load],
  [4, loadOddly],
  [3, element],
  [2, dispose],
  [2, forget],
  [3, reload],
  [3, reloadAtRest],
  [3, nextVisit],
  [3, storageFault],
  [2, deploy],
  [3, hubFault],
  [2, hostFault],
  [2, offline],
  [5, calm],
];

/** Actions that may set a text aside: another one replaces it, or the tab becomes a new visit, which shelters it. */
export const REPLACING = new Set([link, back, example, bringBack, story, reload, reloadAtRest, nextVisit]);
