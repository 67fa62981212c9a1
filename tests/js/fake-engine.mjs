// An engine that has the interface of src/api and computes nothing. It throws where the real one
// could be called twice at once, and records the calls.

import assert from "node:assert/strict";
import { after } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { TokenFormer } from "../../www/lib/api/model.js";
import { EngineModule } from "../../www/lib/engine/module.js";
import { EnginePort } from "../../www/lib/engine/port.js";
import { EngineService } from "../../www/lib/engine/service.js";
import { engineModule, engines } from "../../www/lib/engine/engines.js";
import { enginesOf } from "../../www/lib/engine/engines-of.js";
import { FakeSeveral } from "./fake-several.mjs";
import { FakeTraining } from "./fake-training.mjs";

const soon = () => new Promise((resolve) => setTimeout(resolve, 1));
const coded = (code, message) => Object.assign(new Error(message), { code, hint: "" });

export class FakeEngine {
  static requests = [];
  static made = [];
  /** Set by a test to hold `load` or to make it fail. */
  static beforeLoad = async () => {};

  static async load(request, onProgress, signal) {
    FakeEngine.requests.push(request);
    onProgress({ phase: "resolve", loadedBytes: 0, totalBytes: 10, file: null, fromCache: false, bytesPerSecond: 0 });
    await FakeEngine.beforeLoad(request, signal);
    onProgress({ phase: "ready", loadedBytes: 10, totalBytes: 10, file: null, fromCache: false, bytesPerSecond: 0 });
    const engine = new FakeEngine(request);
    FakeEngine.made.push(engine);
    return engine;
  }

  constructor(request) {
    this.request = request;
    this.log = [];
    this.prompts = [];
    this.busy = false;
    this.disposed = false;
    this.freed = false;
    this.open = 0; // generations not freed
    this.abortAsked = false;
    this.generations = [];
    this.ends = {}; // of texts that several write at once: the seed with the tokens after which it stops
  }

  async exclusive(name, work) {
    if (this.busy) throw new Error(`${name} while ${this.busy}`);
    if (this.disposed) throw new Error(`${name} after dispose`);
    this.busy = name;
    this.abortAsked = false;
    this.log.push(name);
    try {
      return await work();
    } finally {
      this.busy = false;
    }
  }

  async settle() {}

  info() {
    return {
      id: this.request.id,
      adapter: { vendor: "fake", architecture: "", device: "", description: "" },
      gpuBytes: this.disposed ? 0 : 100,
    };
  }

  device() {
    return { destroy: () => (this.destroyed = true) };
  }

  encode(text) {
    if (this.busy) throw new Error(`encode while ${this.busy}`);
    return Uint32Array.from(text, (c) => c.codePointAt(0));
  }

  decode(ids) {
    if (this.busy) throw new Error(`decode while ${this.busy}`);
    return String.fromCodePoint(...ids);
  }

  start(prompt, options) {
    return this.exclusive("start", async () => {
      this.prompts.push(prompt);
      await soon();
      if (prompt === "trap") throw new WebAssembly.RuntimeError("unreachable");
      if (prompt === "stop") calls.stop(new WebAssembly.RuntimeError("unreachable"));
      if (prompt === "stop" || prompt === "hang") await new Promise(() => {}); // nobody settles it
      if (prompt === "lost") throw coded("device-lost", "The device is lost, and no other can be had.");
      if (prompt === "refuse") throw Object.assign(new Error("No."), { code: "invalid-argument", hint: "Say please." });
      this.open += 1;
      return new FakeGeneration(this, options);
    });
  }

  startSeveral(candidates, options) {
    return this.exclusive("start", async () => {
      this.prompts.push(...candidates.map(({ prompt }) => prompt));
      await soon();
      if (candidates.some(({ prompt }) => prompt === "trap")) throw new WebAssembly.RuntimeError("unreachable");
      if (candidates.some(({ prompt }) => prompt === "hang")) await new Promise(() => {}); // nobody settles it
      for (let i = 0; i < 20 && candidates.some(({ prompt }) => prompt === "long"); i++) {
        await soon();
        if (this.abortAsked) throw coded("aborted", "start was aborted");
      }
      this.open += 1;
      return new FakeSeveral(this, candidates, options);
    });
  }

  score(items) {
    return this.exclusive("score", async () => {
      for (let i = 0; i < 20 && !this.abortAsked; i++) await soon();
      if (this.abortAsked) throw coded("aborted", "score was aborted");
      return items.map((item) => ({ item }));
    });
  }

  logits(ids) {
    return this.exclusive("logits", async () => new Float32Array(ids.length));
  }

  inspect(text, request) {
    return this.exclusive("inspect", async () => {
      await soon();
      if (text === "long") throw coded("invalid-argument", "The text does not fit.");
      return [{ text, request }];
    });
  }

  promotes(token, top) {
    return this.exclusive("promotes", async () => ({ up: [{ token, top }], down: [] }));
  }

  ablate(ablations) {
    return this.exclusive(`ablate ${ablations.length}`, async () => {
      await soon();
      this.ablations = ablations;
    });
  }

  context() {
    if (this.busy) throw new Error(`context while ${this.busy}`);
    this.log.push("context");
    return Uint32Array.of(65, 66);
  }

  addPack(bytes, { name, strength }) {
    return this.exclusive(`add ${name} ${strength}`, async () => {
      await soon();
      if (this.refuses === name) throw coded("invalid-config", "The pack is of another shape.");
      this.added = bytes;
    });
  }

  setPack(name, strength) {
    return this.exclusive(`set ${name} ${strength}`, soon);
  }

  removePack(name) {
    return this.exclusive(`remove ${name}`, soon);
  }

  startTraining(documents, options, pack) {
    return this.exclusive("startTraining", async () => {
      await soon();
      if (documents[0] === "short") throw coded("invalid-argument", "The text is too short.");
      return new FakeTraining(this, documents, options, pack);
    });
  }

  abort() {
    this.abortAsked = true;
  }

  reset() {
    if (this.busy) throw new Error(`reset while ${this.busy}`);
    this.log.push("reset");
  }

  dispose() {
    if (this.busy) throw new Error(`dispose while ${this.busy}`);
    this.disposed = true;
  }

  free() {
    this.freed = true;
  }
}

class FakeGeneration {
  #ids = [];
  #aborted = false;

  constructor(engine, options) {
    Object.assign(this, { engine, options, freed: false });
    engine.generations.push(this);
  }

  get written() {
    return this.#ids.length;
  }

  next() {
    return this.engine.exclusive("next", async () => {
      await soon();
      if (this.#aborted || this.engine.abortAsked) {
        this.#aborted = true;
        return undefined;
      }
      if (this.#ids.length === this.options.maxTokens) return undefined;
      if (this.#ids.length === this.options.seed && this.engine.request.id === "o/traps")
        throw new WebAssembly.RuntimeError("unreachable");
      this.#ids.push(65 + this.#ids.length);
      const chunk = { text: String.fromCodePoint(this.#ids.at(-1)), tokenId: this.#ids.at(-1) };
      const topLogprobs = [
        ["x", -0.1],
        ["y", -2],
        ["z", -3],
        [" w", -4],
      ].map(([text, logprob]) => ({ text, logprob, tokenId: 1 }));
      return this.options.logprobs > 0
        ? { ...chunk, logprob: -4, topLogprobs: topLogprobs.slice(0, this.options.logprobs) }
        : chunk;
    });
  }

  rewind(taken) {
    if (this.engine.busy) throw new Error(`rewind while ${this.engine.busy}`);
    if (this.freed) throw new Error("rewind after free");
    if (taken === this.options.maxTokens) return; // its end was known with its last token
    this.engine.log.push(`rewind ${taken}`);
    this.#ids.length = taken;
    this.#aborted = true;
  }

  result() {
    return {
      text: String.fromCodePoint(...this.#ids),
      tokenIds: this.#ids,
      finishReason: this.#aborted ? "abort" : "length",
      seed: this.options.seed ?? 1,
      usage: {
        promptTokens: 5,
        completionTokens: this.#ids.length,
        timeToFirstTokenMs: 1,
        decodeTokensPerSecond: 1000,
      },
      options: this.options,
    };
  }

  abort() {
    if (this.freed) throw new Error("abort after free");
    this.#aborted = true;
  }

  free() {
    if (this.freed) throw new Error("freed twice");
    this.freed = true;
    this.engine.open -= 1;
  }
}

let calls;
const { get } = engines;

function stub(module) {
  const watching = new Set();
  calls = { loads: 0, discards: 0, watching, stop: (error) => [...watching].forEach((onStop) => onStop(error)) };
  module.load = async () => {
    calls.loads += 1;
    return { Engine: FakeEngine };
  };
  module.discard = () => {
    calls.discards += 1;
  };
  module.watch = (_, onStop) => {
    watching.add(onStop);
    return () => watching.delete(onStop);
  };
  return calls;
}

/** Replaces the real engine with the fake. */
export function useFakeEngine() {
  engines.get = async (...args) => {
    const port = await get(...args);
    workers.push({ terminate: () => port.end() });
    return port;
  };
  return Object.assign(stub(engineModule), {
    isGone: (engine) => engine.destroyed === true && calls.watching.size === 0,
  });
}

/** The same behind messages, as if in a worker. */
export function useFakeWorker() {
  const module = new EngineModule();
  let worker = null;
  let port = null;
  const retire = () => {
    calls.discards += 1;
    port = null;
  };
  engines.get = async () => {
    if (!port) {
      worker = fakeWorker(enginesOf(module));
      port = new EnginePort(worker, retire);
    }
    return port;
  };
  return Object.assign(stub(module), { isGone: () => worker.isTerminated === true });
}

const workers = [];

/** An object like a Worker that serves `served`; messages are copied as between threads. */
export function fakeWorker(served) {
  const { port1, port2 } = new MessageChannel();
  const service = new EngineService(port2, served);
  const worker = {
    messages: [],
    postMessage: (message) => {
      worker.messages.push(message);
      port1.postMessage(message);
    },
    terminate: () => {
      worker.isTerminated = true;
      port1.close();
      port2.close();
    },
  };
  port2.onmessage = ({ data }) => service.receive(data);
  port1.onmessage = ({ data }) => !worker.isTerminated && worker.onmessage({ data });
  workers.push(worker);
  return worker;
}

/** Terminates the fake workers, as every test file does at its end: node would wait for them. */
export function endWorkers() {
  for (const worker of workers) worker.terminate();
}
endWorkers.all = workers;
after(endWorkers);

/** Waits until `read()` is `wanted`: freeing takes a message more. */
export async function becomes(read, wanted) {
  for (let tries = 0; tries < 20_000 && !isDeepStrictEqual(read(), wanted); tries++) await new Promise(setImmediate);
  assert.deepEqual(read(), wanted);
}

/** A model on a fake engine of its own, before each test: `{ model, engine }`. */
export async function loadFake() {
  useFakeEngine();
  FakeEngine.made.length = 0;
  FakeEngine.beforeLoad = async () => {};
  const model = await TokenFormer.load("a/b");
  return { model, engine: FakeEngine.made[0] };
}
