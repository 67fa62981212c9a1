// What happens to a page while a model loads and writes: aborts, other tabs, sleep, leaving and coming back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enginePage, FULL, importModule, modulePage, start, until } from "./harness.mjs";

/** The CPU engine, and a software GPU for work that a faster engine would have finished before it can be disturbed. */
let world;
let gpu;
let folder;
before(async () => {
  // Playwright switches the back/forward cache off, which browsers have (but not Chromium's headless shell: there a page
  // that is revisited is loaded again, and freezing is tested by itself).
  const options = { ignoreDefaultArgs: ["--disable-back-forward-cache"] };
  gpu = await start(options);
  world = FULL ? gpu : await start({ ...options, webgpu: false });
  folder = `${world.server.origin}/oracle/fixtures/head64-q4/`;
});
after(() => Promise.all([gpu?.close(), world === gpu || world?.close()]));

/** Greedy, so that the text is the same wherever it is written. */
const OPTIONS = { maxTokens: 24, temperature: 0, logitBias: { 0: -1000 } };

/** Loads a model as `globalThis.model`, and writes its text. */
const write = (page) =>
  page.evaluate(
    async ([folder, options]) => {
      globalThis.model ??= await TokenFormer.load(folder);
      return (await model.complete([1, 2, 3], options)).tokenIds;
    },
    [folder, OPTIONS],
  );

for (const thread of ["main", "worker"])
  test(`a load is aborted in every phase, and the next one works: ${thread}`, async () => {
    const page = await enginePage(world, thread);
    // Only a GPU compiles kernels.
    const phases = ["resolve", "download", ...(FULL ? ["compile"] : [])];
    const seen = await page.evaluate(
      async ([folder, phases]) => {
        const seen = [];
        const abortAt = async (phase) => {
          const controller = new AbortController();
          const onProgress = (p) => p.phase === phase && controller.abort();
          const error = await failure(() => TokenFormer.load(folder, { signal: controller.signal, onProgress }));
          seen.push([phase, error?.code]);
        };
        for (const phase of phases) await abortAt(phase);
        // What was downloaded until then, or by a load that is not aborted.
        await (await TokenFormer.load(folder)).dispose();
        await abortAt("cache");
        return seen;
      },
      [folder, phases],
    );
    for (const [phase, code] of seen) assert.equal(code, "aborted", phase);
    assert.equal((await write(page)).length, OPTIONS.maxTokens);
    await until(page, async () => (await navigator.locks.query()).held.length === 0);
    assert.deepEqual(
      page.problems.filter((p) => !/404/.test(p)),
      [],
    ); // the folder has no tokenizer
    await page.context().close();
  });

test("two tabs write at the same time, and one that is closed in the middle disturbs nobody", async () => {
  const context = await world.browser.newContext();
  const pages = await Promise.all([0, 1, 2].map(() => modulePage(world, undefined, context)));
  const [first, second] = await Promise.all(pages.slice(0, 2).map(write));
  assert.deepEqual(first, second);
  const closed = write(pages[2]).catch(() => null);
  const again = write(pages[0]);
  await pages[2].close();
  await closed;
  assert.deepEqual(await again, first);
  await context.close();
});

test("a page that is frozen in the middle of a text goes on with it", async () => {
  const context = await gpu.browser.newContext();
  const page = await modulePage(gpu, undefined, context);
  const calm = await write(page);
  await page.evaluate(async (options) => {
    globalThis.written = 0;
    globalThis.whole = (async () => {
      for await (const { tokenId } of model.generate([1, 2, 3], options))
        globalThis.written += Number.isInteger(tokenId);
      return (await model.complete([1, 2, 3], options)).tokenIds;
    })();
    // Some have arrived, not all.
    while (written < 2) await new Promise((resolve) => setTimeout(resolve));
  }, OPTIONS);
  const session = await context.newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await session.send("Page.setWebLifecycleState", { state: "active" });
  assert.deepEqual(await page.evaluate(() => whole), calm);
  assert.equal(await page.evaluate(() => written), OPTIONS.maxTokens);
  await context.close();
});

test("who leaves in the middle of a text and comes back can go on, whether or not the page was kept", async (t) => {
  const context = await world.browser.newContext();
  const page = await modulePage(world, undefined, context);
  const calm = await write(page);
  await page.evaluate(
    (options) =>
      new Promise((begun) => {
        const isBack = new Promise((resolve) =>
          addEventListener("pageshow", (event) => {
            globalThis.wasKept = event.persisted;
            resolve();
          }),
        );
        // Some have arrived; the reader takes no more until then, however fast they are made.
        void (async () => {
          let written = 0;
          for await (const _ of model.generate([1, 2, 3], options)) {
            written += 1;
            if (written !== 2) continue;
            begun();
            await isBack;
          }
        })().catch((error) => (globalThis.broke = error.code));
      }),
    OPTIONS,
  );
  await page.goto(`${world.server.origin}/blank/?elsewhere`);
  await page.goBack();
  const wasKept = await page.evaluate(() => globalThis.wasKept === true);
  t.diagnostic(wasKept ? "the page came out of the back/forward cache" : "the page was loaded anew");
  if (!wasKept) await importModule(page, world.server.origin);
  assert.deepEqual(await write(page), calm);
  assert.equal(await page.evaluate(() => globalThis.broke), undefined);
  await context.close();
});

test("storage that is cleared meanwhile stops nothing, not even if the device is lost then", async () => {
  const page = await enginePage(gpu, "main", () => {
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      globalThis.device = await requestDevice.call(this, descriptor);
      return device;
    };
  });
  const calm = await write(page);
  const session = await page.context().newCDPSession(page);
  const { origin } = gpu.server;
  await session.send("Storage.clearDataForOrigin", { origin, storageTypes: "indexeddb" });
  assert.deepEqual(await write(page), calm);
  await page.evaluate(() => device.destroy());
  assert.deepEqual(await write(page), calm);
  assert.equal(
    await page.evaluate(() => TokenFormer.models().then((models) => models.length)),
    1,
    "it is stored again",
  );
  await page.context().close();
});

test("dispose in the middle of a text ends it, and of a load that goes on for others nothing", async () => {
  const page = await enginePage(world, "worker");
  const seen = await page.evaluate(
    async ([folder, options]) => {
      const [one, other] = await Promise.all([TokenFormer.load(folder), TokenFormer.load(folder)]);
      let count = 0;
      let end;
      const running = (async () => {
        const chunks = one.generate([1, 2, 3], { ...options, maxTokens: 200 });
        for (;;) {
          const { done, value } = await chunks.next();
          if (done) return value;
          count += 1;
          if (count === 3) end = one.dispose();
        }
      })();
      const { finishReason } = await running;
      await end;
      const later = await failure(() => one.complete([1], options));
      const { tokenIds } = await other.complete([1, 2, 3], options);
      await other.dispose();
      return {
        finishReason,
        later: later.code,
        tokens: tokenIds.length,
        left: [one.info.gpuBytes, other.info.gpuBytes],
      };
    },
    [folder, OPTIONS],
  );
  assert.deepEqual(seen, { finishReason: "abort", later: "disposed", tokens: OPTIONS.maxTokens, left: [0, 0] });
  await page.context().close();
});
