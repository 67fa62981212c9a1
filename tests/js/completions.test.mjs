import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { becomes, loadFake } from "./fake-engine.mjs";

let model;
let engine;
beforeEach(async () => {
  ({ model, engine } = await loadFake());
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

/** A model of five tokens beside those of characters: what it expects of each place, and scores that agree. */
function expects(rows) {
  const rowOf = (ids) => rows[ids.length] ?? assert.fail(`nobody asks what follows ${ids.length} tokens`);
  engine.logits = (ids) => engine.exclusive("logits", async () => Float32Array.from(rowOf(ids)));
  engine.score = (items) =>
    engine.exclusive("score", async () =>
      items.map(({ text }) => ({
        tokenIds: [...text],
        logprobs: [...text].map((id, i) => (i === 0 ? null : logSoftmax(rowOf(text.slice(0, i)))[id])),
      })),
    );
}
const logSoftmax = (row) => {
  const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return row.map((logit) => logit - total);
};
const close = (a, b) => assert.ok(Math.abs(a - b) < 1e-6, `${a} is not ${b}`);

test("echo with logprobs begins with the prompt's own; its first token has none", async () => {
  const row = [0, 1, 2, 3.5, -1];
  expects([undefined, row, row]);
  const [one, two, three] = [1, 2, 3].map((id) => String.fromCodePoint(id));
  const { choices, usage } = await model.completions.create({
    prompt: [3, 2, 3],
    echo: true,
    logprobs: 2,
    max_tokens: 1,
    n: 2,
  });
  assert.deepEqual(usage, { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 });
  for (const { text, logprobs } of choices) {
    assert.equal(text, `${three}${two}${three}A`);
    assert.deepEqual(logprobs.tokens, [three, two, three, "A"]);
    assert.deepEqual(logprobs.text_offset, [0, 1, 2, 3]);
    assert.deepEqual([logprobs.token_logprobs[0], logprobs.top_logprobs[0]], [null, null]);
    const wanted = logSoftmax(row);
    close(logprobs.token_logprobs[1], wanted[2]);
    close(logprobs.token_logprobs[2], wanted[3]);
    assert.deepEqual(Object.keys(logprobs.top_logprobs[1]), [three, two]);
    // Code that checks whether a token was the most likely one compares these two.
    assert.equal(Math.max(...Object.values(logprobs.top_logprobs[2])), logprobs.token_logprobs[2]);
    assert.equal(logprobs.token_logprobs[3], -4);
  }
  assert.equal(engine.log.filter((call) => call === "logits").length, 2, "once for both choices");
  // A token outside of the most likely ones is reported as well, and rows without a token are not.
  const { decode } = engine;
  engine.decode = (ids) => (ids.length === 1 && ids[0] === 3 ? "" : decode.call(engine, ids));
  expects([undefined, row]);
  const unlikely = await model.completions.create({ prompt: [3, 1], echo: true, logprobs: 1, max_tokens: 0 });
  assert.deepEqual(Object.keys(unlikely.choices[0].logprobs.top_logprobs[1]), [two, one]);
});

test("max_tokens 0 with echo only scores", async () => {
  expects([undefined, [0, 1, 2], [3, 1, 2]]);
  const asked = { prompt: [[2, 1, 0]], echo: true, max_tokens: 0, logprobs: 0 };
  const answer = await model.completions.create(asked);
  const [{ logprobs, finish_reason: reason }] = answer.choices;
  assert.equal(reason, "length");
  assert.deepEqual(logprobs.top_logprobs, [null, null, null]);
  assert.equal(logprobs.token_logprobs[0], null);
  close(logprobs.token_logprobs[1], logSoftmax([0, 1, 2])[1]);
  close(logprobs.token_logprobs[2], logSoftmax([3, 1, 2])[0]);
  assert.deepEqual(answer.usage, { prompt_tokens: 3, completion_tokens: 0, total_tokens: 3 });
  assert.deepEqual([engine.generations.length, engine.log], [0, ["score"]]);
  const parts = await collect(await model.completions.create({ ...asked, stream: true }));
  assert.deepEqual(parts[0].choices[0].logprobs, logprobs);
  assert.deepEqual(
    parts.map(({ choices: [choice] }) => [choice.text, choice.finish_reason]),
    [
      ["\u0002\u0001\u0000", null],
      ["", "length"],
    ],
  );
  const text = await model.completions.create({ prompt: "hi", echo: true, max_tokens: 0 });
  assert.deepEqual([text.choices[0].text, text.choices[0].logprobs], ["hi", null]);
  const beginning = await model.completions.create({ prompt: "", echo: true, max_tokens: 0, logprobs: 1 });
  assert.deepEqual(beginning.choices[0].logprobs.tokens, []);
  assert.equal(beginning.usage.prompt_tokens, 1);
});

test("a character of several tokens is told with its last one", async () => {
  const bytes = new TextEncoder().encode("é→!");
  engine.decode = (ids) => new TextDecoder().decode(Uint8Array.from(ids));
  engine.score = async ([{ text }]) => [{ logprobs: [...text].map((_, i) => (i === 0 ? null : -i)) }];
  const { choices } = await model.completions.create({ prompt: [...bytes], echo: true, max_tokens: 0, logprobs: 0 });
  const { tokens, text_offset: offsets } = choices[0].logprobs;
  assert.deepEqual(tokens, ["", "é", "", "", "→", "!"]);
  assert.deepEqual(offsets, [0, 0, 1, 1, 1, 2]);
  // Bytes that do not form a character are reported as they are decoded.
  const broken = await model.completions.create({ prompt: [0xff, 0x41], echo: true, max_tokens: 0, logprobs: 0 });
  assert.equal(broken.choices[0].logprobs.tokens.join(""), broken.choices[0].text);
});

test("a prompt that cannot be scored is refused, and an abort ends the scoring", async () => {
  const { info } = engine;
  engine.info = () => ({ ...info.call(engine), contextLength: 2 });
  const scored = { echo: true, max_tokens: 0, logprobs: 1 };
  await assert.rejects(model.completions.create({ prompt: [0, 1, 2], ...scored }), /context of 2/);
  engine.info = info;
  expects([undefined, [0, 1], [0, 1]]);
  await assert.rejects(model.completions.create({ prompt: [0, 7], ...scored }), /7 is out of range/);
  const controller = new AbortController();
  engine.logits = () =>
    engine.exclusive("logits", async () => {
      controller.abort("why");
      return Float32Array.of(0, 1);
    });
  const asked = model.completions.create({ prompt: [0, 1, 1], ...scored }, { signal: controller.signal });
  await assert.rejects(asked, { code: "aborted", cause: "why" });
  assert.equal(engine.log.filter((call) => call === "logits").length, 2);
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
    [{ max_tokens: 0, logprobs: 1 }, /echo/],
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
