// An engine that stops in the middle: every call ends, and the next load works.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { enginePage, evaluateInEngine, FULL, modulePage, OUTPUT, relativeError, start } from "./harness.mjs";
import { withTokenizer } from "./small-models.mjs";

let world;
before(async () => {
  world = await start();
});
after(() => world?.close());

/** A page whose engine runs in the given thread, after `code` ran there. */
async function pageWith(thread, code) {
  const page = await enginePage(world, thread, code);
  /** Where the engine is, once a model is loaded: on the page or in its worker. */
  page.realm = () => (thread === "main" ? page : page.workers().at(-1));
  return page;
}

// None of this depends on the engine: the CPU engine compiles nothing.
const BACKEND = FULL ? "webgpu" : "cpu";

// The short tier runs only one thread: every load on a software GPU compiles for seconds.
for (const thread of FULL ? ["main", "worker"] : ["worker"]) {
  test(`what is thrown between two steps fails the call, dispose ends, and the next load starts anew: ${thread}`, async () => {
    const page = await pageWith(thread);
    const folder = `${world.server.origin}/oracle/fixtures/head64-q4/`;
    // The failure needs the GPU. The model beside it and the next one share its thread, on whichever engine they run.
    const where = await page.evaluate(
      async ([folder, backend]) => {
        globalThis.model = await TokenFormer.load(folder);
        globalThis.other = await TokenFormer.load(folder, { backend });
        return model.info.thread;
      },
      [folder, BACKEND],
    );
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
    const seen = await page.evaluate(
      async ([folder, backend]) => {
        // In the middle of an asynchronous call: no promise rejects.
        const failed = await failure(() => model.complete([1, 2, 3], { maxTokens: 50, logitBias: { 0: -1000 } }));
        globalThis.repair?.(); // a worker is gone by now
        const later = await failure(() => model.logits([1]));
        const ofTheSame = await failure(() => other.logits([1]));
        await Promise.all([model.dispose(), other.dispose()]);
        const { gpuBytes } = model.info;
        const again = await TokenFormer.load(folder, { backend });
        const { tokenIds } = await again.complete([1, 2, 3], { maxTokens: 2, logitBias: { 0: -1000 } });
        await again.dispose();
        return {
          codes: [failed, later, ofTheSame].map((f) => f?.code),
          message: failed?.message,
          gpuBytes,
          tokens: tokenIds.length,
        };
      },
      [folder, BACKEND],
    );
    assert.deepEqual(seen.codes, ["device-lost", "device-lost", "device-lost"]);
    assert.match(seen.message, /broken on purpose/);
    assert.deepEqual([seen.gpuBytes, seen.tokens], [0, 2]);
    await page.context().close();
  });
}

for (const thread of ["main", "worker"])
  test(`a progress listener that throws, or an event listener, stops nothing: ${thread}`, async () => {
    const page = await pageWith(thread);
    const seen = await page.evaluate(
      async ([origin, backend]) => {
        const folder = `${origin}/oracle/fixtures/head64-q4/`;
        const model = await TokenFormer.load(folder, {
          backend,
          onProgress: () => {
            throw new Error("the page's own mistake");
          },
        });
        const { length } = await model.logits([1, 2]);
        await model.dispose();
        const element = document.body.appendChild(document.createElement("token-former"));
        element.setAttribute("model", folder);
        element.setAttribute("backend", backend);
        element.addEventListener("progress", () => {
          throw new Error("the page's own mistake");
        });
        const { info } = await element.load();
        element.remove();
        return { length, id: info.id };
      },
      [world.server.origin, BACKEND],
    );
    assert.ok(seen.length > 0);
    assert.match(seen.id, /head64-q4/);
    assert.ok(
      page.problems.some((p) => /own mistake/.test(p)),
      "the page hears of it",
    );
    await page.context().close();
  });

test("contexts of one token, ids out of range and configs that contradict are told by name", async () => {
  // The tokenizer has 400 of its 512 ids.
  const fixture = fileURLToPath(new URL("../../target/oracle/fixtures/head64-q4", import.meta.url));
  withTokenizer(fixture, ["config.json", "model.safetensors"], 400, `${OUTPUT}fewer-ids`);
  const page = await modulePage(world);
  const seen = await page.evaluate(
    async ([origin, backend]) => {
      const model = await TokenFormer.load(`${origin}/oracle/fixtures/head64-q8/`, { contextLength: 1, backend });
      const { length } = await model.logits([5]);
      const noRoom = await failure(() => model.complete([5]));
      await model.dispose();
      const writer = await TokenFormer.load(`${origin}/out/fewer-ids/`, { cache: false, backend });
      const decoded = [
        await failure(() => writer.decode([999_999])),
        await writer.decode([511]),
        await writer.decode([]),
      ];
      await writer.dispose();
      return { length, noRoom, decoded };
    },
    [world.server.origin, BACKEND],
  );
  assert.ok(seen.length > 0);
  assert.equal(seen.noRoom.code, "invalid-argument");
  assert.deepEqual([seen.decoded[0].code, seen.decoded[1], seen.decoded[2]], ["invalid-argument", "", ""]);
  await page.close();
});

/** Makes `destroyAfter(n)` destroy the device at the nth call to it from then on. */
function losesDevices() {
  let left = Infinity;
  let destroyed = 0;
  const devices = new WeakMap();
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    devices.set(device.queue, device);
    return device;
  };
  const count = (prototype, name, deviceOf) => {
    const call = prototype[name];
    prototype[name] = function (...args) {
      calls += 1;
      if ((left -= 1) === 0) {
        destroyed += 1;
        deviceOf(this).destroy();
      }
      return call.apply(this, args);
    };
  };
  for (const name of ["submit", "writeBuffer"]) count(GPUQueue.prototype, name, (queue) => devices.get(queue));
  for (const name of ["createBuffer", "createComputePipelineAsync"])
    count(GPUDevice.prototype, name, (device) => device);
  let calls = 0;
  globalThis.destroyAfter = (n) => ((left = n), (calls = 0));
  globalThis.calls = () => calls;
  globalThis.destroyed = () => destroyed;
}

for (const thread of FULL ? ["main", "worker"] : ["worker"]) {
  test(`a device that is lost, whenever, is replaced, and the text is the same: ${thread}`, async (t) => {
    const page = await pageWith(thread, losesDevices);
    // Every device compiles for seconds on the CPU. The short tier loses one, in a text, in several or while loading, as
    // chance has it; the full tier ten in each.
    const moments = FULL ? 10 : 1;
    const lot = Math.floor(3 * Math.random());
    const folder = `${world.server.origin}/oracle/fixtures/head64-q4/`;
    const destroyAfter = (calls) => evaluateInEngine(page, thread, (calls) => destroyAfter(calls), calls);
    const destroyed = () => evaluateInEngine(page, thread, () => destroyed());
    await page.evaluate(() => {
      /** What a model writes in two completions, the second of which resumes where the first was cut. */
      globalThis.write = async (model) => {
        const options = { maxTokens: 20, temperature: 1, frequencyPenalty: 0.3, seed: 7, logitBias: { 0: -1000 } };
        await model.reset();
        const prompt = Array.from({ length: 37 }, (_, i) => (i * 31) % 200);
        const first = await model.complete(prompt, options);
        const second = await model.complete([...prompt, ...first.tokenIds.slice(0, 11), 3], options);
        return [first.tokenIds, second.tokenIds, Array.from(await model.logits([5, 6, 7]))];
      };
      /** Four texts at once, from one prompt. */
      globalThis.writeSeveral = async (model) => {
        await model.reset();
        const texts = model.alternatives([7, 5, 3], { n: 4, seed: 6, maxTokens: 12, logitBias: { 0: -1000 } });
        const chunks = [[], [], [], []];
        for await (const { index, tokenId } of texts) chunks[index].push(tokenId);
        return chunks;
      };
    });
    /** Runs `work` in the page, and counts the calls to the device that it made. */
    const counted = async (work) => {
      await destroyAfter(Infinity);
      return [await page.evaluate(work, folder), await evaluateInEngine(page, thread, () => calls())];
    };
    const [, callsOfLoad] = await counted(async (folder) => {
      globalThis.model = await TokenFormer.load(folder);
    });
    const [calm, callsOfText] = await counted(() => write(model));
    const [several, callsOfSeveral] = await counted(() => writeSeveral(model));
    assert.equal(calm[0].length, 20);
    assert.deepEqual(
      several.map(({ length }) => length),
      [12, 12, 12, 12],
    );

    // Any moment, except the last few calls: how many are made ahead of a reader varies.
    const random = (calls) => 1 + Math.floor(Math.random() * (0.8 * calls));
    const works = [
      [() => write(model), calm, callsOfText],
      [() => writeSeveral(model), several, callsOfSeveral],
    ];
    for (let i = 0; i < moments; i += 1) {
      // Two on each model: three losses within a minute would be too many.
      if (i > 0)
        await page.evaluate(async (folder) => {
          await model.dispose();
          globalThis.model = await TokenFormer.load(folder);
        }, folder);
      for (const [lost, [work, wanted, calls]] of (FULL ? works : works.slice(lot, lot + 1)).entries()) {
        const moment = random(calls);
        const before = await destroyed();
        await page.evaluate(() => model.reset());
        await destroyAfter(moment);
        const texts = await page.evaluate(work);
        await destroyAfter(Infinity);
        const now = (await destroyed()) - before;
        assert.equal(now, 1, `a device was lost at call ${moment} of ${calls} of ${work}`);
        assert.deepEqual(texts, wanted, `destroyed at call ${moment} of ${calls} of ${work}`);
        const notes = await page.evaluate(() => model.info.notes);
        assert.ok(
          notes.some((note) => note.includes(`device was lost ${lost ? "2 times" : "once"}`)),
          `${notes}`,
        );
      }
    }

    // During loading: before, at, and after the weights are written.
    await page.evaluate(() => model.dispose());
    for (let i = 0; i < moments && (FULL || lot === works.length); i += 1) {
      const moment = random(0.8 * callsOfLoad); // the first one tried the GPU as well
      const before = await destroyed();
      await destroyAfter(moment);
      const text = await page.evaluate(async (folder) => {
        globalThis.model = await TokenFormer.load(folder);
        return write(model);
      }, folder);
      await destroyAfter(Infinity);
      assert.equal((await destroyed()) - before, 1, `a device was lost at call ${moment} of ${callsOfLoad}`);
      assert.deepEqual(text, calm, `loading, destroyed at call ${moment}`);
      await page.evaluate(() => model.dispose());
    }
    assert.equal(await page.evaluate(() => model.info.gpuBytes), 0);
    t.diagnostic(`${await destroyed()} devices destroyed`);
    await page.context().close();
  });
}

// Five devices compile here; src/engine/recover/tests.rs tests the same with a fake one.
const inFull = FULL ? test : () => {};
inFull("a training whose device is lost, whenever, ends in the same pack", async (t) => {
  const page = await pageWith("worker", losesDevices);
  const folder = `${world.server.origin}/oracle/fixtures/head64-q4/`;
  const destroyAfter = (calls) => evaluateInEngine(page, "worker", (calls) => destroyAfter(calls), calls);
  /** Teaches 12 steps: losses, and the pack's values. */
  const teach = () =>
    page.evaluate(async () => {
      const ids = Array.from({ length: 100 }, (_, i) => (i * 31) % 200);
      const options = { steps: 12, sequenceLength: 20, batch: 1, tokens: 3, warmup: 0, validation: 0, seed: 5 };
      const pack = await model.train(ids, options);
      const bytes = await pack.toBlob().arrayBuffer();
      const header = Number(new DataView(bytes).getBigUint64(0, true));
      return [pack.training.loss, Array.from(new Float16Array(bytes.slice(8 + header)))];
    });
  await page.evaluate(async (folder) => {
    globalThis.model = await TokenFormer.load(folder);
  }, folder);
  await destroyAfter(Infinity);
  const calm = await teach();
  const calls = await evaluateInEngine(page, "worker", () => calls());
  assert.equal(calm[0].length, 12);
  for (let i = 0; i < 10; i += 1) {
    // Two on each model: three losses within a minute would be too many.
    if (i % 2 === 0 && i > 0)
      await page.evaluate(async (folder) => {
        await model.dispose();
        globalThis.model = await TokenFormer.load(folder);
      }, folder);
    const moment = 1 + Math.floor(Math.random() * 0.95 * calls);
    const before = await evaluateInEngine(page, "worker", () => destroyed());
    await destroyAfter(moment);
    const got = await teach();
    await destroyAfter(Infinity);
    assert.equal((await evaluateInEngine(page, "worker", () => destroyed())) - before, 1, `call ${moment} of ${calls}`);
    for (const [which, values] of got.entries()) {
      const error = relativeError(values, calm[which]);
      assert.ok(error < 1e-3, `destroyed at call ${moment} of ${calls}: ${error}`);
    }
  }
  t.diagnostic(`${calls} calls of a training`);
  await page.context().close();
});

inFull("while idle, and three times within a minute", async () => {
  const page = await pageWith("main", losesDevices);
  // However long a busy machine takes to compile.
  await page.evaluate(() => {
    const now = performance.now.bind(performance);
    Performance.prototype.now = () => now() / 100;
  });
  const seen = await page.evaluate(async (origin) => {
    const model = await TokenFormer.load(`${origin}/oracle/fixtures/head64-q4/`, { cache: false });
    const options = { maxTokens: 4, temperature: 0, logitBias: { 0: -1000 } };
    const texts = [];
    for (let i = 0; i < 2; i += 1) {
      texts.push((await model.complete([1, 2, 3], options)).tokenIds);
      destroyAfter(1); // at the next call, which finds it gone before anything is chosen
    }
    texts.push((await model.complete([1, 2, 3], options)).tokenIds);
    destroyAfter(2);
    const third = await failure(() => model.complete([1, 2, 3], options));
    const later = await failure(() => model.complete([1, 2, 3], options));
    await model.dispose();
    const { gpuBytes } = model.info;
    const again = await TokenFormer.load(`${origin}/oracle/fixtures/head64-q4/`);
    texts.push((await again.complete([1, 2, 3], options)).tokenIds);
    await again.dispose();
    return { texts, third, later, gpuBytes };
  }, world.server.origin);
  for (const text of seen.texts) assert.deepEqual(text, seen.texts[0]);
  assert.deepEqual([seen.third?.code, seen.later?.code], ["device-lost", "device-lost"]);
  assert.match(seen.third.message, /three times within a minute/);
  assert.equal(seen.gpuBytes, 0);
  await page.context().close();
});

test("an abort ends the making of another device; the model can be used later", async () => {
  const page = await pageWith("main", losesDevices);
  const seen = await page.evaluate(async (origin) => {
    const model = await TokenFormer.load(`${origin}/oracle/fixtures/head64-q4/`);
    const options = { maxTokens: 4, temperature: 0, logitBias: { 0: -1000 } };
    const { tokenIds } = await model.complete([1, 2, 3], options);
    const { requestDevice } = GPUAdapter.prototype;
    const controller = new AbortController();
    GPUAdapter.prototype.requestDevice = function (descriptor) {
      controller.abort();
      return requestDevice.call(this, descriptor);
    };
    destroyAfter(1);
    const aborted = await model.complete([1, 2, 3], { ...options, signal: controller.signal });
    GPUAdapter.prototype.requestDevice = requestDevice;
    const again = await model.complete([1, 2, 3], options);
    await model.dispose();
    return { tokenIds, aborted, again: again.tokenIds };
  }, world.server.origin);
  assert.deepEqual([seen.aborted.finishReason, seen.aborted.tokenIds], ["abort", []]);
  assert.deepEqual(seen.again, seen.tokenIds);
  await page.context().close();
});
