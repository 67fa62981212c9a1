// Several texts at once: what the module does with an engine that writes them.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { beforeEach, describe, test } from "node:test";
import { TokenFormer } from "../../www/lib/api/model.js";
import { seedAfter } from "../../www/lib/seeds.js";
import { becomes, endWorkers, FakeEngine, useFakeEngine, useFakeWorker } from "./fake-engine.mjs";

const LAST_SEED = Number.MAX_SAFE_INTEGER;

/** Collects everything: the chunks, each text joined, and the result. */
async function taken(generator, onChunk = async () => {}) {
  const chunks = [];
  const texts = [];
  for (;;) {
    const { done, value } = await generator.next();
    if (done) return { chunks, texts, results: value };
    chunks.push(value);
    texts[value.index] = (texts[value.index] ?? "") + value.text;
    await onChunk(value, chunks.length);
  }
}

/** The chunks of every text join to its result's. */
function assertJoined({ texts, results }) {
  assert.deepEqual(
    results.map((_, index) => texts[index] ?? ""),
    results.map(({ text }) => text),
  );
}

/** The engine has nothing left over: `encode` takes its turn after the freeing. */
async function assertFreed(model, engine) {
  await model.encode("x");
  assert.equal(engine.open, 0);
}

const reasonsOf = ({ results }) => results.map(({ finishReason }) => finishReason);
const lengthsOf = ({ results }) => results.map(({ tokenIds }) => tokenIds.length);
const seedsOf = ({ results }) => results.map(({ seed }) => seed);
const controllers = (n) => Array.from({ length: n }, () => new AbortController());
const signalsOf = (list) => list.map(({ signal }) => signal);
const listenersOf = (list) => list.map(({ signal }) => getEventListeners(signal, "abort").length);

for (const [thread, use] of [
  ["main", useFakeEngine],
  ["worker", useFakeWorker],
])
  describe(`in the ${thread} thread`, () => {
    let calls;
    beforeEach(() => {
      calls = use();
      FakeEngine.made.length = 0;
      FakeEngine.beforeLoad = async () => {};
    });

    async function loaded(name = "a/b") {
      const model = await TokenFormer.load(name);
      return { model, engine: FakeEngine.made.at(-1) };
    }

    const rejects = (promise, code) => assert.rejects(promise, { name: "TokenFormerError", code });

    test("chunks come mixed, each with the number of its text; results are in the order of the seeds", async () => {
      const { model, engine } = await loaded();
      engine.ends = { 8: 1, 9: 5 };
      const written = await taken(model.alternatives("x", { n: 4, seed: 7, maxTokens: 3, logitBias: { 5: -1 } }));
      assertJoined(written);
      assert.deepEqual(
        written.chunks.map(({ index, text }) => `${index}${text}`),
        ["0A", "1A", "2A", "3A", "0B", "2B", "3B", "0C", "2C", "3C"],
      );
      assert.deepEqual(Object.keys(written.chunks[0]).toSorted(), ["index", "text", "tokenId"]);
      assert.deepEqual(reasonsOf(written), ["length", "stop", "length", "length"]);
      assert.deepEqual(seedsOf(written), [7, 8, 9, 10]);
      assert.deepEqual(engine.prompts, ["x", "x", "x", "x"]);
      const { options } = engine.several;
      assert.deepEqual(options.logitBias, [[5, -1]]);
      for (const name of ["n", "signal", "signals"]) assert.equal(name in options, false, name);
      await assertFreed(model, engine);
    });

    test("logprobs come with the chunks, and a prompt may be ids", async () => {
      const { model, engine } = await loaded();
      const { chunks } = await taken(model.alternatives([5, 6], { n: 2, maxTokens: 2, logprobs: 1 }));
      assert.ok(chunks.every(({ logprob, topLogprobs }) => logprob === -4 && topLogprobs.length === 1));
      assert.deepEqual(engine.prompts, [Uint32Array.of(5, 6), Uint32Array.of(5, 6)]);
    });

    test("one is enough, and 128 are asked of the engine at once", async () => {
      const { model, engine } = await loaded();
      const one = await taken(model.alternatives("x", { seed: 3, maxTokens: 2 }));
      assert.deepEqual([seedsOf(one), lengthsOf(one)], [[3], [2]]);
      const many = await taken(model.alternatives("x", { n: 128, seed: 3, maxTokens: 1 }));
      assertJoined(many);
      assert.deepEqual(
        seedsOf(many),
        Array.from({ length: 128 }, (_, i) => 3 + i),
      );
      assert.equal(engine.log.filter((call) => call === "start").length, 2);
    });

    test("after the last seed comes 0; without a seed they follow a random one", async () => {
      const { model } = await loaded();
      const end = await taken(model.alternatives("x", { n: 4, seed: LAST_SEED - 1, maxTokens: 1 }));
      assert.deepEqual(seedsOf(end), [LAST_SEED - 1, LAST_SEED, 0, 1]);
      const first = seedsOf(await taken(model.alternatives("x", { n: 2, maxTokens: 1 })));
      const second = seedsOf(await taken(model.alternatives("x", { n: 2, maxTokens: 1 })));
      for (const [seed, next] of [first, second]) assert.equal(next, seedAfter(seed, 1));
      assert.notDeepEqual(first, second);
    });

    test("bad arguments never reach the engine", async () => {
      const { model, engine } = await loaded();
      const { signal } = new AbortController();
      for (const options of [
        { n: 0 },
        { n: 129 },
        { n: 1.5 },
        { n: "2" },
        { n: 2, signals: signal },
        { n: 2, signals: [signal, "no"] },
        { n: 2, signals: [false] },
        { n: 2, signals: [null, null, signal] },
        { n: 2, signal: [signal] },
        { n: 2, seed: -1 },
        { n: 2, best: 1 },
        null,
      ])
        await rejects(model.alternatives("x", options).next(), "invalid-argument");
      for (const prompt of [undefined, 5, [], "\ud800"])
        await rejects(model.alternatives(prompt, { n: 2 }).next(), "invalid-argument");
      await assert.rejects(model.alternatives("x", { n: 2, signals: [null, null, signal] }).next(), /3 .*n is 2/);
      await rejects(model.complete("x", { n: 2 }), "invalid-argument");
      await rejects(model.complete("x", { signals: [] }), "invalid-argument");
      assert.deepEqual(engine.log, []);
      const holes = [, undefined, null, signal]; // eslint-disable-line no-sparse-arrays
      assert.deepEqual(
        lengthsOf(await taken(model.alternatives("x", { n: 4, signals: holes, maxTokens: 1 }))),
        [1, 1, 1, 1],
      );
    });

    test("one that is aborted ends alone, with what was written of it", async () => {
      const { model, engine } = await loaded();
      const own = controllers(3);
      const options = { n: 3, maxTokens: 60, signals: signalsOf(own) };
      const written = await taken(model.alternatives("x", options), async ({ index }) => {
        if (index === 1) own[1].abort();
      });
      assertJoined(written);
      assert.deepEqual(reasonsOf(written), ["length", "abort", "length"]);
      const [first, second, third] = lengthsOf(written);
      assert.deepEqual([first, third], [60, 60]);
      assert.ok(second >= 1 && second < 30, `${second} tokens`);
      assert.deepEqual(listenersOf(own), [0, 0, 0]);
      assert.equal(engine.log.filter((call) => call === "abort 1").length, 1);
      own[0].abort(); // nobody listens any more
      await assertFreed(model, engine);
    });

    test("one that was aborted before is not written, and the others keep their numbers", async () => {
      const { model, engine } = await loaded();
      const own = controllers(4);
      own[0].abort();
      own[2].abort();
      const options = { n: 4, seed: 20, maxTokens: 60, signals: signalsOf(own) };
      const written = await taken(model.alternatives("x", options), async ({ index }) => {
        assert.ok(index === 1 || index === 3, `${index}`);
        if (index === 3) own[3].abort();
      });
      assertJoined(written);
      assert.deepEqual(reasonsOf(written), ["abort", "length", "abort", "abort"]);
      assert.deepEqual(seedsOf(written), [20, 21, 22, 23]);
      const [none, , , some] = written.results;
      assert.deepEqual([none.text, none.tokenIds, none.usage.promptTokens], ["", [], 0]);
      assert.ok(some.tokenIds.length > 0 && some.tokenIds.length < 30);
      assert.ok(engine.log.includes("abort 1"), "by its place among those that the engine has");
      assert.deepEqual(engine.prompts.length, 2);
    });

    test("where all were aborted before nothing is asked of the engine", async () => {
      const { model, engine } = await loaded();
      const aborted = AbortSignal.abort();
      for (const options of [{ signals: [aborted, aborted] }, { signal: aborted }]) {
        const written = await taken(model.alternatives("x", { n: 2, seed: 5, ...options }));
        assert.deepEqual(
          [reasonsOf(written), seedsOf(written)],
          [
            ["abort", "abort"],
            [5, 6],
          ],
        );
      }
      assert.deepEqual(engine.log, []);
    });

    test("they wait for their turn; aborted one by one, they leave the queue once none is left", async () => {
      const { model, engine } = await loaded();
      const before = model.generate("first", { maxTokens: 2 });
      await before.next();
      const own = controllers(2);
      const leaves = taken(model.alternatives("never", { n: 2, signals: signalsOf(own) }));
      const partly = controllers(2);
      const waits = taken(model.alternatives("second", { n: 2, maxTokens: 2, signals: signalsOf(partly) }));
      const last = model.complete("third", { maxTokens: 1 });
      own[0].abort();
      partly[0].abort();
      own[1].abort();
      assert.deepEqual(reasonsOf(await leaves), ["abort", "abort"]); // without waiting for the first
      assert.deepEqual(engine.prompts, ["first"]);
      await before.return();
      assert.deepEqual(reasonsOf(await waits), ["abort", "length"]);
      assert.equal((await last).text, "A");
      assert.deepEqual(engine.prompts, ["first", "second", "third"]);
      assert.deepEqual(listenersOf([...own, ...partly]), [0, 0, 0, 0]);
    });

    test("aborts while the prompt is read count: of one, of all one by one, and of the whole", async () => {
      const { model, engine } = await loaded();
      const starting = async (n, abort) => {
        const own = controllers(n);
        const whole = new AbortController();
        const { signal } = whole;
        const ends = taken(model.alternatives("long", { n, maxTokens: 2, signals: signalsOf(own), signal }));
        const asked = engine.prompts.length;
        await becomes(() => engine.prompts.length > asked && engine.busy === "start", true);
        abort(own, whole);
        const written = await ends;
        assert.deepEqual(listenersOf([...own, whole]), Array(n + 1).fill(0));
        await assertFreed(model, engine);
        return written;
      };
      const one = await starting(2, ([first]) => first.abort());
      assert.deepEqual([reasonsOf(one), lengthsOf(one)[1]], [["abort", "length"], 2]);
      assertJoined(one);
      const each = await starting(2, (own) => own.forEach((controller) => controller.abort()));
      assert.deepEqual(lengthsOf(each), [0, 0]);
      const all = await starting(2, (_, whole) => whole.abort());
      assert.deepEqual(
        [reasonsOf(all), lengthsOf(all)],
        [
          ["abort", "abort"],
          [0, 0],
        ],
      );
    });

    test("an abort of the whole lets come what was written, and ends", async () => {
      const { model, engine } = await loaded();
      const controller = new AbortController();
      const options = { n: 3, seed: 1, maxTokens: 200, signal: controller.signal };
      engine.ends = { 2: 2 };
      let writtenThen = 0;
      const written = await taken(model.alternatives("x", options), async (_, count) => {
        if (count !== 12) return;
        for (let turns = 0; turns < 3; turns++) await model.encode("x"); // the writer may go ahead
        controller.abort();
        writtenThen = engine.several.written;
      });
      assertJoined(written);
      assert.deepEqual(reasonsOf(written), ["abort", "stop", "abort"]);
      const count = written.chunks.length;
      assert.equal(count, engine.several.written);
      assert.ok(count >= writtenThen && count <= writtenThen + 20, `${count} of ${writtenThen} that were written`);
      assert.deepEqual(listenersOf([controller]), [0]);
      await assertFreed(model, engine);
      assert.equal((await model.complete("a", { maxTokens: 1 })).text, "A");
    });

    test("break, return and throw free the texts and hand the queue on", async () => {
      const { model, engine } = await loaded();
      const own = controllers(2);
      const options = { n: 2, signals: signalsOf(own) };
      for await (const { index, text } of model.alternatives("x", options)) {
        assert.deepEqual([index, text], [0, "A"]);
        break;
      }
      await assertFreed(model, engine);
      assert.ok(engine.several.written < 100, "nobody writes on");
      const returned = model.alternatives("x", options);
      await returned.next();
      assert.deepEqual(await returned.return("mine"), { done: true, value: "mine" });
      await assertFreed(model, engine);
      const thrown = model.alternatives("x", options);
      await thrown.next();
      await assert.rejects(thrown.throw(new Error("mine")), { message: "mine" });
      await assertFreed(model, engine);
      await model.alternatives("never begun", options).return();
      assert.deepEqual(listenersOf(own), [0, 0]);
      assert.equal((await model.complete("a", { maxTokens: 1 })).text, "A");
    });

    test("an error in the middle rejects once, after what was written, and frees", async () => {
      const { model, engine } = await loaded("o/fails");
      const own = controllers(2);
      const generator = model.alternatives("x", { n: 2, signals: signalsOf(own) });
      const texts = [];
      await assert.rejects(
        async () => {
          for await (const { text } of generator) texts.push(text);
        },
        { code: "out-of-memory", message: "No room." },
      );
      assert.deepEqual(texts, ["A", "A", "B", "B"]);
      assert.deepEqual(await generator.next(), { done: true, value: undefined });
      assert.deepEqual(listenersOf(own), [0, 0]);
      await assertFreed(model, engine);
      assert.equal((await model.complete("a", { maxTokens: 1 })).text, "A");
    });

    test("an engine that fails at an abort leaves what was written before", async () => {
      const { model, engine } = await loaded();
      const several = { written: 0, isAborted: false, isFree: false, result: () => [] };
      several.next = async () => {
        if (several.isAborted) throw Object.assign(new Error("No room."), { code: "out-of-memory" });
        several.written += 1;
        return { index: 0, text: "a", tokenId: 97 };
      };
      several.abort = () => (several.isAborted = true);
      several.free = () => (several.isFree = true);
      engine.startSeveral = async () => several;
      const controller = new AbortController();
      const generator = model.alternatives("x", { signal: controller.signal });
      await generator.next();
      await model.encode("x"); // the writer may go ahead
      controller.abort();
      let count = 1;
      await assert.rejects(
        async () => {
          for await (const { text } of generator) count += text.length;
        },
        { code: "out-of-memory" },
      );
      assert.equal(count, several.written);
      await becomes(() => several.isFree, true);
    });

    test("an engine that stops in the middle, or while it reads the prompt, is lost", async () => {
      const { model } = await loaded("o/traps");
      const own = controllers(2);
      await rejects(taken(model.alternatives("x", { n: 2, signals: signalsOf(own) })), "device-lost");
      await rejects(taken(model.alternatives("x", { n: 2 })), "device-lost");
      assert.deepEqual([listenersOf(own), calls.discards], [[0, 0], 1]);
      own[0].abort();
      await model.dispose();
      const { model: other } = await loaded();
      await rejects(taken(other.alternatives("trap", { n: 2 })), "device-lost");
      const { model: third, engine } = await loaded();
      const hanging = taken(third.alternatives("hang", { n: 2 }));
      await becomes(() => engine.busy, "start");
      calls.stop(new Error("unreachable"));
      await rejects(hanging, "device-lost");
      await third.dispose();
      assert.ok(calls.isGone(engine));
    });

    test("dispose in the middle keeps what was written, and neither hangs nor loses the end", async () => {
      const { model, engine } = await loaded();
      const own = controllers(2);
      const generator = model.alternatives("x", { n: 2, signals: signalsOf(own) });
      const first = await generator.next();
      await model.dispose();
      own[1].abort(); // too late for an engine that is gone
      const { chunks, texts, results } = await taken(generator);
      texts[first.value.index] = first.value.text + (texts[first.value.index] ?? "");
      assertJoined({ texts, results });
      assert.deepEqual(reasonsOf({ results }), ["abort", "abort"]);
      assert.equal(chunks.length + 1, engine.several.written);
      await becomes(() => [engine.open, engine.freed], [0, true]);
      await rejects(model.alternatives("x", { n: 2 }).next(), "disposed");
      assert.deepEqual(listenersOf(own), [0, 0]);
    });

    test("encode works inside the loop", async () => {
      const { model } = await loaded();
      const seen = [];
      await taken(model.alternatives("x", { n: 2, maxTokens: 10 }), async ({ text, tokenId }) => {
        seen.push((await model.encode(text))[0] === tokenId);
      });
      assert.deepEqual([seen.length, seen.every(Boolean)], [20, true]);
    });

    if (thread === "worker") {
      test("a worker that dies in the middle rejects once, after what had come", async () => {
        const { model } = await loaded();
        const own = controllers(2);
        const generator = model.alternatives("x", { n: 2, signals: signalsOf(own) });
        await generator.next();
        const worker = endWorkers.all.at(-1);
        worker.onerror({ message: "Uncaught TypeError: broken" });
        own[0].abort();
        await rejects(taken(generator), "device-lost");
        assert.deepEqual(await generator.next(), { done: true, value: undefined });
        assert.deepEqual([worker.isTerminated, listenersOf(own)], [true, [0, 0]]);
        await model.dispose();
        assert.equal(model.info.gpuBytes, 0);
      });

      test("a reader that stops taking stops the writer", async () => {
        const { model, engine } = await loaded();
        const generator = model.alternatives("x", { n: 8, maxTokens: 100 });
        await generator.next();
        for (let last = -1; last !== engine.several.written;) {
          last = engine.several.written;
          for (let turns = 0; turns < 3; turns++) await model.encode("x");
        }
        const { written } = engine.several;
        assert.ok(written >= 64 && written <= 64 + 8, `${written} written`); // eight steps, and a token of each is held back
        await generator.return();
      });
    }
  });

test("a seed's successors", () => {
  assert.deepEqual(
    [seedAfter(0, 0), seedAfter(7, 127), seedAfter(LAST_SEED - 1, 1), seedAfter(LAST_SEED, 0)],
    [0, 134, LAST_SEED, LAST_SEED],
  );
  assert.deepEqual([seedAfter(LAST_SEED, 1), seedAfter(LAST_SEED - 2, 5)], [0, 2]);
});
