import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { TokenFormer } from "../../www/lib/api/model.js";
import { TokenPack } from "../../www/lib/api/token-pack.js";
import { acquire } from "../../www/lib/api/shared-models.js";
import { resolveFile } from "../../www/lib/api/names.js";
import { becomes, FakeEngine, useFakeEngine, useFakeWorker } from "./fake-engine.mjs";
import { packFile, safetensors } from "./fake-training.mjs";

const rejects = (promise, code, message) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.name, "TokenFormerError");
    assert.equal(error.code, code, error.message);
    if (message) assert.match(error.message, message);
    return true;
  });
const blob = (about) => new Blob([packFile(about)]);
const realFetch = globalThis.fetch;
afterEach(() => (globalThis.fetch = realFetch));

/** Answers addresses with files; null: the connection fails, once. */
function answer(files) {
  const asked = [];
  globalThis.fetch = async (url, { headers, signal }) => {
    asked.push([url, headers]);
    signal?.throwIfAborted();
    const answers = files[url];
    if (answers === undefined) return new Response("", { status: 404 });
    const file = answers.length > 1 ? answers.shift() : answers[0];
    if (file === null) throw new TypeError("Failed to fetch");
    return new Response(file, { headers: { "Content-Type": "application/octet-stream" } });
  };
  return asked;
}

test("a pack says what its file tells, and its file says what it is called now", async () => {
  const training = { tokensSeen: 5, tokensPerSecond: 1, loss: [1], validation: null };
  const base = { id: "o/n", shape: { num_layers: 1 } };
  const pack = new TokenPack(
    packFile({ name: "A", strength: 0.5, tokens: 3, kinds: ["mlp", "query"], base, training, fill: 7 }),
  );
  const { name, strength, kinds, tokens, bytes } = pack;
  assert.deepEqual(
    [name, strength, kinds, tokens, pack.base, pack.training],
    ["A", 0.5, ["query", "mlp"], 3, base, training],
  );
  assert.equal(bytes, pack.toBlob().size);
  const renamed = new TokenPack(packFile({ name: "A", tokens: 3, fill: 7 }), { name: "Bé", strength: -2 });
  const written = new Uint8Array(await renamed.toBlob().arrayBuffer());
  const again = new TokenPack(written);
  assert.deepEqual([again.name, again.strength, again.tokens], ["Bé", -2, 3]);
  assert.deepEqual([...written.slice(-96)], Array(96).fill(7)); // the tensors, where the header says that they are
  assert.equal(written.length % 8, 0);
});

test("what is no pack is refused", () => {
  const file = packFile();
  for (const [bytes, message] of [
    [new Uint8Array(3), /too short/],
    [new Uint8Array(64).fill(255), /does not begin/],
    [safetensors({ __metadata__: { format: "pt" } }), /does not name the format/],
    [safetensors({ __metadata__: { format: "tokenformer-pack", version: "2" } }), /has version 2/],
    [file.slice(0, -1), /end is missing/],
    [file.slice(0, 60), /does not begin/],
  ])
    assert.throws(
      () => new TokenPack(bytes),
      (error) => error.code === "invalid-config" && message.test(error.message),
    );
  const told = safetensors({
    __metadata__: { format: "tokenformer-pack", version: "1", strength: "x", base: "{", name: "" },
  });
  const { name, strength, base, tokens, kinds } = new TokenPack(told);
  assert.deepEqual([name, strength, base, tokens, kinds], ["pack", 1, null, 0, []]);
});

test("addresses of files", () => {
  const from = (name) => resolveFile("pack", name, { baseUri: "https://site.example/app/" });
  const at = (url) => ({ repository: null, url });
  assert.deepEqual(from("o/n"), { repository: "o/n", url: null });
  assert.deepEqual(from("./a.safetensors?x=1"), at("https://site.example/app/a.safetensors?x=1"));
  assert.deepEqual(from("https://h.example/a.safetensors"), at("https://h.example/a.safetensors"));
  const page = from("https://huggingface.co/o/n/tree/v1");
  assert.deepEqual([page.repository, page.revision, page.url], ["o/n", "v1", null]);
  const file = at("https://huggingface.co/o/n/resolve/main/b.safetensors");
  for (const kind of ["blob", "resolve"])
    assert.deepEqual(from(`https://huggingface.co/o/n/${kind}/main/b.safetensors`), file);
  for (const bad of ["", "pack", "a b", "ftp://x/y", "https://u:p@x/y", "data:,x"])
    assert.throws(() => from(bad), { code: "invalid-argument" }, bad);
});

for (const [thread, use] of [
  ["main", useFakeEngine],
  ["worker", useFakeWorker],
])
  describe(`in the ${thread} thread`, () => {
    beforeEach(() => {
      use();
      FakeEngine.made.length = 0;
      FakeEngine.beforeLoad = async () => {};
    });

    async function loaded(options) {
      const model = await TokenFormer.load("a/b", options);
      return { model, engine: FakeEngine.made.at(-1) };
    }

    test("packs come, change and go, in the order of their names", async () => {
      const { model, engine } = await loaded();
      assert.deepEqual([model.packs, model.info.packs], [[], []]);
      const added = await model.addPack(blob({ name: "b", strength: 0.5 }));
      assert.deepEqual([added.name, added.strength], ["b", 0.5]);
      await model.addPack(blob({ name: "x" }), { name: "a", strength: 2 });
      assert.deepEqual(
        model.packs.map(({ name, strength }) => [name, strength]),
        [
          ["a", 2],
          ["b", 0.5],
        ],
      );
      const { bytes } = added;
      await model.setPack("b", { strength: -4 });
      assert.deepEqual(model.info.packs[1], { name: "b", strength: -4, tokens: 2, bytes });
      await model.addPack(model.packs[1], { name: "a" }); // a used name
      assert.deepEqual(
        model.packs.map(({ name, strength }) => [name, strength]),
        [
          ["a", -4],
          ["b", -4],
        ],
      );
      await model.removePack("a");
      assert.deepEqual(engine.log, ["add b 0.5", "add a 2", "set b -4", "add a -4", "remove a"]);
      assert.deepEqual(
        model.packs.map(({ name }) => name),
        ["b"],
      );
      await model.dispose();
      await rejects(model.addPack(blob()), "disposed");
    });

    test("what is not right is refused before the engine hears of it", async () => {
      const { model, engine } = await loaded();
      await model.addPack(blob({ name: "a" }));
      engine.log.length = 0;
      const bad = "invalid-argument";
      for (const source of [undefined, null, 5, {}, [], "nonsense", ""]) await rejects(model.addPack(source), bad);
      for (const options of [{ strength: 4.01 }, { strength: "1" }, { name: "" }, { name: "x".repeat(121) }, { at: 1 }])
        await rejects(model.addPack(blob(), options), bad);
      for (const options of [undefined, {}, { strength: -5 }, { strength: NaN }, { name: "a", strength: 1 }])
        await rejects(model.setPack("a", options), bad);
      await rejects(model.setPack("c", { strength: 1 }), bad, /no pack "c"/);
      await rejects(model.removePack("c"), bad);
      await rejects(model.addPack(blob({ strength: 9 })), bad, /strength/);
      await rejects(model.addPack(new Blob(["x"])), "invalid-config");
      engine.refuses = "odd";
      await rejects(model.addPack(blob({ name: "odd" })), "invalid-config", /another shape/);
      assert.deepEqual([engine.log, model.packs.length], [["add odd 1"], 1]);
      for (let i = 2; i <= 16; i++) await model.addPack(blob({ name: `n${i}` }));
      await rejects(model.addPack(blob({ name: "one more" })), bad, /at most 16/);
      await model.addPack(blob({ name: "n2", strength: 0 })); // in the place of another
      assert.equal(model.packs.length, 16);
    });

    test("packs come from addresses and repositories, and a lost connection is tried again", async () => {
      const { model, engine } = await loaded({ endpoint: "https://hub.example", token: "secret" });
      const asked = answer({
        "https://hub.example/o/terse/resolve/main/pack.safetensors": [null, packFile({ tokens: 5 })],
        "https://h.example/My%20letters.pack.safetensors": [packFile()],
        "https://h.example/page": ["<html>"],
      });
      assert.equal((await model.addPack("o/terse")).name, "terse");
      await model.addPack("https://h.example/My%20letters.pack.safetensors");
      assert.deepEqual(engine.log, ["add terse 1", "add My letters 1"]);
      assert.equal(model.packs[1].tokens, 5);
      const rights = asked.map(([, headers]) => headers.Authorization);
      assert.deepEqual(rights, ["Bearer secret", "Bearer secret", undefined]);
      await rejects(model.addPack("o/nothing"), "model-not-found", /pack\.safetensors/);
      await rejects(model.addPack("https://h.example/page"), "invalid-config");
      const file = new File([packFile()], "a.safetensors");
      assert.equal((await model.addPack(file)).name, "a");
    });

    test("a pack that is being fetched holds the queue, and nothing else", async () => {
      const { model, engine } = await loaded();
      let come;
      globalThis.fetch = () => new Promise((resolve) => (come = () => resolve(new Response(packFile()))));
      const adding = model.addPack("o/n");
      const writing = model.complete("x", { maxTokens: 1 });
      assert.deepEqual(await model.encode("A"), [65]);
      come();
      await Promise.all([adding, writing]);
      assert.deepEqual(engine.log.slice(0, 2), ["add n 1", "start"]);
    });

    test("disposing ends the fetching of a pack", async () => {
      const { model } = await loaded();
      globalThis.fetch = (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      const adding = rejects(model.addPack("o/n"), "aborted");
      await model.dispose();
      await adding;
    });

    test("load adds packs, or none of the model is left", async () => {
      answer({ "https://huggingface.co/o/n/resolve/main/pack.safetensors": [packFile()] });
      const { model, engine } = await loaded({ packs: ["o/n", { pack: blob({ name: "m" }), strength: 0.25 }] });
      assert.deepEqual(engine.log, ["add n 1", "add m 0.25"]);
      assert.equal("packs" in engine.request, false);
      await model.dispose();
      await rejects(TokenFormer.load("a/b", { packs: ["o/missing"] }), "model-not-found");
      await becomes(() => FakeEngine.made.at(-1).freed, true);
      const made = FakeEngine.made.length;
      await rejects(TokenFormer.load("a/b", { packs: ["nonsense"] }), "invalid-argument");
      assert.equal(FakeEngine.made.length, made);
    });

    const text = "Once upon a time.";

    test("a training goes through its steps and resolves to a pack that is not added", async () => {
      const { model, engine } = await loaded();
      const told = [];
      const pack = await model.train(text, {
        epochs: 2,
        kinds: ["mlp", "query"],
        seed: 5,
        onProgress: (p) => told.push(p),
      });
      assert.deepEqual(
        told.map(({ step, loss, validation }) => [step, loss, validation]),
        [
          [0, null, 4],
          [1, 3.9, 4],
          [2, 3.8, 3.9],
          [3, 3.7, 3.9],
          [4, 3.6, 3.8],
        ],
      );
      assert.equal("isEpochEnd" in told[0], false);
      assert.deepEqual(Object.keys(told[0]), [
        "step",
        "steps",
        "epoch",
        "loss",
        "validation",
        "tokensPerSecond",
        "secondsLeft",
      ]);
      assert.deepEqual([pack.name, pack.strength, pack.tokens, pack.kinds], ["pack", 1, 16, ["query", "mlp"]]);
      assert.deepEqual(pack.training.validation, { before: 4, after: 3.5 });
      assert.equal(pack.training.loss.length, 4);
      assert.deepEqual(pack.base, { id: "a/b" });
      assert.deepEqual(model.packs, []);
      const { documents, options, pack: first } = engine.training;
      assert.deepEqual([documents, first], [[text], undefined]);
      await becomes(() => engine.training.freed, true);
      const { epochs, steps, seed, name, learningRate, validation } = options;
      assert.deepEqual([epochs, steps, seed, name, learningRate, validation], [2, undefined, 5, "pack", 0.003, 0.1]);
      assert.equal("onProgress" in options, false);
    });

    test("texts, ids, steps, and a pack to go on from", async () => {
      const { model, engine } = await loaded();
      await model.train([{ text: "a" }, { text: "b" }], { steps: 3 });
      assert.deepEqual([engine.training.documents, engine.training.options.epochs], [["a", "b"], undefined]);
      await model.train([1, 2, 3]);
      assert.deepEqual([...engine.training.documents[0]], [1, 2, 3]);
      assert.equal("epochs" in engine.training.options || "steps" in engine.training.options, false); // Rust's default
      assert.ok(Number.isInteger(engine.training.options.seed));
      await model.addPack(blob({ name: "pack" }));
      assert.equal((await model.train(text, { steps: 1 })).name, "pack 2");
      const first = blob({ name: "mine" });
      assert.equal((await model.train(text, { steps: 1, pack: first })).name, "mine");
      assert.deepEqual(engine.training.pack, new Uint8Array(await first.arrayBuffer()));
      assert.equal((await model.train(text, { steps: 1, pack: first, name: "yours" })).name, "yours");
    });

    test("bad arguments of train are refused", async () => {
      const { model, engine } = await loaded();
      for (const bad of [undefined, null, 5, "", [], [{ text: "" }], [{ text: 5 }], [{ text: "a", x: 1 }], [{}, "a"]])
        await rejects(model.train(bad), "invalid-argument");
      for (const options of [
        { epochs: 1, steps: 1 },
        { tokens: 0 },
        { tokens: 257 },
        { kinds: [] },
        { kinds: ["q"] },
        { kinds: "mlp" },
        { validation: 1 },
        { beta1: 1 },
        { learningRate: 0 },
        { schedule: "linear" },
        { pack: "nonsense" },
        { name: "" },
        { lr: 1 },
      ])
        await rejects(model.train(text, options), "invalid-argument");
      assert.deepEqual(engine.log, []);
      await rejects(model.train("short"), "invalid-argument", /too short/);
      await rejects(model.train("lost"), "device-lost");
      await becomes(() => engine.training.freed, true);
    });

    test("an abort resolves with what was learnt until then", async () => {
      const { model, engine } = await loaded();
      const controller = new AbortController();
      const onProgress = ({ step }) => step === 3 && controller.abort();
      const ended = [];
      const onEpoch = ({ epoch }) => ended.push(epoch);
      const pack = await model.train(text, { epochs: 100, signal: controller.signal, onProgress, onEpoch });
      assert.deepEqual(ended, [1]); // the second one ended with the abort
      const { length } = pack.training.loss;
      assert.ok(length >= 3 && length < 10, `${length} steps`);
      await rejects(model.train(text, { signal: AbortSignal.abort() }), "aborted");
      await becomes(() => engine.training.freed, true);
      assert.equal((await model.complete("x", { maxTokens: 1 })).text, "A"); // others have their turn
    });

    test("disposing ends a training", async () => {
      const { model } = await loaded();
      const training = model.train(text, { epochs: 100, onProgress: ({ step }) => step === 1 && model.dispose() });
      await assert.rejects(training, { code: "disposed" });
    });

    test("training holds the queue; onEpoch lets others write, and waits", async () => {
      const { model, engine } = await loaded();
      const epochs = [];
      const training = model.train(text, {
        epochs: 2,
        async onEpoch({ epoch, step, pack }) {
          await model.addPack(pack, { name: "so far" });
          epochs.push([epoch, step, (await model.complete("x", { maxTokens: 1 })).text]);
          await model.removePack("so far");
        },
        onProgress() {
          throw new Error("the page's own mistake");
        },
      });
      const other = model.complete("y", { maxTokens: 1 });
      await Promise.all([training, other]);
      assert.deepEqual(epochs, [
        [1, 2, "A"],
        [2, 4, "A"],
      ]);
      const steps = engine.log.filter((name) => /^(train|pause|start|add|remove)/.test(name));
      assert.deepEqual(steps.slice(0, 4), ["startTraining", "train", "train", "pause"]);
      assert.equal(steps[4], "start"); // who waited longer is first
      assert.equal(model.packs.length, 0);
    });
  });

test("models of other packs are not shared", async () => {
  useFakeEngine();
  const one = blob({ name: "one" });
  const held = [];
  for (const packs of [[], [one], [one], [blob({ name: "one" })], [{ pack: one, strength: 2 }]])
    held.push(await acquire("a/b", { packs }));
  const models = held.map(({ model }) => model);
  assert.equal(models[1], models[2]);
  assert.equal(new Set(models).size, 4);
  await Promise.all(held.map(({ release }) => release()));
});
