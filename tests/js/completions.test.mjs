import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { TokenFormer } from "../../www/lib/api/model.js";
import { becomes, FakeEngine, useFakeEngine } from "./fake-engine.mjs";

let model;
let engine;
beforeEach(async () => {
  useFakeEngine();
  FakeEngine.made.length = 0;
  FakeEngine.beforeLoad = async () => {};
  model = await TokenFormer.load("a/b");
  [engine] = FakeEngine.made;
});

const used = () => engine.generations.at(-1).options;

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

test("a completion has the protocol's shape and defaults", async () => {
  const answer = await model.completions.create({ model: "a/b", prompt: "x" });
  const { id, created, ...rest } = answer;
  assert.match(id, /^cmpl-./);
  assert.ok(Number.isInteger(created) && Math.abs(created - Date.now() / 1000) < 60);
  assert.deepEqual(rest, {
    object: "text_completion",
    model: "a/b",
    choices: [{ text: "ABCDEFGHIJKLMNOP", index: 0, logprobs: null, finish_reason: "length" }],
    usage: { prompt_tokens: 5, completion_tokens: 16, total_tokens: 21 },
  });
  const { maxTokens, temperature, topP, logprobs, stop, repetitionPenalty } = used();
  assert.deepEqual([maxTokens, temperature, topP, logprobs, stop, repetitionPenalty], [16, 1, 1, 0, [], 1]);
});

test("every parameter reaches the engine; null is left out", async () => {
  const params = {
    prompt: [1, 2],
    max_tokens: 2,
    temperature: 0.5,
    top_p: 0.25,
    seed: 9,
    stop: "end",
    presence_penalty: 1,
    frequency_penalty: -1,
    logit_bias: { 7: 3 },
    top_k: 4,
    min_p: 0.125,
    repetition_penalty: 1.5,
    user: "somebody",
    best_of: 1,
    n: 1,
    suffix: null,
    logprobs: null,
    stream: false,
  };
  await model.completions.create(params);
  const {
    maxTokens,
    temperature,
    topP,
    seed,
    stop,
    presencePenalty,
    frequencyPenalty,
    logitBias,
    topK,
    minP,
    repetitionPenalty,
  } = used();
  assert.deepEqual(
    [
      maxTokens,
      temperature,
      topP,
      seed,
      stop,
      presencePenalty,
      frequencyPenalty,
      logitBias,
      topK,
      minP,
      repetitionPenalty,
    ],
    [2, 0.5, 0.25, 9, ["end"], 1, -1, [[7, 3]], 4, 0.125, 1.5],
  );
});

test("several prompts and choices are numbered through; a prompt counts once", async () => {
  const { choices, usage } = await model.completions.create({
    prompt: ["x", [104, 105]],
    n: 2,
    seed: 3,
    max_tokens: 2,
    echo: true,
  });
  assert.deepEqual(
    choices.map(({ index, text }) => [index, text]),
    [
      [0, "xAB"],
      [1, "xAB"],
      [2, "hiAB"],
      [3, "hiAB"],
    ],
  );
  assert.deepEqual(
    engine.generations.map(({ options }) => options.seed),
    [3, 4, 3, 4],
  );
  assert.deepEqual(usage, { prompt_tokens: 10, completion_tokens: 8, total_tokens: 18 });
});

test("logprobs are lists beside each other, with the chosen token among the likeliest", async () => {
  const {
    choices: [{ logprobs }],
  } = await model.completions.create({ prompt: "x", max_tokens: 2, logprobs: 2 });
  assert.deepEqual(logprobs, {
    tokens: ["A", "B"],
    token_logprobs: [-4, -4],
    top_logprobs: [
      { x: -0.1, y: -2, A: -4 },
      { x: -0.1, y: -2, B: -4 },
    ],
    text_offset: [0, 1],
  });
  const {
    choices: [none],
  } = await model.completions.create({ prompt: "x", max_tokens: 1, logprobs: 0 });
  assert.deepEqual(none.logprobs, { tokens: ["A"], token_logprobs: [-4], top_logprobs: [null], text_offset: [0] });
});

test("a stream has chunks of the same shape, then the reason, then the usage if that is wanted", async () => {
  const stream = await model.completions.create({
    prompt: "x",
    max_tokens: 2,
    logprobs: 1,
    stream: true,
    stream_options: { include_usage: true },
  });
  const parts = await collect(stream);
  assert.equal(new Set(parts.map(({ id, object, model }) => `${id} ${object} ${model}`)).size, 1);
  assert.deepEqual(
    parts.map(
      ({ choices: [choice] }) =>
        choice && [choice.index, choice.text, choice.logprobs?.text_offset, choice.finish_reason],
    ),
    [[0, "A", [0], null], [0, "B", [1], null], [0, "", undefined, "length"], undefined],
  );
  assert.deepEqual(
    parts.map(({ usage }) => usage),
    [null, null, null, { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 }],
  );
  const plain = await collect(await model.completions.create({ prompt: "x", max_tokens: 1, stream: true }));
  assert.ok(plain.every((part) => !("usage" in part)));
});

test("leaving the stream ends the writing", async () => {
  for await (const part of await model.completions.create({ prompt: "x", stream: true })) {
    assert.equal(part.choices[0].text, "A");
    break;
  }
  await becomes(() => engine.open, 0);
  assert.equal((await model.complete("x", { maxTokens: 1 })).text, "A");
});

test("an abort rejects, as it does with a client of the protocol", async () => {
  const controller = new AbortController();
  const stream = await model.completions.create(
    { prompt: "x", stream: true, max_tokens: 100 },
    { signal: controller.signal },
  );
  await assert.rejects(
    async () => {
      for await (const _ of stream) controller.abort("why");
    },
    { code: "aborted", cause: "why" },
  );
  await assert.rejects(model.completions.create({ prompt: "x" }, { signal: AbortSignal.abort() }), { code: "aborted" });
  await becomes(() => engine.open, 0);
});

test("what cannot be done is refused by name", async () => {
  const refused = [
    [undefined, /parameters/],
    [{ prompt: 5 }, /prompt/],
    [{ prompt: ["x", 5] }, /prompt/],
    [{ prompt: [] }, /prompt/],
    [{ model: "gpt-3.5-turbo-instruct" }, /model/],
    [{ max_tokens: 0 }, /max_tokens/],
    [{ max_tokens: "5" }, /max_tokens/],
    [{ temperature: -1 }, /temperature/],
    [{ n: 0 }, /n must/],
    [{ best_of: 3 }, /best_of/],
    [{ suffix: "end" }, /suffix/],
    [{ echo: true, logprobs: 1 }, /echo/],
    [{ stop: [5] }, /stop/],
    [{ stop: "" }, /stop/],
    [{ user: 5 }, /user/],
    [{ stream_options: { include_usage: true } }, /stream_options/],
    [{ stream: true, stream_options: { other: 1 } }, /other/],
    [{ messages: [] }, /messages/],
    [{ logprobs: 21 }, /logprobs/],
    [{ maxTokens: 5 }, /max_tokens/],
  ];
  for (const [params, name] of refused) {
    const error = await model.completions.create(params && { prompt: "x", ...params }).catch((thrown) => thrown);
    assert.equal(error.code, "invalid-argument", JSON.stringify(params));
    assert.match(`${error.message} ${error.hint}`, name);
  }
  await assert.rejects(model.completions.create({ prompt: "x" }, { timeout: 5 }), { code: "invalid-argument" });
  assert.equal(engine.generations.length, 0);
});
