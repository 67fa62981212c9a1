// The model as a server: model.fetch, its errors and its streams.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { encodeEvent, eventStream } from "../../www/lib/http/sse.js";
import { becomes, loadFake } from "./fake-engine.mjs";

const BASE = "http://tokenformer/v1";

let model;
let engine;
let ask;
beforeEach(async () => {
  ({ model, engine } = await loadFake());
  ask = model.fetch; // detached
});

const post = (path, body, init) =>
  ask(new URL(path, `${BASE}/`), {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });
const jsonOf = async (response) => (await response).json();

/** The events of a stream, as the standard reads them. */
function eventsIn(text) {
  assert.ok(text.endsWith("\n\n"), "the last event is whole");
  return text
    .slice(0, -2)
    .split("\n\n")
    .map((event) => {
      assert.match(event, /^data: [^\r\n]*$/);
      return event.slice("data: ".length);
    });
}

test("a completion is answered as completions.create does, whatever the model is called", async () => {
  const asked = { prompt: "x", max_tokens: 2, seed: 3, logprobs: 1 };
  const response = await post("completions", { ...asked, model: "gpt-3.5-turbo-instruct" });
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/json"]);
  const { id, created, ...rest } = await response.json();
  const { id: otherId, created: otherTime, ...wanted } = await model.completions.create(asked);
  assert.deepEqual(rest, wanted);
  assert.equal(rest.model, "a/b");
  assert.ok(id !== otherId && otherTime - created < 60);
});

test("it takes what fetch takes", async () => {
  const body = JSON.stringify({ prompt: "x", max_tokens: 1 });
  const request = new Request("https://other.example/some/prefix/v1/completions/?x=1", { method: "POST", body });
  assert.equal((await jsonOf(ask(request))).choices[0].text, "A");
  assert.equal((await jsonOf(ask(`${BASE}/models`))).object, "list");
  await assert.rejects(ask("no address"), TypeError);
  await assert.rejects(ask(`${BASE}/models`, { method: "GET", body }), TypeError);
});

test("a stream has an event for every chunk, and tells its end", async () => {
  const response = await post("completions", {
    prompt: "x",
    max_tokens: 2,
    stream: true,
    stream_options: { include_usage: true },
  });
  assert.match(response.headers.get("content-type"), /^text\/event-stream/);
  const events = eventsIn(await response.text());
  assert.equal(events.pop(), "[DONE]");
  const parts = events.map((event) => JSON.parse(event));
  assert.deepEqual(
    parts.map(({ choices: [choice], usage }) => choice?.text ?? usage.total_tokens),
    ["A", "B", "", 7],
  );
});

test("several choices are one stream, and an abort ends all", async () => {
  const asked = { prompt: ["x", "y"], n: 2, max_tokens: 1, stream: true };
  const events = eventsIn(await (await post("completions", asked)).text());
  assert.equal(events.pop(), "[DONE]");
  const told = events.map((event) => JSON.parse(event).choices[0]);
  assert.deepEqual(
    told.map(({ index, text, finish_reason: reason }) => `${index} ${text || reason}`),
    ["0 A", "1 A", "2 A", "3 A", "0 length", "1 length", "2 length", "3 length"],
  );
  const { body } = await post("completions", { ...asked, max_tokens: 1000 });
  await body.cancel("enough");
  assert.equal((await jsonOf(post("completions", { prompt: "y", max_tokens: 1 }))).choices[0].text, "A");
  await model.encode("x"); // behind what frees them
  assert.equal(engine.open, 0);
  assert.ok(engine.several.written < 100, "nobody writes on");
});

test("events come as tokens do, and nobody has to read them for the next call to have its turn", async () => {
  let goOn;
  const { body } = await post("completions", { prompt: "x", max_tokens: 3, stream: true });
  const [generation] = engine.generations;
  const { next } = generation;
  generation.next = async () => {
    await new Promise((resolve) => (goOn = resolve));
    return next.call(generation);
  };
  const reader = body.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /"text":"A"/);
  await becomes(() => typeof goOn, "function");
  goOn();
  assert.match(new TextDecoder().decode((await reader.read()).value), /"text":"B"/);
  generation.next = next;
  goOn();
  assert.equal((await jsonOf(post("completions", { prompt: "y", max_tokens: 1 }))).choices[0].text, "A");
});

test("an abort while the body is read ends the request, and nothing is written", async () => {
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  const body = new ReadableStream({
    pull(stream) {
      controller.abort(reason);
      stream.enqueue(new TextEncoder().encode('{"prompt": "x"}'));
      stream.close();
    },
  });
  await assert.rejects(post("completions", "", { body, duplex: "half", signal: controller.signal }), reason);
  assert.equal(engine.generations.length, 0);
});

test("an abort rejects as fetch does, before the answer and within it", async () => {
  const reason = new DOMException("enough", "AbortError");
  await assert.rejects(post("completions", { prompt: "x" }, { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(engine.generations.length, 0);
  for (const stream of [false, true]) {
    const controller = new AbortController();
    const waiting = post("completions", { prompt: "x", max_tokens: 1e6, stream }, { signal: controller.signal });
    if (!stream) await becomes(() => engine.open, 1);
    const response = stream ? await waiting : null;
    controller.abort(reason);
    await assert.rejects(response ? response.text() : waiting, reason);
    await becomes(() => engine.open, 0);
  }
});

test("cancelling the body ends the writing", async () => {
  const { body } = await post("completions", { prompt: "x", max_tokens: 1e6, stream: true });
  const reader = body.getReader();
  await reader.read();
  await reader.cancel();
  await becomes(() => engine.open, 0);
  assert.equal((await model.complete("x", { maxTokens: 1 })).text, "A");
});

test("models are listed and found by their id", async () => {
  const { object, data } = await jsonOf(ask(`${BASE}/models`));
  const [{ created, ...entry }] = data;
  assert.deepEqual([object, data.length], ["list", 1]);
  assert.deepEqual(entry, { id: "a/b", object: "model", owned_by: "tokenformer-web" });
  assert.ok(Number.isInteger(created));
  for (const id of ["a/b", "a%2Fb"]) assert.deepEqual(await jsonOf(ask(`${BASE}/models/${id}`)), data[0]);
  const other = await ask(`${BASE}/models/c%2F%E0`);
  assert.equal(other.status, 404);
  assert.deepEqual([(await other.json()).error.code], ["model_not_found"]);
});

test("texts become tokens and tokens texts, as llama.cpp's server has it", async () => {
  for (const root of ["/", "/v1/"]) {
    assert.deepEqual(await jsonOf(post(`${root}tokenize`, { content: "hi" })), { tokens: [104, 105] });
    assert.deepEqual(await jsonOf(post(`${root}detokenize`, { tokens: [104, 105] })), { content: "hi" });
  }
  const pieces = await jsonOf(post("/tokenize", { content: "hi", add_special: false, with_pieces: true }));
  assert.deepEqual(pieces.tokens, [
    { id: 104, piece: "h" },
    { id: 105, piece: "i" },
  ]);
  assert.deepEqual(await jsonOf(post("/detokenize", { tokens: [] })), { content: "" });
});

test("errors have the protocol's form and HTTP's status", async () => {
  const faults = [
    [400, "invalid-argument", post("completions", "{")],
    [400, "invalid-argument", post("completions", "")],
    [400, "invalid-argument", post("completions", "[]")],
    [400, "invalid-argument", post("completions", { prompt: "x", max_tokens: -1 }), "max_tokens"],
    [400, "invalid-argument", post("completions", { prompt: ["x", 5] }), "prompt"],
    [400, "invalid-argument", post("completions", { prompt: "x", stream: true, temperature: "0" }), "temperature"],
    [400, "invalid-argument", post("completions", { prompt: "x", unknown: 1 })],
    // An error of the engine, which knows what fits, before a stream has begun.
    [400, "invalid-argument", post("completions", { prompt: "refuse", stream: true })],
    [400, "invalid-argument", post("/tokenize", { content: 5 }), "content"],
    [400, "invalid-argument", post("/tokenize", {})],
    [400, "invalid-argument", post("/detokenize", { tokens: "x" }), "tokens"],
    [400, "invalid-argument", post("/detokenize", { tokens: [-1] })],
    [404, "unknown_url", post("chat/completions", { messages: [] })],
    [404, "unknown_url", post("responses", {})],
    [404, "unknown_url", post("embeddings", {})],
    [404, "unknown_url", ask(BASE)],
    [404, "unknown_url", post("/completions", { prompt: "x" })],
    [405, "method_not_allowed", ask(`${BASE}/completions`)],
    [405, "method_not_allowed", post("models", {})],
    [405, "method_not_allowed", ask("http://x/tokenize", { method: "DELETE" })],
    [503, "device-lost", post("completions", { prompt: "lost" })],
  ];
  for (const [status, code, asked, param = null] of faults) {
    const response = await asked;
    assert.equal(response.status, status, code);
    const { error } = await response.json();
    assert.deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
    assert.deepEqual([error.code, error.param], [code, param], error.message);
    assert.equal(error.type, status < 500 ? "invalid_request_error" : "server_error");
    for (const sentence of error.message.split(/(?<=\.)\s/))
      assert.ok(sentence.split(" ").length <= 25, `too long: ${sentence}`);
    assert.equal(response.headers.get("x-should-retry"), status < 500 ? null : "false");
  }
  assert.match((await jsonOf(post("chat/completions", {}))).error.message, /no chat/);
  assert.match((await jsonOf(post("completions", { prompt: "refuse" }))).error.message, /^No\. Say please\.$/);
  assert.equal((await ask(`${BASE}/completions`)).headers.get("allow"), "POST");
});

test("a model that is disposed is an unavailable server, also in the middle of an answer", async () => {
  const stream = await post("completions", { prompt: "x", max_tokens: 1e6, stream: true });
  const whole = post("completions", { prompt: "x", max_tokens: 1e6 });
  await model.dispose();
  const events = eventsIn(await stream.text());
  assert.equal(JSON.parse(events.at(-1)).error.type, "server_error");
  assert.equal((await whole).status, 503);
  for (const asked of [
    post("completions", { prompt: "x" }),
    ask(`${BASE}/models`),
    post("/tokenize", { content: "" }),
  ]) {
    const response = await asked;
    assert.deepEqual([response.status, (await response.json()).error.code], [503, "disposed"]);
  }
  assert.equal((await post("chat/completions", {})).status, 404);
});

/** mulberry32: the same values every time. */
function* randoms(seed) {
  for (;;) {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    yield ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Reads a stream as the HTML standard says (9.2.6): any of three line ends, fields, a byte order mark. */
function standardEvents(text) {
  const events = [];
  let data = [];
  for (const line of text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/)) {
    if (line === "") {
      if (data.length > 0) events.push(data.join("\n"));
      data = [];
      continue;
    }
    const [, field, value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line);
    if (field === "data") data.push(value);
  }
  return events;
}

test("any text comes through a stream as it is", async () => {
  const random = randoms(7);
  const next = (count) => Math.floor(random.next().value * count);
  const ALPHABET = ["\n", "\r", "\n\n", "data: ", ":", "[DONE]", " ", '"', "\\", "\u2028", "\u2029", "\0", "\uFEFF"];
  ALPHABET.push("é", "→", "😀", "\uD83D", "\uDE00", "event: x\n", "id", "a");
  for (let round = 0; round < 300; round++) {
    const values = Array.from({ length: 1 + next(5) }, () => ({
      text: Array.from({ length: next(8) }, () => ALPHABET[next(ALPHABET.length)]).join(""),
    }));
    const [first, ...others] = values;
    const body = eventStream(first, others[Symbol.iterator](), {
      request: new Request(BASE),
      cancel: () => assert.fail(),
      describe: (error) => error,
    });
    const bytes = new Uint8Array(await new Response(body).arrayBuffer());
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const events = standardEvents(text);
    assert.equal(events.pop(), "[DONE]");
    assert.deepEqual(
      events.map((event) => JSON.parse(event)),
      values,
    );
  }
  assert.equal(new TextDecoder().decode(encodeEvent({ a: "\n" })), 'data: {"a":"\\n"}\n\n');
});

test("a failure within a stream is its last event", async () => {
  const failing = { next: async () => Promise.reject(new Error("broken")) };
  const describe = ({ message }) => ({ error: { message } });
  const body = eventStream({ a: 1 }, failing, { request: new Request(BASE), cancel: () => {}, describe });
  assert.deepEqual(eventsIn(await new Response(body).text()), ['{"a":1}', '{"error":{"message":"broken"}}']);
});
