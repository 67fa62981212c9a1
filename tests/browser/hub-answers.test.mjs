// What a hub and a host say, made into what people are told: on the CPU engine, with models of a few megabytes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { modulePage, onMainThread, start } from "./harness.mjs";
import { startHub } from "./hub-simulator.mjs";

const medium = fileURLToPath(new URL("../../target/oracle/medium/", import.meta.url));
const read = (name) => readFileSync(`${medium}${name}`);
const CHECKPOINT = { "config.json": read("config.json"), "pytorch_model.bin": read("pytorch_model.bin") };
const FOLDER = {
  "config.json": read("quantized/config.json"),
  "model.safetensors": read("quantized/model.safetensors"),
};
const POINTER = Buffer.from(
  `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 608000000\n`,
);
const HTML = Buffer.from("<!doctype html><title>Sign in</title>");
/** A model as the hub's own conversion writes it: the published keys in safetensors. */
const CONVERTED = (() => {
  const header = {
    __metadata__: { format: "pt" },
    "2.mlp.key_param_tokens": { dtype: "F32", shape: [1], data_offsets: [0, 4] },
  };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(4)]);
})();
const manifest = (size) => {
  const files = [{ path: "model.safetensors", size: "SIZE", sha256: "a".repeat(64) }];
  return Buffer.from(JSON.stringify({ format: 1, files }).replace('"SIZE"', size));
};

let world;
const hubs = [];
before(async () => {
  world = await start({ webgpu: false });
});
after(async () => {
  await Promise.all(hubs.map((hub) => hub.close()));
  await world?.close();
});

/**
 * A hub and a page whose `tell(name, options)` loads a model on the CPU and says what became of it. Waits between attempts
 * are 200 times as short there; the clock, and how long an answer may take, run `globalThis.speed` times as fast.
 */
async function setUp(repositories, options = {}) {
  const hub = await startHub(repositories, options);
  hubs.push(hub);
  const context = await world.browser.newContext();
  await onMainThread(context);
  await context.addInitScript(() => {
    globalThis.speed = 1;
    const [now, setTimeout] = [performance.now.bind(performance), globalThis.setTimeout];
    let [real, shown] = [now(), now()];
    Performance.prototype.now = () => {
      shown += (now() - real) * globalThis.speed;
      real = now();
      return shown;
    };
    const isForAnAnswer = (time) => [3000, 17_000].includes(time) || (time >= 19_000 && time <= 20_000);
    const speed = (time) => (isForAnAnswer(time) ? globalThis.speed : 200);
    globalThis.setTimeout = (callback, time, ...rest) => setTimeout(callback, time / speed(time), ...rest);
  });
  const page = await modulePage(world, undefined, context);
  await page.evaluate((endpoint) => {
    globalThis.tell = async (name, options = {}) => {
      const waits = [];
      const onProgress = ({ waitingFor }) => {
        if (!waitingFor || waitingFor === waits.at(-1)) return;
        waits.push(waitingFor);
        globalThis.onWait?.(waitingFor);
      };
      try {
        const model = await TokenFormer.load(name, { endpoint, backend: "cpu", onProgress, ...options });
        const { notes, quantization, revision } = model.info;
        const ids = (await model.complete([5, 17, 300], { maxTokens: 3, temperature: 0 })).tokenIds;
        await model.dispose();
        return { outcome: "loaded", notes: notes.join(" "), quantization, revision, ids, waits };
      } catch (e) {
        return { outcome: e.code, message: `${e.message} ${e.hint}`, waits };
      }
    };
  }, hub.endpoint);
  const tell = (name, options) => page.evaluate(([name, options]) => tell(name, options), [name, options]);
  const close = () => context.close();
  return { hub, context, page, tell, close };
}

const files = { "o/folder": { files: FOLDER }, "o/published": { files: CHECKPOINT } };

test("the hub's answers are told apart, and a stored model stands in for those that give none", async () => {
  const { hub, tell, close } = await setUp({ ...files, "o/private": { token: "hf_good", files: FOLDER } });
  const nothing = await tell("o/nothing-here");
  assert.equal(nothing.outcome, "model-not-found");
  assert.match(nothing.message, /o\/nothing-here on 127\.0\.0\.1:\d+, or it is private/);
  const badToken = await tell("o/folder", { token: "hf_bad" });
  assert.equal(badToken.outcome, "unauthorized");
  assert.match(badToken.message, /does not accept the access token/);
  assert.equal((await tell("o/nothing-here", { token: "hf_good" })).outcome, "model-not-found");

  // The storage that refuses what the hub itself has signed.
  hub.faults.push({ kind: "status", status: 403, times: Infinity });
  const refused = await tell("o/folder");
  hub.faults.length = 0;
  assert.equal(refused.outcome, "network");
  assert.match(refused.message, /had given.*Try again later.*no token helps/);

  // By the address that people copy, with the branch of another page of it.
  const byAddress = await tell(`${hub.endpoint}/o/folder/resolve/main/model.safetensors`);
  assert.equal(byAddress.outcome, "loaded", byAddress.message);
  assert.equal((await tell(`${hub.endpoint}/o/folder/tree/no-such-branch`)).outcome, "model-not-found");

  for (const [fault, says] of [
    [{ status: 429 }, /asks to wait/],
    [{ status: 503 }, /cannot be reached/],
    [{ status: 404, code: "RepoNotFound" }, /cannot be had there any more/],
    [{ status: 401 }, /cannot be had there any more/],
    [{ status: 403 }, /cannot be had there any more/],
  ]) {
    hub.requests.length = 0;
    hub.faults.push({ kind: "status", server: "hub", match: /api/, times: Infinity, ...fault });
    const seen = await tell("o/folder");
    hub.faults.length = 0;
    assert.equal(seen.outcome, "loaded", `${JSON.stringify(fault)} ${seen.message}`);
    assert.match(seen.notes, says);
    assert.match(seen.notes, /stored on an earlier visit/);
    assert.deepEqual(seen.ids, byAddress.ids);
    assert.ok(hub.requests.length <= 2, `${JSON.stringify(fault)}: nobody waits long beside a copy`);
  }
  assert.equal((await tell("o/folder", { revision: "v9" })).outcome, "model-not-found", "never stored under that name");
  assert.deepEqual(hub.violations, []);
  await close();
});

test("a limit of the hub is waited for, said, and ends; what cannot be reached is said at once", async () => {
  const { hub, context, page, tell, close } = await setUp(files);
  for (const server of ["hub", "cdn"]) {
    hub.faults.push({ kind: "status", status: 429, server, times: 3 });
    const limited = await tell("o/folder", { cache: false });
    assert.equal(limited.outcome, "loaded", limited.message);
    assert.ok(
      limited.waits.some((words) => /asks to wait: the next attempt comes in \d+ s/.test(words)),
      server,
    );
  }
  const nobody = await tell("o/folder", { endpoint: "http://127.0.0.1:1" });
  assert.equal(nobody.outcome, "network");
  assert.match(nobody.waits[0], /127\.0\.0\.1:1 does not answer as it should: attempt 2 of 6/);
  await context.setOffline(true);
  const offline = await tell("o/folder");
  await context.setOffline(false);
  assert.equal(offline.outcome, "network");
  assert.match(offline.message, /This device is offline/);
  assert.doesNotMatch(offline.message, /CORS/);

  // A byte now and then is no answer, neither for a small file nor for a large one.
  await page.evaluate(() => (globalThis.speed = 200));
  for (const fault of [
    { server: "hub", match: /resolve-cache.*config/ },
    { server: "cdn", match: /safetensors/ },
  ]) {
    hub.faults.push({ kind: "trickle", every: 10, times: Infinity, ...fault });
    const trickle = await tell("o/folder");
    hub.faults.length = 0;
    assert.equal(trickle.outcome, "network", trickle.message);
  }
  await close();
});

test("sizes that nobody has end the load alone, and files without an end are not read", async () => {
  const absurd = String(2 ** 53);
  const { hub, page, tell, close } = await setUp({
    ...files,
    "o/manifest": { files: { ...FOLDER, "manifest.json": manifest(absurd) } },
    "o/tree": { files: CHECKPOINT, sizes: { "pytorch_model.bin": 2 ** 53 } },
    "o/small": { files: FOLDER, sizes: { "config.json": 2 ** 62 } },
  });
  const writing = page.evaluate(async (endpoint) => {
    globalThis.other = await TokenFormer.load("o/folder", { endpoint, backend: "cpu" });
    return (await other.complete([5, 17], { maxTokens: 60, seed: 1, logitBias: { 0: -1000 } })).finishReason;
  }, hub.endpoint);
  for (const name of ["o/manifest", "o/tree", "o/small"]) {
    const { outcome, message } = await tell(name, { cache: false });
    assert.equal(outcome, "unsupported-checkpoint", `${name} ${message}`);
    assert.match(message, /is said to have \d+ bytes/);
  }
  assert.equal(await writing, "length", "who writes meanwhile goes on");
  await close();

  const host = await setUp(files, { plain: true });
  const endless = { kind: "endless", server: "hub", match: /pytorch/, times: Infinity };
  host.hub.faults.push(endless);
  const zeros = await host.tell(host.hub.folder("o/published"));
  assert.equal(zeros.outcome, "unsupported-checkpoint", zeros.message);
  assert.ok(host.hub.sent("pytorch_model.bin") < 64e6, "what is no archive is not measured");
  host.hub.faults.push({ ...endless, first: Buffer.from("PK\x03\x04    ") });
  host.hub.faults.shift();
  const stopped = await host.page.evaluate(async (folder) => {
    const controller = new AbortController();
    let words;
    const onProgress = ({ waitingFor, loadedBytes }) => {
      if (!/does not tell the size/.test(waitingFor)) return;
      words = [waitingFor, loadedBytes];
      controller.abort();
    };
    const { code } = await failure(() =>
      TokenFormer.load(folder, { backend: "cpu", signal: controller.signal, onProgress }),
    );
    return { words, code };
  }, host.hub.folder("o/published"));
  assert.equal(stopped.code, "aborted");
  assert.match(stopped.words[0], /pytorch_model\.bin: \d+ MB read/);
  assert.equal(stopped.words[1], 0, "what is measured counts for nothing");
  await host.close();
});

test("a file that is something else is called by its name, and hides no good one", async () => {
  const config = { "config.json": CHECKPOINT["config.json"] };
  const { tell, close } = await setUp({
    "o/converted": { files: { ...CHECKPOINT, "model.safetensors": CONVERTED } },
    "o/beside": { files: { ...CHECKPOINT, "model.safetensors": POINTER } },
    "o/alone": { files: { ...config, "model.safetensors": CONVERTED } },
    "o/pointer": { files: { ...config, "pytorch_model.bin": POINTER } },
    "o/quantized-pointer": { files: { ...config, "model.safetensors": POINTER } },
    "o/config-pointer": { files: { ...FOLDER, "config.json": POINTER } },
    "o/page": { files: { ...config, "pytorch_model.bin": HTML } },
    "o/empty": { files: config },
  });
  for (const [name, says] of [
    ["o/converted", /not a model that this project's convert tool wrote.*pytorch_model\.bin was loaded/],
    ["o/beside", /git-lfs pointer.*pytorch_model\.bin was loaded/],
  ]) {
    const seen = await tell(name, { cache: false });
    assert.equal(seen.outcome, "loaded", `${name} ${seen.message}`);
    assert.equal(seen.quantization, "q4");
    assert.match(seen.notes, says);
  }
  for (const [name, code, says] of [
    ["o/alone", "unsupported-checkpoint", /convert tool/],
    ["o/pointer", "unsupported-checkpoint", /pytorch_model\.bin is a git-lfs pointer|git-lfs pointer.*git lfs pull/],
    ["o/quantized-pointer", "unsupported-checkpoint", /git-lfs pointer.*git lfs pull/],
    ["o/config-pointer", "unsupported-checkpoint", /config\.json is a git-lfs pointer/],
    ["o/page", "unsupported-checkpoint", /web page/],
    ["o/empty", "model-not-found", /o\/empty on 127\.0\.0\.1.*"\.\/o\/empty"/],
  ]) {
    const { outcome, message } = await tell(name);
    assert.equal(outcome, code, `${name} ${message}`);
    assert.match(message, says);
  }
  const missing = await tell(`${world.server.origin}/nothing/here/`);
  assert.equal(missing.outcome, "model-not-found");
  assert.ok(missing.message.includes(`${world.server.origin}/nothing/here/`), missing.message);
  await close();
});

test("a browser that never gives an adapter or a device is not waited for", async () => {
  const { page, tell, close } = await setUp(files);
  await page.evaluate(() => {
    // The hub has answered long before the browser is not waited for any more.
    globalThis.speed = 4;
    globalThis.onWait = (waitingFor) => /GPU/.test(waitingFor) && (globalThis.speed = 100);
    const gpu = { requestAdapter: () => new Promise(() => {}) };
    Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  });
  const seen = await tell("o/folder", { backend: "auto" });
  assert.equal(seen.outcome, "loaded", seen.message);
  assert.ok(seen.waits.includes("Waiting for the browser to open the GPU"), seen.waits.join());
  assert.match(seen.notes, /No WebGPU adapter was found: the browser gave no answer for 20s.*runs on the CPU/);
  const refused = await tell("o/folder", { backend: "webgpu" });
  assert.equal(refused.outcome, "webgpu-unavailable", refused.message);
  await close();
});
