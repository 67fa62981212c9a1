// The parts of the Teach panel, without a document: the packs of this browser, a lesson, its curve, packs from a link.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { TokenPack } from "../../www/lib/api/token-pack.js";
import { curveInWords, curveOf } from "../../www/page/packs/curve.js";
import { beginningOf, teach, verdictOf, wordsOf } from "../../www/page/packs/lesson.js";
import { linkedPacks } from "../../www/page/packs/linked.js";
import { Shelf } from "../../www/page/packs/shelf.js";
import { loadFake } from "./fake-engine.mjs";
import { packFile } from "./fake-training.mjs";

let faults;
beforeEach(() => (faults = []));

/** Records as in a browser. */
function memory(kept = new Map()) {
  return {
    kept,
    all: async () => [...kept.values()],
    get: async (id) => kept.get(id),
    async update(id, change) {
      const after = change(kept.get(id));
      if (after) kept.set(id, after);
    },
    remove: async (id) => void kept.delete(id),
  };
}
const shelfOf = (records = memory()) => new Shelf(records, { onChange() {}, onFault: (told) => faults.push(told) });
const pack = (about) => new TokenPack(packFile(about));
const names = (model) => model.packs.map(({ name, strength }) => `${name} ${strength}`);

test("packs are on at once, kept if asked for, and there again at the next visit", async () => {
  const { model, engine } = await loadFake();
  const records = memory();
  const shelf = shelfOf(records);
  await shelf.attach(model);
  const one = await shelf.add(pack({ name: "one" }));
  const other = await shelf.add(pack({ name: "one", strength: 0.5 }));
  assert.deepEqual(names(model), ["one 1", "one 2 0.5"]);
  assert.equal(records.kept.size, 0);
  await shelf.keep(other.id);
  await shelf.change(other.id, { strength: -1 });
  await shelf.change(one.id, { isOn: false });
  assert.deepEqual(names(model), ["one 2 -1"]);
  assert.deepEqual(engine.log, ["add one 1", "add one 2 0.5", "set one 2 -1", "remove one"]);

  const { model: next } = await loadFake();
  const again = shelfOf(records);
  await again.read();
  again.attach(next);
  const written = next.complete("x", { maxTokens: 1 }); // asked for after the packs, though nobody waited for them
  await written;
  assert.deepEqual(names(next), ["one 2 -1"]);
  const [entry] = again.entries;
  assert.deepEqual([entry.name, entry.strength, entry.isOn, entry.isKept], ["one 2", -1, true, true]);
  const undo = await again.remove(entry.id);
  assert.deepEqual([names(next), records.kept.size], [[], 0]);
  await undo();
  assert.deepEqual([names(next), records.kept.size], [["one 2 -1"], 1]);
  assert.deepEqual(faults, []);
});

test("a pack of another shape stays off, and one that is refused says why", async () => {
  const { model, engine } = await loadFake();
  engine.info = () => ({ id: "a/b", config: { num_layers: 2, hidden_size: 64 } });
  await model.reset(); // its answer brings the info
  const shelf = shelfOf();
  await shelf.attach(model);
  engine.refuses = "odd";
  const large = await shelf.add(
    pack({ name: "large", base: { id: "o/n", shape: { num_layers: 2, hidden_size: 128 } } }),
  );
  const same = await shelf.add(pack({ name: "same", base: { shape: { num_layers: 2, hidden_size: 64 } } }));
  const odd = await shelf.add(pack({ name: "odd" }));
  assert.deepEqual([shelf.fits(large), shelf.fits(same), shelf.fits(odd)], [false, true, true]);
  assert.deepEqual(names(model), ["same 1"]);
  assert.match(odd.fault, /another shape/);
  engine.refuses = "";
  await shelf.change(odd.id, { isOn: true }); // once more
  assert.deepEqual([odd.fault, names(model)], ["", ["odd 1", "same 1"]]);
});

test("packs of a link are fetched with the model, and go with the visit", async (t) => {
  const { fetch } = globalThis;
  t.after(() => (globalThis.fetch = fetch));
  globalThis.fetch = async (url) =>
    /huggingface\.co\/o\/n\//.test(url) ? new Response(packFile({ name: "Told" })) : new Response("", { status: 404 });
  assert.deepEqual(linkedPacks("?packs=o/n%20./a.safetensors%20o/n&x=1"), ["o/n", "./a.safetensors"]);
  for (const search of ["", "?packs=", "?packs=nonsense", "?packs=%5B%22o/n%22%5D", "?packs=javascript:1"])
    assert.deepEqual(linkedPacks(search), []);
  const { model } = await loadFake();
  const records = memory();
  const shelf = shelfOf(records);
  shelf.link(["o/n", "https://h.example/missing.pack.safetensors"]);
  assert.deepEqual(shelf.entries.map(({ name, pack }) => [name, pack]), [["missing", null], ["o/n", null]]); // prettier-ignore
  await shelf.attach(model);
  const [missing, there] = shelf.entries;
  assert.match(missing.fault, /no token pack at/);
  assert.deepEqual([there.pack.tokens, names(model), records.kept.size], [2, ["o/n 1"], 0]);
  assert.equal(await shelf.keep(there.id), true);
  assert.equal(records.kept.size, 1);
});

test("a storage that refuses is told", async () => {
  const fails = () => Promise.reject(new Error("No."));
  const shelf = shelfOf({ ...memory(), all: fails, update: fails, remove: fails });
  await shelf.read();
  const { id } = await shelf.add(pack({ name: "one" }));
  assert.equal(await shelf.keep(id), false);
  assert.equal(shelf.get(id).isKept, false);
  assert.deepEqual(faults.map((told) => /does not say|did not save “one”/.test(told)), [true, true]); // prettier-ignore
});

test("a lesson writes the same beginning without and with what was learnt, round by round", async () => {
  const { model, engine } = await loadFake();
  const { signal } = new AbortController();
  const [points, samples] = [[], []];
  const lesson = { text: "A text.", name: "N", beginning: "He", rounds: 2, tokens: 4, writing: { seed: 3 }, signal };
  const learnt = await teach(model, lesson, {
    onPoint: ({ step }) => points.push(step),
    onSample: (without, withIt) => samples.push([without?.round, withIt?.round]),
  });
  assert.deepEqual([learnt.name, learnt.tokens], ["N", 4]);
  assert.deepEqual(points, [0, 1, 2, 3, 4]);
  assert.deepEqual(samples, [[0, undefined], [undefined, 1], [undefined, 2], [undefined, 2]]); // prettier-ignore
  assert.deepEqual(engine.generations.map(({ options }) => options.seed), [3, 3, 3, 3]); // prettier-ignore
  const acts = engine.log.filter((name) => /^(add|remove|start$)/.test(name));
  assert.deepEqual(acts.slice(1, 4), ["add what it has learnt so far 1", "start", "remove what it has learnt so far"]);
  assert.deepEqual(model.packs, []);
});

test("a lesson that is stopped keeps what was learnt, and one that never began nothing", async () => {
  const { model } = await loadFake();
  const stop = new AbortController();
  const lesson = { text: "A text.", name: "N", beginning: "He", rounds: 50, tokens: 4, writing: { seed: 3 } };
  const learnt = await teach(model, { ...lesson, signal: stop.signal }, { onPoint: () => stop.abort(), onSample() {} });
  assert.equal(learnt.name, "N");
  const told = { onPoint: assert.fail, onSample: assert.fail };
  assert.equal(await teach(model, { ...lesson, signal: AbortSignal.abort() }, told), null);
  const { signal } = new AbortController();
  const short = teach(model, { ...lesson, text: "short", signal }, { onPoint() {}, onSample() {} });
  await assert.rejects(short, { code: "invalid-argument" });
});

test("samples begin with what is kept back", () => {
  const text = `${"One two three four. ".repeat(100)}“So it was,” he said. Then came five six seven eight nine ten.`;
  assert.equal(beginningOf(text), "One two three four. One two three four.");
  assert.equal(beginningOf("Only these words"), "Only these words");
  assert.equal(wordsOf(" a  b\nc "), 3);
});

test("how it went, in words", () => {
  const training = (before, after) => ({ tokensSeen: 1, tokensPerSecond: 1, loss: [], validation: { before, after } });
  assert.match(verdictOf(training(4.5, 4)), /was 4\.50 and is 4\.00: it has learnt much/);
  assert.match(verdictOf(training(4.5, 4.4)), /something/);
  assert.match(verdictOf(training(4.5, 4.51)), /next to nothing/);
  assert.match(verdictOf({ ...training(), validation: null }), /has read your text/);
});

test("the curve of a lesson", () => {
  const points = [
    { step: 0, loss: null, validation: 4.5 },
    { step: 1, loss: 4, validation: 4.5 },
    { step: 2, loss: 3, validation: 3.5 },
    { step: 3, loss: NaN, validation: 3.5 },
    { step: 4, loss: 2, validation: 3 },
  ];
  const size = { width: 100, height: 50 };
  assert.equal(curveOf(points.slice(0, 1), 4, size), null);
  assert.deepEqual(curveOf(points, 4, size), {
    training: "M25 10L50 30L100 50",
    validation: [
      { x: 0, y: 0 },
      { x: 50, y: 20 },
      { x: 100, y: 30 },
    ],
    most: 4.5,
    least: 2,
  });
  assert.equal(
    curveInWords(points),
    "Surprise at what it reads: 4.00 at first, 2.00 now. At the part that is kept back: 4.50, then 3.50, then 3.00.",
  );
  assert.equal(curveInWords([]), "Nothing was measured yet.");
});
