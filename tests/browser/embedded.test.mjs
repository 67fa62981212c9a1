// The embedded model in the browser: greedy ids against the CPU reference, and the public interface. On the CPU engine, and
// with `scripts/test full` on a software GPU as well: each text takes that half a minute.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { FULL, modulePage, start } from "./harness.mjs";

/** If the reference's best two logits are closer than this, a different id is no error. */
const MARGIN = 0.02;

const cases = JSON.parse(readFileSync(new URL("../../target/oracle/greedy.json", import.meta.url), "utf8"));

for (const isGpu of FULL ? [false, true] : [false])
  describe(isGpu ? "WebGPU" : "CPU engine", () => {
    let world;
    let page;
    before(async () => {
      world = await start({ webgpu: isGpu });
      page = await modulePage(world);
      await page.evaluate(async () => {
        globalThis.phases = [];
        globalThis.model = await TokenFormer.load(undefined, { onProgress: (p) => phases.push(p) });
      });
    });
    after(() => world?.close());

    const greedy = (prompt, maxTokens) =>
      page.evaluate(
        async ([prompt, maxTokens]) => (await model.complete(prompt, { temperature: 0, maxTokens })).tokenIds,
        [prompt, maxTokens],
      );

    test("there are six prompts of 48 tokens, or less where a text ends", () => {
      assert.ok(cases.length >= 6 && cases.every((c) => c.ids.length === 48 || c.hasEnded));
    });

    // cpu.test.mjs writes all of them on the CPU engine, and firefox.test.mjs on a GPU if Firefox has one.
    for (const { prompt, promptIds, ids, margins } of isGpu ? cases : cases.slice(1, 3)) {
      test(`greedy ids: ${prompt}`, async () => {
        assert.deepEqual(await page.evaluate((text) => model.encode(text), prompt), promptIds);
        let at = 0;
        // After an id that may differ, the reference's own ids are the prompt for the rest.
        while (at < ids.length) {
          const got = await greedy([...promptIds, ...ids.slice(0, at)], ids.length - at);
          const want = ids.slice(at);
          const differs = want.findIndex((id, i) => got[i] !== id);
          if (differs < 0) break;
          const margin = margins[at + differs];
          assert.ok(
            margin < MARGIN,
            `token ${at + differs} is ${got[differs]}, not ${want[differs]} (margin ${margin})`,
          );
          at += differs + 1;
        }
      });
    }

    test("progress is told in order and ends with ready", async () => {
      const phases = await page.evaluate(() => phases);
      const order = ["resolve", "download", "cache", "quantize", "upload", "compile", "ready"];
      const seen = phases.map((p) => order.indexOf(p.phase));
      assert.ok(
        seen.every((p, i) => p >= 0 && (i === 0 || p >= seen[i - 1])),
        phases.map((p) => p.phase).join(),
      );
      const downloads = phases.filter((p) => p.phase === "download");
      assert.equal(downloads.at(-1).loadedBytes, downloads.at(-1).totalBytes);
      assert.equal(phases.at(-1).phase, "ready");
    });

    test("info tells what runs", async () => {
      const info = await page.evaluate(() => model.info);
      assert.equal(info.id, EMBEDDED.name);
      assert.equal(info.quantization, EMBEDDED.quantization);
      assert.equal(info.contextLength, EMBEDDED.contextLength, "as long as the texts that it was trained on");
      // The file consists of its tables and a header.
      assert.ok(Math.abs(info.weightBytes / EMBEDDED.weightBytes - 1) < 0.01 && info.wasmHeapBytes > 0);
      assert.deepEqual(
        [info.backend, info.gpuBytes > info.weightBytes + info.kvBytes],
        isGpu ? ["webgpu", true] : ["cpu", false],
      );
    });

    test("chunks join to the text, and a seed repeats it", async () => {
      const { texts, ids, results } = await page.evaluate(async () => {
        const options = { maxTokens: 10, seed: 7, temperature: 1, topP: 0.9 };
        const [texts, ids, results] = [[], [], []];
        for (let i = 0; i < 2; i++) {
          await model.reset();
          const chunks = model.generate("The king called", options);
          for (;;) {
            const { done, value } = await chunks.next();
            if (done) {
              results.push(value);
              break;
            }
            if (i === 0) {
              texts.push(value.text);
              ids.push(value.tokenId);
            }
          }
        }
        return { texts, ids, results };
      });
      assert.equal(texts.join(""), results[0].text);
      assert.deepEqual(ids, results[0].tokenIds);
      assert.equal(results[0].text, results[1].text);
      assert.equal(results[0].seed, 7);
      assert.equal(results[0].usage.completionTokens, ids.length);
    });

    test("stop strings that span tokens, logprobs, logit bias", async () => {
      const { stopped, biased } = await page.evaluate(async () => {
        const plain = await model.complete("Once upon a time", { temperature: 0, maxTokens: 8 });
        const stop = plain.text.slice(4, 9);
        const stopped = await model.complete("Once upon a time", { temperature: 0, maxTokens: 8, stop: [stop] });
        const chunks = [];
        for await (const c of model.generate("Once", {
          temperature: 0,
          maxTokens: 2,
          logprobs: 3,
          logitBias: { 42: 1000 },
        }))
          chunks.push(c);
        return { stopped: { ...stopped, before: plain.text.slice(0, plain.text.indexOf(stop)) }, biased: chunks };
      });
      assert.equal(stopped.text, stopped.before);
      assert.equal(stopped.finishReason, "stop");
      for (const chunk of biased) {
        assert.equal(chunk.tokenId, 42);
        assert.equal(chunk.topLogprobs.length, 3);
        assert.ok(chunk.logprob < chunk.topLogprobs[0].logprob && chunk.topLogprobs[0].logprob <= 0);
        assert.equal(typeof chunk.topLogprobs[0].text, "string");
      }
    });

    test("a common beginning is not computed again", async () => {
      const [first, second] = await page.evaluate(async () => {
        await model.reset();
        const options = { temperature: 0, maxTokens: 2 };
        const first = await model.complete("It was a cold winter morning, and the", options);
        return [first, await model.complete(`It was a cold winter morning, and the${first.text}`, options)];
      });
      assert.equal(first.usage.cachedPromptTokens, 0);
      assert.ok(second.usage.cachedPromptTokens >= first.usage.promptTokens);
    });

    test("an abort ends the text normally, at any moment", async () => {
      const result = await page.evaluate(async () => {
        const controller = new AbortController();
        let chunks = 0;
        const generator = model.generate("Once upon a time", { maxTokens: 200, signal: controller.signal, seed: 1 });
        for (;;) {
          const { done, value } = await generator.next();
          if (done) return { ...value, chunks };
          if (++chunks === 3) controller.abort();
        }
      });
      assert.equal(result.finishReason, "abort");
      assert.equal(result.tokenIds.length, result.chunks);
      const already = await page.evaluate(() => model.complete("x", { signal: AbortSignal.abort() }));
      assert.equal(already.finishReason, "abort");
      assert.equal(already.text, "");
    });

    test("score agrees with logits", async () => {
      const { score, wanted } = await page.evaluate(async () => {
        const ids = await model.encode("the little girl");
        const score = await model.score("the little girl", { context: "" });
        const logits = await model.logits(ids.slice(0, 1));
        const max = logits.reduce((a, b) => Math.max(a, b));
        const sum = logits.reduce((a, b) => a + Math.exp(b - max), 0);
        return { score, wanted: logits[ids[1]] - max - Math.log(sum) };
      });
      assert.equal(score.logprobs[0], null);
      assert.ok(Math.abs(score.logprobs[1] - wanted) < 2e-3, `${score.logprobs[1]} ${wanted}`);
      assert.equal(typeof score.isGreedy, "boolean");
      const mean = score.logprobs.slice(1).reduce((a, b) => a + b) / (score.logprobs.length - 1);
      assert.ok(Math.abs(score.perplexity - Math.exp(-mean)) < 1e-6 * score.perplexity);
      const pair = await page.evaluate(() =>
        model.score([
          { text: " girl", context: "the little" },
          { text: " boy", context: "the little" },
        ]),
      );
      assert.equal(pair.length, 2);
    });

    test("impossible prompts are refused and nothing is lost", async () => {
      const codes = await page.evaluate(async () => {
        const { padded_vocab_size: ids } = model.info.config;
        const calls = [
          () => model.complete([]),
          () => model.complete([ids]),
          () => model.complete(Array(5000).fill(1)),
          () => model.complete("half \ud83d"),
          () => model.complete("x", { stop: ["\udc00"] }),
          () => model.score("x".repeat(20000)),
          () => model.score(""),
          () => model.logits([-1]),
        ];
        const codes = [];
        for (const call of calls) codes.push((await failure(call))?.code);
        return [...codes, (await model.complete("x", { maxTokens: 1, logitBias: { 0: -1000 } })).finishReason];
      });
      assert.deepEqual(codes, [...Array(8).fill("invalid-argument"), "length"]);
    });

    test("calls queue in order, dispose ends them", async () => {
      const { reasons, later, gpuBytes } = await page.evaluate(async () => {
        const running = model.complete("Once", { maxTokens: 100, seed: 1 });
        const waiting = model.complete("Twice", { maxTokens: 100, seed: 1 });
        await model.encode("let both begin");
        await model.dispose();
        const reasons = [(await running).finishReason, (await waiting).finishReason];
        return { reasons, later: (await failure(() => model.complete("x")))?.code, gpuBytes: model.info.gpuBytes };
      });
      assert.deepEqual(reasons, ["abort", "abort"]);
      assert.equal(later, "disposed");
      assert.equal(gpuBytes, 0);
    });

    test("nothing was complained about in the console", () => assert.deepEqual(page.problems, []));
  });
