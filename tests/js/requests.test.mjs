// Requests that a service worker passes to a page that holds a model: worker and pages are real, the browser
// between them is a fake.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { TokenFormer } from "../../www/lib/api/model.js";
import { passRequests, serveRequests } from "../../www/requests.js";
import { becomes, FakeEngine, useFakeEngine } from "./fake-engine.mjs";

const ORIGIN = "https://site.example";
const SCOPE = `${ORIGIN}/app/`;
/** A number of tokens that takes seconds. */
const LONG = 3000;
const soon = () => new Promise(setImmediate);

/** Locks of one origin, reduced to what is used: held, waited for, and released with the page. */
class Locks {
  #held = new Map();

  async request(name, ...rest) {
    const act = rest.pop();
    const signal = rest[0]?.signal;
    while (this.#held.has(name)) {
      const aborted = new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      await Promise.race([this.#held.get(name).over, aborted]);
    }
    let release;
    this.#held.set(name, { over: new Promise((resolve) => (release = resolve)), release });
    const free = () => (this.#held.delete(name), release());
    try {
      return await act();
    } finally {
      if (this.#held.has(name)) free();
    }
  }

  async query() {
    return { held: [...this.#held.keys()].map((name) => ({ name })) };
  }

  /** Releases a page's locks, as when it closes. */
  freeAll(url) {
    for (const [name, { release }] of this.#held) if (name.includes(` ${url} `)) (this.#held.delete(name), release());
  }
}

const realSetTimeout = setTimeout;
/** Node would wait for long timers if a test has failed. */
for (const name of ["setTimeout", "setInterval"]) {
  const set = globalThis[name];
  globalThis[name] = (act, ms, ...args) => {
    const timer = set(act, ms, ...args);
    return ms > 100 ? timer.unref() : timer;
  };
}

let models;
let locks;
let clients;
let ports;
const RealChannel = globalThis.MessageChannel;
const globals = ["self", "navigator", "location", "MessageChannel", "addEventListener", "removeEventListener"].map(
  (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)],
);
const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

beforeEach(() => {
  useFakeEngine();
  FakeEngine.made.length = 0;
  FakeEngine.beforeLoad = async () => {};
  locks = new Locks();
  clients = [];
  models = [];
  ports = [];
  define("MessageChannel", function () {
    const channel = new RealChannel();
    ports.push(channel.port1, channel.port2);
    return channel;
  });
});
afterEach(async () => {
  mock.timers.reset();
  // A failed test may have removed the timers that an engine waits for.
  const patience = new Promise((resolve) => realSetTimeout(resolve, 1000));
  await Promise.race([Promise.all(models.map((model) => model.dispose())), patience]);
  for (const port of ports) port.close();
  for (const [name, descriptor] of globals)
    if (descriptor) Object.defineProperty(globalThis, name, descriptor);
    else delete globalThis[name];
});

/** A service worker; `fetch` is what a page's fetch reaches: returns a Response, or null for the network. */
function serviceWorker(options, { scope = SCOPE } = {}) {
  const listeners = [];
  define("self", {
    registration: { scope },
    location: new URL("sw.js", scope),
    navigator: { locks },
    clients: { matchAll: async () => clients },
    addEventListener: (_, listener) => listeners.push(listener),
  });
  passRequests(options);
  const worker = { others: 0, work: [] };
  listeners.push(() => (worker.others += 1));
  worker.fetch = async (address, init, { clientId = "asker", mode = "cors" } = {}) => {
    const request = new Request(new URL(address, scope), init);
    Object.defineProperty(request, "mode", { value: mode });
    let answer = null;
    let isStopped = false;
    const event = {
      request,
      clientId,
      respondWith: (promise) => (answer = promise),
      waitUntil: (promise) => worker.work.push(promise),
      stopImmediatePropagation: () => (isStopped = true),
    };
    for (const listener of listeners) if (!isStopped) listener(event);
    return answer;
  };
  worker.complete = (body, more) =>
    worker.fetch("/v1/completions", { method: "POST", body: JSON.stringify({ prompt: "x", ...body }) }, more);
  return worker;
}

/** An open page. With a name it holds a model of that name, and offers it. */
async function page(name, { url = `${SCOPE}${clients.length}.html`, ...options } = {}) {
  const target = new EventTarget();
  target.startMessages = () => {};
  const client = { id: `client ${clients.length}`, url, frozen: false };
  client.postMessage = (data, [port]) => {
    if (!client.frozen) target.dispatchEvent(Object.assign(new Event("message"), { data, ports: [port] }));
  };
  clients.push(client);
  if (!name) return { client };
  define("navigator", { serviceWorker: target, locks });
  define("location", { href: url });
  const windowOf = new EventTarget();
  define("addEventListener", windowOf.addEventListener.bind(windowOf));
  define("removeEventListener", windowOf.removeEventListener.bind(windowOf));
  const model = await TokenFormer.load(name);
  models.push(model);
  const stop = await serveRequests(model, options);
  const engine = FakeEngine.made.at(-1);
  const close = () => {
    clients.splice(clients.indexOf(client), 1);
    client.frozen = true;
    locks.freeAll(url);
  };
  return { client, model, engine, stop, close, tell: (event) => windowOf.dispatchEvent(event) };
}
const textOf = async (response) => (await (await response).json()).choices[0].text;
const refusedWith = async (asked, status, code) => {
  const response = await asked;
  const { error } = await response.json();
  assert.deepEqual([response.status, error.code, error.type], [status, code, "server_error"]);
  for (const sentence of error.message.split(/(?<=\.) /)) assert.ok(sentence.split(" ").length <= 25, sentence);
};

test("a page's fetch reaches the model that another page holds, and nothing else is touched", async () => {
  const worker = serviceWorker();
  await page();
  const { engine } = await page("a/b");
  await page(); // one that does not listen
  assert.equal(await textOf(worker.complete({ max_tokens: 2 })), "AB");
  assert.equal(
    await textOf(worker.fetch("v1/completions", { method: "POST", body: '{"prompt":"y","max_tokens":1}' })),
    "A",
  );
  assert.deepEqual(engine.prompts, ["x", "y"]);
  const list = await (await worker.fetch("/v1/models")).json();
  assert.deepEqual(
    list.data.map(({ id }) => id),
    ["a/b"],
  );
  assert.equal((await worker.complete({ max_tokens: -1 })).status, 400);
  await Promise.all(worker.work);
  assert.equal(worker.others, 0);
  for (const address of ["", "v2/completions", "models/v1/completions", "https://api.example/v1/completions"])
    assert.equal(await worker.fetch(address), null, address);
  // A link or a form on any site may lead here.
  assert.equal(await worker.complete({}, { mode: "navigate" }), null);
  assert.equal(worker.others, 5);
});

test("a stream passes through as it comes, and leaving it ends the writing", async () => {
  const worker = serviceWorker();
  const { engine, model } = await page("a/b");
  const response = await worker.complete({ max_tokens: 2, stream: true });
  assert.match(response.headers.get("content-type"), /^text\/event-stream/);
  assert.match(await response.text(), /"text":"A".*\n\n.*"text":"B"[^]*data: \[DONE\]\n\n$/);
  const { body } = await worker.complete({ max_tokens: LONG, stream: true });
  const reader = body.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /"text":"A"/);
  await reader.cancel();
  await becomes(() => engine.open, 0);
  await Promise.all(worker.work);
  const controller = new AbortController();
  const init = { method: "POST", body: `{"prompt":"x","max_tokens":${LONG}}`, signal: controller.signal };
  const asked = worker.fetch("/v1/completions", init);
  await becomes(() => engine.open, 1);
  controller.abort();
  assert.equal((await asked).type, "error");
  await becomes(() => engine.open, 0);
  await Promise.all(worker.work);
  await model.dispose();
});

test("without a page that holds a model the answer says so at once", async () => {
  const worker = serviceWorker();
  await page();
  await refusedWith(worker.complete(), 503, "no_model");
  // A page in another folder of this origin, which has its own worker.
  await page("a/b", { url: `${ORIGIN}/another/` });
  await refusedWith(worker.complete(), 503, "no_model");
  const { stop } = await page("a/b");
  assert.equal(await textOf(worker.complete({ max_tokens: 1 })), "A");
  stop();
  await soon();
  await refusedWith(worker.complete(), 503, "no_model");
  const controller = new AbortController();
  await page("a/b", { signal: controller.signal });
  assert.equal((await worker.complete()).status, 200);
  controller.abort();
  await soon();
  await refusedWith(worker.complete(), 503, "no_model");
  await page("a/b", { signal: AbortSignal.abort() });
  await refusedWith(worker.complete(), 503, "no_model");
  await Promise.all(worker.work);
});

test("of several pages one answers: the named model's, the asking one, the least busy, the newest", async () => {
  const worker = serviceWorker();
  const [one, two, three] = [await page("a/one"), await page("a/two"), await page("a/three")];
  three.engine.settle = async () => {};
  const answeredBy = async (body, more) =>
    (await (await worker.complete({ max_tokens: 1, ...body }, more)).json()).model;
  const since = mock.method(Date, "now", () => 9e15);
  const newest = await page("a/newest");
  since.mock.restore();
  assert.equal(await answeredBy(), "a/newest");
  assert.equal(await answeredBy({ model: "a/one" }), "a/one");
  assert.equal(await answeredBy({ model: "a/one" }, { clientId: two.client.id }), "a/one");
  assert.equal(await answeredBy({ model: "another" }, { clientId: two.client.id }), "a/two");
  const reader = (await worker.complete({ max_tokens: LONG, stream: true })).body.getReader();
  await reader.read();
  assert.equal(newest.engine.open, 1);
  assert.notEqual(await answeredBy(), "a/newest");
  await reader.cancel();
  await becomes(() => newest.engine.open, 0);
  assert.equal(one.engine.open + two.engine.open + three.engine.open, 0);
});

test("a page that closes ends its answers, with a sentence", async () => {
  const worker = serviceWorker();
  const holder = await page("a/b");
  const stream = await worker.complete({ max_tokens: LONG, stream: true });
  const whole = worker.complete({ max_tokens: LONG });
  const reader = stream.body.getReader();
  await reader.read();
  await soon();
  holder.close();
  await refusedWith(whole, 503, "page_closed");
  let last = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    last = new TextDecoder().decode(value);
  }
  assert.match(last, /^data: \{"error":\{"message":"The page that held the model was closed/);
  await Promise.all(worker.work);
  await becomes(() => holder.engine.open, 0);
});

test("a model that is disposed is not offered any more", async () => {
  const worker = serviceWorker();
  const old = await page("a/old");
  await page("a/new");
  await old.model.dispose();
  assert.equal((await (await worker.complete({ model: "a/old", max_tokens: 1 })).json()).model, "a/new");
  clients.length = 1;
  locks.freeAll(clients[0].url.replace("0", "1"));
  // Its page says so, and there is nothing else to wait for.
  mock.timers.enable({ apis: ["setTimeout"] });
  await refusedWith(worker.complete(), 503, "no_model");
});

test("a page that is kept for a way back is left alone, and answers again when it is there", async () => {
  const worker = serviceWorker();
  const { tell, stop } = await page("a/b");
  const shown = (persisted) => Object.assign(new Event("pageshow"), { persisted });
  tell(shown(false));
  tell(new Event("pagehide"));
  await soon();
  assert.deepEqual(await locks.query(), { held: [] }, "with a lock it would not be kept");
  await refusedWith(worker.complete(), 503, "no_model");
  tell(shown(true));
  await soon();
  assert.equal(await textOf(worker.complete({ max_tokens: 1 })), "A");
  stop();
  tell(shown(true));
  await soon();
  assert.deepEqual(await locks.query(), { held: [] });
});

/** Advances time in steps, with messages in between. */
async function pass(seconds) {
  for (let second = 0; second < seconds; second++) {
    mock.timers.tick(1000);
    for (let i = 0; i < 5; i++) await soon();
  }
}

/** Waits for a promise, one fake millisecond after the other. */
async function soonSettled(promise) {
  let isSettled = false;
  promise.finally(() => (isSettled = true));
  while (!isSettled) {
    mock.timers.tick(1);
    await soon();
  }
}

test("every wait has an end: for pages that do not say that they are there", async () => {
  const worker = serviceWorker();
  const { client } = await page("a/b");
  client.frozen = true;
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const asked = worker.complete();
  await pass(11);
  await refusedWith(asked, 503, "no_model");
});

test("every wait has an end: for a page that falls silent, but not for one that is at it", async () => {
  const worker = serviceWorker();
  const { engine } = await page("a/b");
  let goOn;
  const { start } = engine;
  engine.start = async (...args) => {
    await new Promise((resolve) => (goOn = resolve));
    return start.apply(engine, args);
  };
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  let isAnswered = false;
  const asked = worker.complete().then((response) => ((isAnswered = true), response));
  for (let i = 0; i < 50; i++) await soon();
  assert.equal(typeof goOn, "function");
  await pass(300);
  assert.equal(isAnswered, false, "it says that it is there");
  const [port] = ports.filter((one) => one.onmessage).slice(-1);
  port.onmessage = () => {}; // frozen
  await pass(80);
  await refusedWith(asked, 504, "silent_page");
  await Promise.all(worker.work);
  mock.timers.reset();
  goOn();
});

test("a worker that was ended leaves nothing running in the page", async () => {
  const worker = serviceWorker();
  const { engine } = await page("a/b");
  // Its own timer, which asks whether the page is still there, no longer runs.
  mock.timers.enable({ apis: ["setTimeout"] });
  const asked = worker.complete({ max_tokens: LONG, stream: true });
  await soonSettled(asked);
  await pass(80);
  assert.equal(engine.open, 1);
  await pass(15);
  await becomes(() => engine.open, 0);
});

test("what cannot be is refused", async () => {
  assert.throws(() => serviceWorker({ prefix: "https://api.example/v1/" }), TypeError);
  const worker = serviceWorker({ prefix: "llm/" });
  await page("a/b");
  const init = { method: "POST", body: '{"prompt":"x","max_tokens":1}' };
  assert.equal(await textOf(worker.fetch("llm/v1/completions", init)), "A");
  assert.equal(await worker.complete(), null);
  await assert.rejects(serveRequests({}), { code: "invalid-argument" });
  define("navigator", {});
  await assert.rejects(serveRequests(await TokenFormer.load("a/b")), /service worker/);
});
