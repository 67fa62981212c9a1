// An engine that stops in the middle: every call ends, and the next load works.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { modulePage, onMainThread, start } from "./harness.mjs";

let world;
before(async () => {
  world = await start();
});
after(() => world?.close());

/** A page whose engine runs there. */
async function pageWith(thread) {
  const context = await world.browser.newContext();
  if (thread === "main") await onMainThread(context);
  const page = await modulePage(world, undefined, context);
  /** Where the engine is, once a model is loaded: the page or its worker. */
  page.realm = () => (thread === "main" ? page : page.workers().at(-1));
  return page;
}

for (const thread of ["main", "worker"]) {
  test(`what is thrown between two steps fails the call, dispose ends, and the next load starts anew: ${thread}`, async () => {
    const page = await pageWith(thread);
    const folder = `${world.server.origin}/oracle/fixtures/head64-q4/`;
    const where = await page.evaluate(async (folder) => {
      globalThis.model = await TokenFormer.load(folder);
      globalThis.other = await TokenFormer.load(folder);
      return model.info.thread;
    }, folder);
    assert.equal(where, thread);
    await page.realm().evaluate(() => {
      let left = 3;
      const { submit } = GPUQueue.prototype;
      globalThis.repair = () => (GPUQueue.prototype.submit = submit);
      GPUQueue.prototype.submit = function (commands) {
        if (left-- <= 0) throw new TypeError("broken on purpose");
        return submit.call(this, commands);
      };
    });
    const seen = await page.evaluate(async (folder) => {
      // In the middle of an asynchronous call: no promise hears of it.
      const failed = await failure(() => model.complete([1, 2, 3], { maxTokens: 50, logitBias: { 0: -1000 } }));
      globalThis.repair?.(); // a worker is gone by now
      const later = await failure(() => model.logits([1]));
      const ofTheSame = await failure(() => other.logits([1]));
      await Promise.all([model.dispose(), other.dispose()]);
      const { gpuBytes } = model.info;
      const again = await TokenFormer.load(folder);
      const { tokenIds } = await again.complete([1, 2, 3], { maxTokens: 2, logitBias: { 0: -1000 } });
      await again.dispose();
      return { codes: [failed, later, ofTheSame].map((f) => f?.code), message: failed?.message, gpuBytes, tokens: tokenIds.length };
    }, folder);
    assert.deepEqual(seen.codes, ["device-lost", "device-lost", "device-lost"]);
    assert.match(seen.message, /broken on purpose/);
    assert.deepEqual([seen.gpuBytes, seen.tokens], [0, 2]);
    await page.context().close();
  });
}

for (const thread of ["main", "worker"]) test(`a progress listener that throws, or an event listener, stops nothing: ${thread}`, async () => {
  const page = await pageWith(thread);
  const seen = await page.evaluate(async (origin) => {
    const folder = `${origin}/oracle/fixtures/head64-q4/`;
    const model = await TokenFormer.load(folder, {
      onProgress: () => {
        throw new Error("the page's own mistake");
      },
    });
    const { length } = await model.logits([1, 2]);
    await model.dispose();
    const element = document.body.appendChild(document.createElement("token-former"));
    element.setAttribute("model", folder);
    element.addEventListener("progress", () => {
      throw new Error("the page's own mistake");
    });
    const { info } = await element.load();
    element.remove();
    return { length, id: info.id };
  }, world.server.origin);
  assert.ok(seen.length > 0);
  assert.match(seen.id, /head64-q4/);
  assert.ok(page.problems.some((p) => /own mistake/.test(p)), "the page hears of it");
  await page.context().close();
});

test("contexts of one token, ids out of range and configs that contradict are told by name", async () => {
  const page = await modulePage(world);
  const seen = await page.evaluate(async (origin) => {
    const model = await TokenFormer.load(`${origin}/oracle/fixtures/head64-q8/`, { contextLength: 1 });
    const { length } = await model.logits([5]);
    const noRoom = await failure(() => model.complete([5]));
    await model.dispose();
    const embedded = await TokenFormer.load();
    const decoded = [await failure(() => embedded.decode([999_999])), await embedded.decode([50_303]), await embedded.decode([])];
    await embedded.dispose();
    return { length, noRoom, decoded };
  }, world.server.origin);
  assert.ok(seen.length > 0);
  assert.equal(seen.noRoom.code, "invalid-argument");
  assert.deepEqual([seen.decoded[0].code, seen.decoded[1], seen.decoded[2]], ["invalid-argument", "", ""]);
  await page.close();
});
