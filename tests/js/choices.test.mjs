// Completions with several choices, which are written at once.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { becomes, loadFake } from "./fake-engine.mjs";

let model;
let engine;
beforeEach(async () => {
  ({ model, engine } = await loadFake());
});

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

test("several choices are written at once, one as by generate", async () => {
  await model.completions.create({ prompt: [[1], [2, 3]], n: 5, max_tokens: 1, seed: Number.MAX_SAFE_INTEGER });
  assert.deepEqual([engine.log.filter((call) => call === "start").length, engine.open], [1, 0]);
  assert.deepEqual(engine.prompts, [...Array(5).fill(Uint32Array.of(1)), ...Array(5).fill(Uint32Array.of(2, 3))]);
  const seeds = engine.generations.map(({ options }) => options.seed);
  assert.deepEqual(seeds.slice(0, 5), [Number.MAX_SAFE_INTEGER, 0, 1, 2, 3]);
  assert.deepEqual(seeds.slice(5), seeds.slice(0, 5));
  await model.completions.create({ prompt: ["x", "y"], max_tokens: 1 });
  const [one, two] = engine.generations.slice(-2).map(({ options }) => options.seed);
  assert.ok(Number.isSafeInteger(one) && Number.isSafeInteger(two) && one !== two, "each a random one");
  const { several } = engine;
  await model.completions.create({ prompt: ["x"], max_tokens: 1, seed: Number.MAX_SAFE_INTEGER });
  assert.equal(engine.several, several);
  assert.equal(engine.generations.at(-1).options.seed, Number.MAX_SAFE_INTEGER);
});

test("a stream of several choices has their parts mixed, each with its index", async () => {
  engine.ends = { 4: 1 };
  const stream = await model.completions.create({
    prompt: ["x", "yy"],
    n: 2,
    seed: 3,
    max_tokens: 2,
    logprobs: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
  const parts = await collect(stream);
  const told = parts.flatMap(({ choices }) => choices);
  assert.deepEqual(
    told.slice(0, 6).map(({ index, text, logprobs }) => [index, text, logprobs.text_offset]),
    [
      [0, "A", [0]],
      [1, "A", [0]],
      [2, "A", [0]],
      [3, "A", [0]],
      [0, "B", [1]],
      [2, "B", [1]],
    ],
  );
  assert.deepEqual(
    told.slice(6).map(({ index, text, finish_reason: reason }) => [index, text, reason]),
    [
      [0, "", "length"],
      [1, "", "stop"],
      [2, "", "length"],
      [3, "", "stop"],
    ],
  );
  assert.deepEqual(parts.at(-1).usage, { prompt_tokens: 10, completion_tokens: 6, total_tokens: 16 });
});

test("logprobs of several choices begin with the echo of each one's prompt", async () => {
  engine.score = async ([{ text }]) => [{ logprobs: [...text].map((_, i) => (i === 0 ? null : -i)) }];
  const asked = { prompt: ["x", "yy"], n: 2, max_tokens: 2, echo: true, logprobs: 0 };
  const { choices } = await model.completions.create(asked);
  assert.deepEqual(
    choices.map(({ text, logprobs }) => [text, logprobs.tokens.join("|"), logprobs.text_offset.join("")]),
    [
      ["xAB", "x|A|B", "012"],
      ["xAB", "x|A|B", "012"],
      ["yyAB", "y|y|A|B", "0123"],
      ["yyAB", "y|y|A|B", "0123"],
    ],
  );
  const texts = [];
  for (const {
    choices: [choice],
  } of await collect(await model.completions.create({ ...asked, stream: true }))) {
    const { index, text, logprobs } = choice;
    texts[index] ??= "";
    if (logprobs) assert.equal(logprobs.text_offset[0], texts[index].length, `${index} ${text}`);
    texts[index] += text;
  }
  assert.deepEqual(texts, ["xAB", "xAB", "yyAB", "yyAB"]);
});

test("leaving a stream of several choices, an abort and dispose end all of them", async () => {
  const asked = { prompt: ["x", "y"], n: 2, stream: true, max_tokens: 100 };
  for await (const _ of await model.completions.create(asked)) break;
  await model.encode("x"); // behind what frees them
  assert.equal(engine.open, 0);
  const controller = new AbortController();
  const stream = await model.completions.create(asked, { signal: controller.signal });
  let parts = 0;
  await assert.rejects(
    async () => {
      for await (const _ of stream) {
        parts += 1;
        controller.abort("why");
      }
    },
    { code: "aborted", cause: "why" },
  );
  assert.equal(parts, 1, "nothing is told after the abort");
  await becomes(() => engine.open, 0);
  const whole = new AbortController();
  const running = model.completions.create({ ...asked, stream: false }, { signal: whole.signal });
  await becomes(() => engine.open, 1);
  whole.abort();
  await assert.rejects(running, { code: "aborted" });
  const last = model.completions.create({ ...asked, stream: false });
  await becomes(() => engine.open, 1);
  await model.dispose();
  await assert.rejects(last, { code: "aborted" });
  await becomes(() => engine.open, 0);
});
