// Where the engine runs: in a worker if possible, otherwise on the main thread, with the same results.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { FULL, importModule, modulePage, onMainThread, open, OUTPUT, start } from "./harness.mjs";

let world;
let folder;
before(async () => {
  world = await start({ webgpu: FULL });
  folder = `${world.server.origin}/oracle/fixtures/head64-q4/`;
});
after(() => world?.close());

/** A page of the first origin under a content security policy. */
async function pageUnder(policy, from, prepare) {
  const context = await world.browser.newContext();
  await prepare?.(context);
  const meta = `<meta http-equiv="Content-Security-Policy" content="${policy}">`;
  // From the server: the browser does not let a page that a test makes up load from this host.
  writeFileSync(`${OUTPUT}policy.html`, `<!doctype html><meta charset="utf-8">${meta}<title>policy</title>`);
  return importModule(
    await open(world, `${world.server.origin}/out/policy.html`, { context }),
    from ?? world.server.origin,
  );
}

/** Loads, writes a little, disposes; returns in which thread. */
const write = (page) =>
  page.evaluate(async (folder) => {
    const model = await TokenFormer.load(folder);
    const { tokenIds } = await model.complete([1, 2, 3], { maxTokens: 4, temperature: 0, logitBias: { 0: -1000 } });
    const { thread } = model.info;
    await model.dispose();
    return { thread, tokens: tokenIds.length };
  }, folder);

test("the main thread fetches and compiles no engine; two models share one worker", async (t) => {
  const context = await world.browser.newContext();
  await context.addInitScript(() => {
    globalThis.compiled = 0;
    for (const name of ["instantiate", "instantiateStreaming", "compile", "compileStreaming"]) {
      const real = WebAssembly[name];
      WebAssembly[name] = (...args) => {
        globalThis.compiled += 1;
        return real.apply(WebAssembly, args);
      };
    }
    globalThis.longTasks = [];
    new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
      type: "longtask",
    });
  });
  const page = await modulePage(world, undefined, context);
  const seen = await page.evaluate(async (folder) => {
    const [one, other] = await Promise.all([TokenFormer.load(folder), TokenFormer.load()]);
    longTasks.length = 0;
    const { text } = await other.complete("Once upon a time", { maxTokens: 12, temperature: 0 });
    const logits = await one.logits([1, 2]);
    globalThis.models = [one, other];
    const requested = performance.getEntriesByType("resource").map(({ name }) => name);
    return {
      requested,
      compiled,
      text,
      logits: logits.length,
      threads: models.map(({ info }) => info.thread),
      weightBytes: other.info.weightBytes,
      longTasks,
    };
  }, folder);
  assert.deepEqual(seen.threads, ["worker", "worker"]);
  assert.equal(seen.compiled, 0);
  // The policy lists a worker's scripts as the page's as well, since it is the page that fetches them.
  assert.deepEqual(
    seen.requested.filter((name) => /\.wasm|model\.safetensors|tokenizer\.json/.test(name)),
    [],
  );
  assert.ok(seen.text.length > 0 && seen.logits > 0 && seen.weightBytes > 0.9 * EMBEDDED.weightBytes);
  t.diagnostic(
    `tasks of the main thread above 50 ms while the worker wrote: ${seen.longTasks.map(Math.round).join(", ") || "none"} ms`,
  );
  assert.equal(page.workers().length, 1);
  const there = await page
    .workers()[0]
    .evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  for (const file of ["tokenformer-web_bg.wasm", "model.safetensors"])
    assert.ok(
      there.some((name) => new URL(name).pathname.endsWith(file)),
      file,
    );
  await page.evaluate(() => Promise.all(models.map((model) => model.dispose())));
  assert.deepEqual(page.problems, []);
  await context.close();
});

test("results are those of the main thread, also after a loop was left and after an abort", async () => {
  const runs = [];
  for (const thread of ["main", "worker"]) {
    const context = await world.browser.newContext();
    if (thread === "main") await onMainThread(context);
    const page = await modulePage(world, undefined, context);
    runs.push(
      await page.evaluate(
        async ([folder, thread]) => {
          const model = await TokenFormer.load(folder, { contextLength: 64 });
          if (model.info.thread !== thread) throw new Error(`It runs in the ${model.info.thread} thread.`);
          const prompt = [5, 17, 30, 2, 19];
          const options = { seed: 11, temperature: 1, maxTokens: 40, logitBias: { 0: -1000 }, logprobs: 0 };
          const out = [];
          const taken = [];
          for await (const { tokenId } of model.generate(prompt, options)) if (taken.push(tokenId) === 3) break;
          out.push(taken);
          // The contents of the cache now determine how many of these tokens are computed.
          const whole = await model.complete([...prompt, ...taken, 7], options);
          out.push(whole.tokenIds, whole.seed);
          const controller = new AbortController();
          const chunks = model.generate(prompt, { ...options, signal: controller.signal });
          for (let i = 0; i < 5; i++) await chunks.next();
          controller.abort();
          const { done, value } = await chunks.next();
          out.push([done, value.finishReason, value.tokenIds, value.usage.completionTokens]);
          await model.reset();
          out.push((await model.complete(prompt, options)).tokenIds);
          const withLogprobs = [];
          for await (const chunk of model.generate(prompt, { ...options, logprobs: 2, maxTokens: 3 }))
            withLogprobs.push(chunk);
          out.push(withLogprobs, await model.score([3, 4, 5]), Array.from(await model.logits([1, 2, 3])));
          // Longer than the context, and with the less common samplers and phrases.
          const { contextLength } = model.info;
          const sampling = {
            ...options,
            topNSigma: 2,
            xtc: { probability: 0.5 },
            dry: { multiplier: 0.8 },
            penaltyRange: 9,
          };
          const slide = { ...sampling, overflow: "slide", keep: 2, maxTokens: contextLength };
          const long = await model.complete(prompt, slide);
          const { slides, droppedPromptTokens } = long.usage;
          const seen = await model.context();
          const text = [...prompt, ...long.tokenIds];
          out.push(
            long.tokenIds,
            [slides, droppedPromptTokens],
            seen.slice(0, 2),
            text.slice(0, -1).join().endsWith(seen.slice(2).join()),
          );
          const cached = whole.usage.cachedPromptTokens;
          await model.dispose();
          return { out, cached };
        },
        [folder, thread],
      ),
    );
    await context.close();
  }
  assert.deepEqual(runs[1].out, runs[0].out);
  assert.deepEqual(runs[0].out.slice(-3), [[1, 3], [5, 17], true]);
  assert.ok(
    Math.abs(runs[1].cached - runs[0].cached) <= 1,
    `${runs[1].cached} tokens cached, ${runs[0].cached} on the main thread`,
  );
});

test("the page's own strict policy allows the worker", async () => {
  const page = await pageUnder("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src *");
  assert.deepEqual(await write(page), { thread: "worker", tokens: 4 });
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test("a policy that forbids workers, or their blob from another origin, leaves the main thread", async () => {
  const other = world.other.origin;
  const cases = [
    ["default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src *; worker-src 'none'", undefined],
    [`default-src 'none'; script-src 'self' ${other} 'wasm-unsafe-eval'; connect-src *`, other],
  ];
  for (const [policy, from] of cases) {
    const page = await pageUnder(policy, from);
    assert.deepEqual(await write(page), { thread: "main", tokens: 4 }, policy);
    assert.deepEqual(await write(page), { thread: "main", tokens: 4 }, "and again");
    // The 404 is that of the manifest, which this folder does not have.
    assert.ok(
      page.problems.every((problem) => /Content Security Policy|404/i.test(problem)),
      page.problems.join("\n"),
    );
    await page.context().close();
  }
});

test("a policy without the model's host binds the page's thread, and the worker where it is a header of the worker's script", async () => {
  const strict = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";
  const elsewhere = `${world.other.origin}/oracle/fixtures/head64-q4/`;
  const asHeader = (context) =>
    context.route("**/lib/engine/worker.js*", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, headers: { ...response.headers(), "Content-Security-Policy": strict } });
    });
  for (const [prepare, isBound] of [
    [undefined, false],
    [onMainThread, true],
    [asHeader, true],
  ]) {
    const page = await pageUnder(strict, undefined, prepare);
    const failed = await page.evaluate(
      (folder) => failure(async () => (await TokenFormer.load(folder)).dispose()),
      elsewhere,
    );
    if (isBound) {
      assert.equal(
        (await write(page)).thread,
        prepare === onMainThread ? "main" : "worker",
        "what the policy allows is loaded",
      );
      assert.equal(failed?.code, "network", failed?.message);
      assert.match(failed.message, /Content-Security-Policy/);
      assert.ok(failed.hint.includes(world.other.origin), failed.hint);
    } else {
      assert.equal(failed, null);
    }
    await page.context().close();
  }
});

test("a worker whose files are missing leaves the main thread", async () => {
  const context = await world.browser.newContext();
  await context.route("**/lib/engine/worker.js*", (route) => route.fulfill({ status: 404, body: "" }));
  const page = await modulePage(world, undefined, context);
  assert.deepEqual(await write(page), { thread: "main", tokens: 4 });
  await context.close();
});

test("a worker that dies fails its calls, and the next load starts a new one", async () => {
  const page = await modulePage(world);
  const [model, hanging] = await Promise.all([
    page.evaluateHandle((folder) => TokenFormer.load(folder), folder),
    page.evaluateHandle(() => ({})),
  ]);
  // A text that is not read to its end, and a call that waits for it.
  await page.evaluate(
    async ([model, hanging]) => {
      const chunks = model.generate([1], { maxTokens: 1000, logitBias: { 0: -1000 } });
      await chunks.next();
      const scored = failure(() => model.score([1, 2]));
      hanging.calls = () =>
        Promise.all([
          failure(async () => {
            while (!(await chunks.next()).done);
          }),
          scored,
        ]);
    },
    [model, hanging],
  );
  await page.workers()[0].evaluate(() =>
    setTimeout(() => {
      throw new Error("dies on purpose");
    }),
  );
  const failures = await page.evaluate((hanging) => hanging.calls(), hanging);
  assert.deepEqual(
    failures.map(({ code, isOurs }) => [code, isOurs]),
    [
      ["device-lost", true],
      ["device-lost", true],
    ],
  );
  assert.match(failures[0].message, /dies on purpose/);
  assert.equal(
    await page.evaluate(async (model) => {
      await model.dispose();
      return model.info.gpuBytes;
    }, model),
    0,
  );
  assert.deepEqual(await write(page), { thread: "worker", tokens: 4 });
  await page.close();
});

test("two elements share one engine; removing both frees it", async () => {
  const page = await modulePage(world, world.other.origin);
  const seen = await page.evaluate(async (folder) => {
    const elements = [0, 1].map(() => {
      const element = document.createElement("token-former");
      element.setAttribute("model", folder);
      return document.body.appendChild(element);
    });
    const models = await Promise.all(elements.map((element) => element.load()));
    const [model] = models;
    elements[0].remove();
    await new Promise((resolve) => setTimeout(resolve));
    const still = (await elements[1].generate([1, 2])).tokenIds.length;
    elements[1].remove();
    let later;
    do {
      later = await failure(() => model.logits([1])); // "aborted" for one that is under way
    } while (later?.code !== "disposed");
    await model.dispose(); // ends when everything has been given back
    return { same: models[0] === models[1], still, thread: model.info.thread, later, gpuBytes: model.info.gpuBytes };
  }, folder);
  assert.deepEqual([seen.same, seen.thread, seen.later.code], [true, "worker", "disposed"]);
  assert.ok(seen.still > 0);
  assert.equal(seen.gpuBytes, 0);
  await page.close();
});
