// An engine that keeps the interface of src/api and computes nothing. It throws where the real one
// could be called twice at once, and remembers what was called.

import { engineModule } from "../../www/lib/engine-module.js";

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

  info() {
    return { id: this.request.id, adapter: { vendor: "fake", architecture: "", device: "", description: "" }, gpuBytes: this.disposed ? 0 : 100 };
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
      if (prompt === "refuse") throw Object.assign(new Error("No."), { code: "invalid-argument", hint: "Say please." });
      this.open += 1;
      return new FakeGeneration(this, options);
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
  }

  next() {
    return this.engine.exclusive("next", async () => {
      await soon();
      if (this.#aborted || this.engine.abortAsked) {
        this.#aborted = true;
        return undefined;
      }
      if (this.#ids.length === this.options.maxTokens) return undefined;
      this.#ids.push(65 + this.#ids.length);
      return { text: String.fromCodePoint(this.#ids.at(-1)), tokenId: this.#ids.at(-1) };
    });
  }

  result() {
    return {
      text: String.fromCodePoint(...this.#ids),
      tokenIds: this.#ids,
      finishReason: this.#aborted ? "abort" : "length",
      seed: this.options.seed ?? 1,
      usage: { completionTokens: this.#ids.length, timeToFirstTokenMs: 1, decodeTokensPerSecond: 1000 },
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

/** Puts the fake in the real engine's place. */
export function useFakeEngine() {
  const watching = new Set();
  calls = { loads: 0, discards: 0, watching, stop: (error) => [...watching].forEach((onStop) => onStop(error)) };
  engineModule.load = async () => {
    calls.loads += 1;
    return { Engine: FakeEngine };
  };
  engineModule.discard = () => {
    calls.discards += 1;
  };
  engineModule.watch = (_, onStop) => {
    watching.add(onStop);
    return () => watching.delete(onStop);
  };
  return calls;
}
