import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { engines } from "../../www/lib/engine/engines.js";
import { isUsable, TokenFormer } from "../../www/lib/api/model.js";
import { becomes, FakeEngine, useFakeEngine, useFakeWorker } from "./fake-engine.mjs";

// The same cases for an engine in this thread and for one behind messages.
for (const [thread, use] of [
  ["main", useFakeEngine],
  ["worker", useFakeWorker],
])
  describe(`in the ${thread} thread`, () => {
    let calls;
    beforeEach(() => {
      calls = use();
      FakeEngine.requests.length = 0;
      FakeEngine.made.length = 0;
      FakeEngine.beforeLoad = async () => {};
    });

    async function loaded() {
      const model = await TokenFormer.load();
      return { model, engine: FakeEngine.made.at(-1) };
    }

    const rejects = (promise, code) => assert.rejects(promise, { name: "TokenFormerError", code });

    test("load checks everything before the engine is fetched", async () => {
      await rejects(TokenFormer.load("a/b", { temperature: 1 }), "invalid-argument");
      await rejects(TokenFormer.load("nonsense"), "invalid-argument");
      await rejects(TokenFormer.load({ cache: false }), "invalid-argument");
      await rejects(TokenFormer.load("a/b", { signal: AbortSignal.abort() }), "aborted");
      assert.equal(calls.loads, 0);
      assert.throws(() => new TokenFormer(), { code: "invalid-argument" });
    });

    test("info says why it runs where it does, if that is not where it was wanted", async () => {
      const chosen = await engines.get();
      const without = await TokenFormer.load();
      engines.get = async () => ({ load: async (...args) => ({ ...(await chosen.load(...args)), note: "Why." }) });
      const { info } = await TokenFormer.load();
      assert.deepEqual([info.notes, info.thread], [[...(without.info.notes ?? []), "Why."], without.info.thread]);
    });

    test("random checks everything before an engine is asked for", async () => {
      const before = calls.loads;
      for (const args of [[undefined], [5], ["o/n", { workgroups: "8" }], ["o/n", { workgroup: 8 }], ["o/n", null]])
        await assert.rejects(TokenFormer.random(...args), { name: "TokenFormerError", code: "invalid-argument" });
      assert.equal(calls.loads, before);
    });

    test("load hands the engine a complete request and passes progress on", async () => {
      const phases = [];
      const model = await TokenFormer.load("a/b", {
        token: "t",
        contextLength: 64,
        onProgress: (p) => phases.push(p.phase),
      });
      assert.deepEqual(FakeEngine.requests, [
        {
          id: "a/b",
          repository: "a/b",
          folderUrl: null,
          revision: "main",
          endpoint: "https://huggingface.co",
          token: "t",
          quantization: undefined,
          config: undefined,
          contextLength: 64,
          cache: false, // node keeps nothing
          backend: "auto",
        },
      ]);
      assert.deepEqual(phases, ["resolve", "ready"]);
      assert.deepEqual([model.info.id, model.info.thread], ["a/b", thread]);
    });

    test("aborting load rejects at once, and an engine that comes too late is freed", async () => {
      let goOn;
      FakeEngine.beforeLoad = () => new Promise((resolve) => (goOn = resolve));
      const controller = new AbortController();
      const phases = [];
      const loading = TokenFormer.load(undefined, {
        signal: controller.signal,
        onProgress: (p) => phases.push(p.phase),
      });
      while (!goOn) await new Promise(setImmediate);
      controller.abort("why");
      await assert.rejects(loading, { code: "aborted", cause: "why" });
      goOn();
      await becomes(() => [FakeEngine.made[0]?.disposed, FakeEngine.made[0]?.freed], [true, true]);
      assert.ok(phases.length <= 1, "nothing is told after the abort");
    });

    test("the engine's errors keep code and hint; a trap starts a new engine next time", async () => {
      FakeEngine.beforeLoad = async () => {
        throw Object.assign(new Error("Not there."), { code: "model-not-found", hint: "Look." });
      };
      await assert.rejects(TokenFormer.load("a/b"), { code: "model-not-found", message: "Not there.", hint: "Look." });
      FakeEngine.beforeLoad = async () => {};
      const { model } = await loaded();
      await rejects(model.complete("trap"), "device-lost");
      await rejects(model.complete("a"), "device-lost");
      assert.equal(calls.discards, 1);
      await model.dispose();
      assert.equal(model.info.gpuBytes, 0);
    });

    test("a model whose GPU is lost is not handed out, until a call finds another one", async () => {
      const { model } = await loaded();
      assert.equal(isUsable(model), true);
      await rejects(model.complete("lost"), "device-lost");
      assert.deepEqual([isUsable(model), calls.discards], [false, 0]);
      await model.score("a");
      assert.equal(isUsable(model), true);
      await model.dispose();
      assert.equal(isUsable(model), false);
    });

    test("an engine that ends while a model loads is replaced once", async () => {
      for (const [i, end] of [
        () => Promise.reject(Object.assign(new Error("Lost."), { code: "device-lost", hint: "Again." })),
        () => Promise.reject(new WebAssembly.RuntimeError("unreachable")),
        () => calls.stop(new Error("unreachable")),
      ].entries()) {
        FakeEngine.beforeLoad = end;
        await assert.rejects(TokenFormer.load(), { code: "device-lost" });
        FakeEngine.beforeLoad = async () => {};
        await (await loaded()).model.dispose();
        assert.equal(calls.discards, i + 1);
      }
    });

    test("an engine that stops between two steps fails the call, and dispose does not hang", async () => {
      const { model, engine } = await loaded();
      const { model: other } = await loaded();
      await rejects(model.complete("stop"), "device-lost");
      await rejects(model.score("a"), "device-lost");
      await rejects(other.score("a"), "device-lost"); // of the same instance
      assert.ok(calls.discards > 0);
      await model.dispose();
      await other.dispose();
      assert.ok(calls.isGone(engine));
      assert.equal(model.info.gpuBytes, 0);
      FakeEngine.beforeLoad = async () => {
        calls.stop(new Error("unreachable"));
        await new Promise(() => {});
      };
      await rejects(TokenFormer.load(), "device-lost");
    });

    test("an engine that stops while dispose waits for it is let go", async () => {
      const { model, engine } = await loaded();
      const running = model.complete("hang");
      await new Promise((resolve) => setTimeout(resolve, 10));
      const disposal = model.dispose();
      calls.stop(new Error("unreachable"));
      await rejects(running, "device-lost");
      await disposal;
      assert.deepEqual([calls.isGone(engine), model.info.gpuBytes], [true, 0]);
      await rejects(model.score("a"), "disposed");
    });

    test("a generator yields chunks and returns complete's result", async () => {
      const { model, engine } = await loaded();
      const chunks = model.generate("x", { maxTokens: 3, logitBias: { 5: -1, 7: 2 } });
      const texts = [];
      let step;
      while (!(step = await chunks.next()).done) texts.push(step.value.text);
      assert.deepEqual(texts, ["A", "B", "C"]);
      assert.equal(step.value.text, "ABC");
      assert.deepEqual(step.value.options.logitBias, [
        [5, -1],
        [7, 2],
      ]);
      assert.equal("signal" in step.value.options, false);
      assert.deepEqual(await model.complete("x", { maxTokens: 3, logitBias: { 5: -1, 7: 2 } }), step.value);
      await becomes(() => engine.open, 0);
    });

    test("bad prompts and options never reach the engine", async () => {
      const { model, engine } = await loaded();
      for (const prompt of [undefined, 5, [], [1.5], "\ud800", { text: "a" }])
        await rejects(model.complete(prompt), "invalid-argument");
      await rejects(model.complete("a", { seed: "1" }), "invalid-argument");
      await rejects(model.logits("a"), "invalid-argument");
      await rejects(model.encode([1]), "invalid-argument");
      await rejects(model.decode("a"), "invalid-argument");
      assert.deepEqual(engine.log, []);
      await assert.rejects(model.complete("refuse"), { code: "invalid-argument", message: "No.", hint: "Say please." });
      assert.equal((await model.complete("a", { maxTokens: 1 })).text, "A"); // and the turn was given back
    });

    test("calls queue in order, and never overlap in the engine", async () => {
      const { model, engine } = await loaded();
      const results = await Promise.all([
        model.complete("a", { maxTokens: 2 }),
        model.score("b"),
        model.reset(),
        model.logits([1, 2]),
        model.context(),
        model.encode("hé"),
        model.decode([104, 233]),
        model.complete("c", { maxTokens: 1 }),
        model.score([{ text: "d" }]),
      ]);
      assert.deepEqual(engine.log, [
        "start",
        "next",
        "next",
        "next",
        "score",
        "reset",
        "logits",
        "context",
        "start",
        "next",
        "next",
        "score",
      ]);
      assert.deepEqual(results[1], { item: { text: "b", context: "" } });
      assert.deepEqual(results.slice(2, 7), [undefined, new Float32Array(2), [65, 66], [104, 233], "hé"]);
      assert.equal(results[8].length, 1);
    });

    test("a generator holds the queue from its first next to its end; encode does not wait for it", async () => {
      const { model, engine } = await loaded();
      const idle = model.generate("never begun");
      const chunks = model.generate("a", { maxTokens: 2 });
      await chunks.next();
      let scored = false;
      const score = model.score("b").then(() => (scored = true));
      assert.deepEqual(await model.encode("a"), [97]);
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal(scored, false);
      await chunks.next();
      await chunks.next();
      await score;
      await idle.return();
      await becomes(() => engine.open, 0);
    });

    test("break, return and throw free the generation and hand the queue on", async () => {
      const { model, engine } = await loaded();
      for await (const chunk of model.generate("a")) {
        assert.equal(chunk.text, "A");
        break;
      }
      await becomes(() => engine.open, 0);
      const chunks = model.generate("a");
      await chunks.next();
      await assert.rejects(chunks.throw(new Error("mine")), { message: "mine" });
      await becomes(() => engine.open, 0);
      assert.equal((await model.complete("a", { maxTokens: 1 })).text, "A");
    });

    test("aborting generate ends it normally, before, while waiting and in the middle", async () => {
      const { model, engine } = await loaded();
      const before = await model.complete("a", { signal: AbortSignal.abort(), seed: 7 });
      assert.deepEqual([before.text, before.finishReason, before.seed], ["", "abort", 7]);
      assert.deepEqual(engine.log, []);

      const controller = new AbortController();
      const running = model.generate("a", { signal: controller.signal });
      await running.next();
      const waiting = new AbortController();
      const waits = model.complete("b", { signal: waiting.signal });
      waiting.abort();
      assert.equal((await waits).finishReason, "abort"); // without waiting for the other
      controller.abort();
      const { done, value } = await running.next();
      assert.deepEqual([done, value.finishReason, value.text], [true, "abort", "A"]);
      await becomes(() => engine.open, 0);

      const early = new AbortController();
      const starting = model.complete("c", { signal: early.signal });
      setImmediate(() => early.abort());
      assert.equal((await starting).finishReason, "abort");
      assert.equal((await model.complete("a", { maxTokens: 1 })).finishReason, "length");
    });

    test("dispose aborts what runs and waits, then everything later is refused", async () => {
      const { model, engine } = await loaded();
      const running = model.complete("a");
      const queued = model.complete("b");
      const scoring = model.score("c");
      await new Promise((resolve) => setTimeout(resolve, 10));
      const disposal = model.dispose();
      await rejects(model.encode("x"), "disposed");
      assert.equal((await running).finishReason, "abort");
      assert.equal((await queued).finishReason, "abort");
      await rejects(scoring, "aborted");
      await disposal;
      await becomes(() => [engine.disposed, engine.freed, engine.open], [true, true, 0]);
      assert.equal(model.dispose(), disposal);
      assert.equal(model.info.gpuBytes, 0);
      assert.equal(model.info.adapter.vendor, "fake");
      for (const call of [
        () => model.complete("a"),
        () => model.score("a"),
        () => model.logits([1]),
        () => model.decode([1]),
        () => model.reset(),
      ]) {
        await rejects(call(), "disposed");
      }
      await rejects(model.generate("a").next(), "disposed");
    });

    test("dispose aborts a running score", async () => {
      const { model } = await loaded();
      const scoring = model.score("c");
      await new Promise((resolve) => setTimeout(resolve, 3));
      const disposal = model.dispose();
      await rejects(scoring, "aborted");
      await disposal;
    });

    test("dispose inside a loop over a generator neither hangs nor loses its end", async () => {
      const { model, engine } = await loaded();
      const chunks = model.generate("a");
      await chunks.next();
      await model.dispose();
      const { done, value } = await chunks.next();
      assert.deepEqual([done, value.finishReason, value.text], [true, "abort", "A"]);
      await becomes(() => [engine.open, engine.freed], [0, true]);
    });

    test("a progress listener that throws does not stop the loading", async () => {
      const seen = [];
      globalThis.reportError = (error) => seen.push(error.message);
      await TokenFormer.load(undefined, {
        onProgress: () => {
          throw new Error("mine");
        },
      });
      delete globalThis.reportError;
      assert.deepEqual(seen, ["mine", "mine"]);
    });
  });
