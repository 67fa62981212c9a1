// The CPU engine instead of a GPU: in a browser that has no adapter, in pages without WebGPU, and on request.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { findBrowser } from "./find-browser.mjs";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { modulePage, onMainThread, open, OUTPUT, relativeError, start, SUB_PATH } from "./harness.mjs";
import { visitor } from "./visitor.mjs";

/** Relative error of logits against the reference, as in the native tests. */
const TOLERANCE = 1e-3;
/** If the reference's best two logits are closer than this, a different id is no error. */
const MARGIN = 0.02;
const FIXTURES = ["head64", "head80", "head96", "uneven-slots"];

/** The other tests' browser, which has WebGPU, and one that has it by name only: it gives no adapter. */
let withGpu;
let world;
before(async () => {
  withGpu = await start();
  const browser = await chromium.launch({
    executablePath: await findBrowser(),
    args: ["--no-sandbox", "--disable-background-networking", "--no-first-run"],
  });
  world = { ...withGpu, browser };
});
after(async () => {
  await world?.browser.close();
  await withGpu?.close();
});

/** A page whose engines run in the given thread. */
async function pageWith(thread, { browser = world, init } = {}) {
  const context = await browser.browser.newContext();
  if (thread === "main") await onMainThread(context);
  if (init) await context.addInitScript(init);
  return modulePage(browser, undefined, context);
}

const withoutGpu = () => Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined });

for (const thread of ["main", "worker"]) {
  test(`logits are the reference's, at every precision: ${thread}`, async () => {
    const page = await pageWith(thread);
    for (const name of FIXTURES.flatMap((name) => ["q4", "q8", "f16"].map((q) => `${name}-${q}`))) {
      const oracle = JSON.parse(
        readFileSync(new URL(`../../target/oracle/fixtures/${name}/oracle.json`, import.meta.url), "utf8"),
      );
      const got = await page.evaluate(
        async ([folder, ids, lengths]) => {
          const model = await TokenFormer.load(folder, { backend: "cpu", cache: false });
          const logits = [];
          for (const length of lengths) logits.push(Array.from(await model.logits(ids.slice(0, length))));
          const { thread, backend } = model.info;
          await model.dispose();
          return { logits, thread, backend };
        },
        [`${world.server.origin}/oracle/fixtures/${name}/`, oracle.inputIds, oracle.lengths],
      );
      assert.deepEqual([got.thread, got.backend], [thread, "cpu"]);
      for (const [i, logits] of got.logits.entries()) {
        const error = relativeError(logits, oracle.logits[i]);
        assert.ok(error < TOLERANCE, `${name}, ${oracle.lengths[i]} tokens: ${error}`);
      }
    }
    await page.context().close();
  });
}

test("a checkpoint that train/ made writes what PyTorch chose", async () => {
  const page = await pageWith("worker");
  const folder = new URL("../fixtures/trained/", import.meta.url);
  const { cases } = JSON.parse(readFileSync(new URL("golden.json", folder), "utf8"));
  const prompts = cases.map(({ prompt }) => prompt);
  const texts = await page.evaluate(
    async ([folder, prompts]) => {
      const model = await TokenFormer.load(folder, { quantization: "f16", backend: "cpu", cache: false });
      const texts = [];
      for (const prompt of prompts) {
        const promptIds = await model.encode(prompt);
        const { tokenIds } = await model.complete(promptIds, { temperature: 0, maxTokens: 12 });
        texts.push({ promptIds, tokenIds });
      }
      await model.dispose();
      return texts;
    },
    [`${world.server.origin}/fixtures/trained/`, prompts],
  );
  for (const [i, { promptIds, tokenIds }] of texts.entries()) {
    const { prompt, prompt_ids: wantedIds, greedy, margins } = cases[i];
    assert.deepEqual(promptIds, wantedIds, prompt);
    // Id 0 ends a text and is not in it.
    const wanted = greedy.slice(0, 12).filter((id) => id !== 0);
    const differs = wanted.findIndex((id, at) => id !== tokenIds[at]);
    assert.ok(differs < 0 || margins[differs] < MARGIN, `${prompt}: ${tokenIds} instead of ${wanted}`);
  }
});

test("without an adapter the embedded model writes what it writes on a GPU", async (t) => {
  const page = await pageWith("worker");
  const info = await page.evaluate(async () => {
    globalThis.phases = [];
    globalThis.model = await TokenFormer.load(undefined, { onProgress: ({ phase }) => phases.push(phase) });
    return { ...model.info, phases };
  });
  assert.deepEqual([info.backend, info.thread, info.gpuBytes, info.features], ["cpu", "worker", 0, ["simd128"]]);
  assert.deepEqual(info.adapter, { vendor: "", architecture: "", device: "", description: "" });
  assert.ok(
    info.notes.some((note) => [/No WebGPU adapter/, /on the CPU/, /slower/].every((words) => words.test(note))),
    info.notes.join(),
  );
  assert.ok(
    info.weightBytes > 0.99 * EMBEDDED.weightBytes && info.kvBytes > 10e6 && info.wasmHeapBytes > info.weightBytes,
  );
  assert.ok(!info.phases.includes("compile") && info.phases.at(-1) === "ready");
  for (const { prompt, promptIds, ids, margins } of JSON.parse(
    readFileSync(new URL("../../target/oracle/greedy.json", import.meta.url), "utf8"),
  )) {
    for (let at = 0; at < ids.length;) {
      const given = [[...promptIds, ...ids.slice(0, at)], { temperature: 0, maxTokens: ids.length - at }];
      const got = await page.evaluate(async ([ids, options]) => (await model.complete(ids, options)).tokenIds, given);
      const differs = ids.slice(at).findIndex((id, i) => got[i] !== id);
      if (differs < 0) break;
      assert.ok(margins[at + differs] < MARGIN, `${prompt}: token ${at + differs} is ${got[differs]}`);
      at += differs + 1;
    }
  }
  const [first, again] = await page.evaluate(async () => {
    const texts = [];
    for (let i = 0; i < 2; i++) {
      await model.reset();
      texts.push((await model.complete("The king called", { maxTokens: 20, seed: 7, temperature: 1 })).text);
    }
    return texts;
  });
  assert.equal(first, again);
  const speed = await page.evaluate(() => model.benchmark({ promptTokens: 256, maxTokens: 65, runs: 2 }));
  assert.equal(speed.dispatchesPerToken, 0);
  const [decode, prefill] = [speed.decodeTokensPerSecond, speed.prefillTokensPerSecond].map(({ median }) =>
    median.toFixed(0),
  );
  t.diagnostic(`the embedded model in one thread: ${decode} tokens/s, prefill ${prefill} tokens/s`);
  await page.evaluate(() => model.dispose());
  assert.deepEqual(
    page.problems.filter((problem) => !/No available adapters/.test(problem)),
    [],
  );
  await page.context().close();
});

for (const thread of ["main", "worker"]) {
  test(`aborts end prompts and texts at once, and the page answers meanwhile: ${thread}`, async (t) => {
    const page = await pageWith(thread);
    const seen = await page.evaluate(async () => {
      const model = await TokenFormer.load(undefined, { backend: "cpu" });
      const half = model.info.config.padded_vocab_size >> 1;
      const ids = Array.from({ length: 1000 }, (_, i) => 1 + ((i * 7919) % half));
      const reasons = [];
      const waits = [];
      const abortWhen = async (moment, prompt, maxTokens) => {
        const controller = new AbortController();
        const written = [];
        const chunks = model.generate(prompt, {
          maxTokens,
          seed: 1,
          logitBias: { 0: -1000 },
          signal: controller.signal,
        });
        const running = (async () => {
          for (;;) {
            const { done, value } = await chunks.next();
            if (done) return value;
            written.push(value.tokenId);
          }
        })();
        await moment(written);
        const from = performance.now();
        controller.abort();
        reasons.push((await running).finishReason);
        waits.push(performance.now() - from);
        return written.length;
      };
      const turn = () => new Promise((resolve) => setTimeout(resolve));
      // A timer fires long before such a long prompt is read; a text is aborted at its first token.
      const ofPrompt = await abortWhen(
        async () => {
          for (let i = 0; i < 5; i += 1) await turn();
        },
        ids,
        1,
      );
      const ofText = await abortWhen(
        async (written) => {
          while (written.length === 0) await turn();
        },
        "Once upon a time",
        1500,
      );
      // Turns that a text yields to others.
      let turns = 0;
      let longest = 0;
      let last = performance.now();
      const timer = setInterval(() => {
        turns += 1;
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 1);
      const { tokenIds } = await model.complete("Once upon a time", {
        maxTokens: 40,
        temperature: 0,
        logitBias: { 0: -1000 },
      });
      clearInterval(timer);
      const { thread } = model.info;
      await model.dispose();
      return { reasons, waits, turns, longest, thread, tokens: tokenIds.length, ofPrompt, ofText };
    });
    assert.deepEqual([seen.reasons, seen.thread, seen.tokens], [["abort", "abort"], thread, 40]);
    assert.equal(seen.ofPrompt, 0);
    assert.ok(seen.ofText > 0 && seen.ofText < 1500, `${seen.ofText} tokens`);
    assert.ok(seen.turns > 3, `${seen.turns} turns`);
    t.diagnostic(
      `${thread}: aborts waited for ${seen.waits.map(Math.round).join(" and ")} ms, timers for at most ${Math.round(seen.longest)} ms`,
    );
    await page.context().close();
  });
}

test('a page without WebGPU writes in a worker; "webgpu" is an error that says what to do', async () => {
  const page = await pageWith("worker", { browser: withGpu, init: withoutGpu });
  await page.context().route("**/lib/engine/worker.js*", async (route) => {
    const response = await route.fetch();
    await route.fulfill({
      response,
      body: `(${withoutGpu.toString().replace("Navigator", "WorkerNavigator")})();${await response.text()}`,
    });
  });
  const seen = await page.evaluate(async (folder) => {
    const refused = await failure(() => TokenFormer.load(folder, { backend: "webgpu" }));
    const model = await TokenFormer.load(folder);
    const { tokenIds } = await model.complete([1, 2, 3], { maxTokens: 4, logitBias: { 0: -1000 } });
    const { backend, thread, notes } = model.info;
    await model.dispose();
    return { refused, backend, thread, notes, tokens: tokenIds.length };
  }, `${world.server.origin}/oracle/fixtures/head64-q4/`);
  assert.deepEqual([seen.backend, seen.thread, seen.tokens], ["cpu", "worker", 4]);
  assert.deepEqual([seen.refused.isOurs, seen.refused.code], [true, "webgpu-unavailable"]);
  assert.match(seen.refused.hint, /hardware acceleration/);
  await page.context().close();
});

test("who asks for the CPU gets it beside a GPU, from what the GPU's load has stored", async () => {
  const page = await pageWith("worker", { browser: withGpu });
  const seen = await page.evaluate(async (folder) => {
    const logits = [];
    const infos = [];
    const told = [];
    for (const backend of ["webgpu", "cpu"]) {
      const model = await TokenFormer.load(folder, { backend, onProgress: (p) => told.push([backend, p.phase]) });
      logits.push(Array.from(await model.logits([1, 2, 3, 4, 5])));
      infos.push([model.info.backend, model.info.thread]);
      await model.dispose();
    }
    return { logits, infos, told: told.filter(([backend]) => backend === "cpu").map(([, phase]) => phase) };
  }, `${world.server.origin}/oracle/fixtures/uneven-slots-q8/`);
  assert.deepEqual(seen.infos, [
    ["webgpu", "worker"],
    ["cpu", "worker"],
  ]);
  assert.ok(relativeError(seen.logits[1], seen.logits[0]) < 2 * TOLERANCE);
  assert.ok(seen.told.includes("cache") && !seen.told.includes("download"), seen.told.join());
  await page.context().close();
});

test("a GPU that is a program on the CPU gives way to the CPU, unless it is insisted on", async () => {
  const init = () => delete globalThis[Symbol.for("tokenformer.softwareGpu")]; // as visitors have it
  const page = await pageWith("worker", { browser: withGpu, init });
  const seen = await page.evaluate(async (folder) => {
    const model = await TokenFormer.load(folder, { cache: false });
    const { backend, notes, gpuBytes } = model.info;
    await model.dispose();
    // Its kernels take seconds to compile: it is enough that they are going to be.
    const controller = new AbortController();
    const onProgress = ({ phase }) => phase === "compile" && controller.abort();
    const { code } = await failure(() =>
      TokenFormer.load(folder, { cache: false, backend: "webgpu", signal: controller.signal, onProgress }),
    );
    return { backend, notes: notes.join(" "), gpuBytes, code };
  }, `${world.server.origin}/oracle/fixtures/head64-q4/`);
  assert.deepEqual([seen.backend, seen.gpuBytes, seen.code], ["cpu", 0, "aborted"]);
  assert.match(seen.notes, /no GPU, only a WebGPU that computes on the CPU/);
  await page.context().close();
});

test("a GPU that is slower than the CPU gives way to it, once that is measured, unless it is insisted on", async () => {
  // A software GPU under the name of a phone's GPU: only its speed gives it away.
  const init = () => {
    delete globalThis[Symbol.for("tokenformer.softwareGpu")];
    Object.defineProperty(GPUDevice.prototype, "adapterInfo", { get: () => ({ vendor: "qualcomm" }) });
  };
  const page = await pageWith("main", { browser: withGpu, init });
  const seen = await page.evaluate(async (folder) => {
    const loads = [];
    for (let i = 0; i < 2; i++) {
      const phases = [];
      const model = await TokenFormer.load(folder, { onProgress: ({ phase }) => phases.push(phase) });
      const { backend, notes, gpuBytes } = model.info;
      const compiled = phases.indexOf("compile");
      const isLoadedTwice = phases.indexOf("download", compiled + 1) > compiled && compiled >= 0;
      loads.push({ backend, gpuBytes, notes: notes.join(" "), isCompiled: compiled >= 0, isLoadedTwice });
      await model.dispose();
    }
    const controller = new AbortController();
    const onProgress = ({ phase }) => phase === "compile" && controller.abort();
    const { signal } = controller;
    const { code } = await failure(() => TokenFormer.load(folder, { backend: "webgpu", signal, onProgress }));
    return { loads, code };
  }, `${world.server.origin}/oracle/fixtures/head64-q4/`);
  const [first, second] = seen.loads;
  for (const { backend, gpuBytes, notes, isLoadedTwice } of seen.loads) {
    assert.deepEqual([backend, gpuBytes, isLoadedTwice], ["cpu", 0, false]);
    assert.match(notes, /slower on the browser's GPU than on the CPU.*backend "webgpu" takes the GPU/);
  }
  assert.deepEqual([first.isCompiled, second.isCompiled], [true, false], "what was found out is remembered");
  assert.equal(seen.code, "aborted", "who insists on the GPU gets it");
  await page.context().close();
});

test("a model that is too large for the CPU is refused before its weights are requested", async () => {
  mkdirSync(`${OUTPUT}large`, { recursive: true });
  const shape = {
    num_layers: 24,
    hidden_size: 1024,
    num_attention_heads: 16,
    qkv_slot_num: 1024,
    proj_slot_num: 1024,
    ffn_slot_num: 4096,
    padded_vocab_size: 50304,
  };
  writeFileSync(`${OUTPUT}large/config.json`, JSON.stringify({ model_type: "tokenformer", ...shape }));
  const page = await pageWith("worker");
  const before = world.requests.length;
  const failures = await page.evaluate(async (folder) => {
    const failures = [];
    for (const backend of ["auto", "cpu"]) failures.push(await failure(() => TokenFormer.load(folder, { backend })));
    return failures;
  }, `${world.server.origin}/out/large/`);
  for (const failed of failures) {
    assert.deepEqual([failed?.isOurs, failed?.code], [true, "webgpu-unavailable"]);
    assert.match(failed.message, /million parameters/);
    assert.match(failed.hint, /browser with WebGPU.*TokenFormer-150M/);
  }
  assert.match(failures[0].message, /No WebGPU adapter/);
  const asked = world.requests.slice(before).filter((request) => request.includes("/large/"));
  assert.ok(asked.some((request) => request.endsWith("config.json")));
  assert.deepEqual(
    asked.filter((request) => /model|pytorch/.test(request)),
    [],
  );
  await page.context().close();
});

test("the page and its element say that it is the CPU", async () => {
  const context = await world.browser.newContext();
  const page = await open(world, `${world.server.origin}${SUB_PATH}`, { context });
  await page.evaluate(() => {
    const writer = document.getElementById("writer");
    writer.setAttribute("max-tokens", "3");
    return writer.generate();
  });
  const status = await page.evaluate(
    () => document.getElementById("writer").shadowRoot.querySelector("[part=status]").textContent,
  );
  assert.match(status, /3 tokens · .*on the CPU/);
  // The page asks for a GPU by itself: three tokens may be there sooner than its answer.
  await page.locator("#notice").waitFor();
  assert.match(await page.textContent("#notice"), /runs on your CPU/);
  assert.equal(await page.isVisible("#notice"), true);
  await page.evaluate(() => document.getElementById("machine").showModal?.());
  await context.close();
});

test("models that need a GPU are not offered, and say why; one of this computer is evaluated", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url } = visit;
  const reason = /needs WebGPU, which is not available here/;
  const isOffered = (name) => page.getByRole("radio", { name }).isEnabled();
  await page.getByRole("button", { name: /^model/i }).click();
  await page.getByText(reason).first().waitFor();
  assert.deepEqual(
    [await page.getByText(reason).count(), await isOffered(/450M/), await isOffered(/150M/)],
    [3, false, true],
  );
  await page.goto(`${url}evaluate.html`);
  await page.getByText(reason).first().waitFor();
  assert.deepEqual([await isOffered(/1\.5B/), await isOffered(EMBEDDED.label)], [false, true]);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await page
    .locator("#folder-input")
    .setInputFiles(new URL(`../../www/models/${EMBEDDED.name}`, import.meta.url).pathname);
  await page.getByRole("radio", { name: EMBEDDED.name }).waitFor();
  await page.getByLabel("Text to evaluate").fill("Once upon a time there was a little girl.");
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByRole("heading", { name: `Results: ${EMBEDDED.name} (this device), 1 document` }).waitFor();
  assert.deepEqual(page.problems, []);
});
