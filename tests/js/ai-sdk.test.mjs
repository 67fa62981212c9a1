// The provider for the AI SDK, tested with the real SDK.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { generateText, jsonSchema, streamText, tool } from "ai";
import { createTokenFormer, tokenFormer } from "../../www/ai-sdk.js";
import { TokenFormer } from "../../www/lib/api/model.js";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { becomes, FakeEngine, useFakeEngine } from "./fake-engine.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

let model;
let engine;
beforeEach(async () => {
  useFakeEngine();
  FakeEngine.made.length = 0;
  FakeEngine.requests.length = 0;
  FakeEngine.beforeLoad = async () => {};
  model = await TokenFormer.load("a/b");
  [engine] = FakeEngine.made;
});
const used = () => engine.generations.at(-1).options;

test("generateText writes on from the raw prompt", async () => {
  const { text, finishReason, usage, warnings, response } = await generateText({
    model: tokenFormer(model),
    prompt: "Once upon a time ",
    maxOutputTokens: 4,
  });
  assert.deepEqual([text, finishReason, warnings, response.modelId], ["ABCD", "length", [], "a/b"]);
  assert.deepEqual([usage.inputTokens, usage.outputTokens], [5, 4]);
  assert.deepEqual(engine.prompts, ["Once upon a time "]);
});

test("streamText tells the text as it comes", async () => {
  const { textStream, finishReason, usage } = streamText({
    model: tokenFormer(model),
    prompt: "x",
    maxOutputTokens: 3,
  });
  const parts = [];
  for await (const part of textStream) parts.push(part);
  assert.deepEqual(parts, ["A", "B", "C"]);
  assert.deepEqual([await finishReason, (await usage).outputTokens], ["length", 3]);
});

test("every setting reaches the engine; a call's go before the model's", async () => {
  const settings = { maxOutputTokens: 2, temperature: 0.5, topP: 0.25, topK: 4, presencePenalty: 1, seed: 9 };
  await generateText({
    model: tokenFormer(model, { minP: 0.125, temperature: 0.1, heal: false }),
    prompt: "x",
    ...settings,
    frequencyPenalty: -1,
    stopSequences: ["end"],
    providerOptions: { tokenformer: { repetitionPenalty: 1.5, logitBias: { 7: 3 } } },
  });
  const { maxTokens, temperature, topP, topK, minP, presencePenalty, frequencyPenalty, seed, stop, heal } = used();
  const given = [maxTokens, temperature, topP, topK, minP, presencePenalty, frequencyPenalty, seed, stop, heal];
  assert.deepEqual(given, [2, 0.5, 0.25, 4, 0.125, 1, -1, 9, ["end"], false]);
  assert.deepEqual([used().repetitionPenalty, used().logitBias], [1.5, [[7, 3]]]);
});

test("messages are one text, and what a base model cannot do is warned about", async () => {
  const messages = [
    {
      role: "user",
      content: [
        { type: "text", text: "One " },
        { type: "text", text: "and " },
      ],
    },
    { role: "assistant", content: "two, " },
    { role: "user", content: [{ type: "file", mediaType: "image/png", data: new Uint8Array([1]) }] },
  ];
  const weather = tool({ inputSchema: jsonSchema({ type: "object" }), execute: () => assert.fail() });
  const { warnings, text } = await generateText({
    model: tokenFormer(model),
    instructions: "Count: ",
    messages,
    tools: { weather },
    reasoning: "high",
    maxOutputTokens: 1,
  });
  assert.equal(text, "A");
  assert.deepEqual(engine.prompts, ["Count: One and two, "]);
  assert.deepEqual(
    warnings.map(({ feature, type }) => feature ?? type),
    ["tools", "reasoning", "other", "file parts"],
  );
  for (const { details, message } of warnings)
    for (const sentence of (details ?? message).split(". ")) assert.ok(sentence.split(" ").length <= 25, sentence);
  const { warnings: direct } = await tokenFormer(model).doGenerate({ prompt: [], responseFormat: { type: "json" } });
  assert.deepEqual(
    direct.map(({ feature }) => feature),
    ["responseFormat"],
  );
});

test("an abort ends the writing", async () => {
  for (const write of [generateText, streamText]) {
    const controller = new AbortController();
    const asked = write({
      model: tokenFormer(model),
      prompt: "x",
      maxOutputTokens: 1e6,
      abortSignal: controller.signal,
    });
    if (write === streamText) {
      const types = [];
      for await (const { type } of asked.stream) {
        types.push(type);
        if (type === "text-delta") controller.abort();
      }
      assert.equal(types.at(-1), "abort");
    } else {
      await becomes(() => engine.open, 1);
      controller.abort();
      await assert.rejects(asked, { name: "AbortError" });
    }
    await becomes(() => engine.open, 0);
  }
});

test("leaving a stream ends the writing, and a stream that nobody reads comes to its end", async () => {
  const prompt = [{ role: "user", content: [{ type: "text", text: "x" }] }];
  const { stream: left } = await tokenFormer(model).doStream({ prompt, maxOutputTokens: 1e6 });
  const reader = left.getReader();
  await reader.read();
  await reader.cancel();
  await becomes(() => engine.open, 0);
  await tokenFormer(model).doStream({ prompt, maxOutputTokens: 3 });
  assert.equal((await model.complete("y", { maxTokens: 1 })).text, "A");
});

test("mistakes are told at once, and not tried again", async () => {
  await assert.rejects(generateText({ model: tokenFormer(model), prompt: "refuse" }), { code: "invalid-argument" });
  assert.equal(engine.prompts.length, 1);
  const errors = [];
  const { textStream } = streamText({
    model: tokenFormer(model),
    prompt: "x",
    temperature: -1,
    onError: ({ error }) => errors.push(error),
  });
  for await (const _ of textStream);
  assert.match(errors[0].message, /temperature/);
  assert.throws(() => tokenFormer(5), { code: "invalid-argument" });
  assert.throws(() => tokenFormer.embeddingModel("x"), /no embedding model/);
  assert.throws(() => createTokenFormer({ signal: AbortSignal.abort() }), /abortSignal/);
  assert.throws(() => createTokenFormer({ quantization: "q5" }), /quantization/);
});

test("a named model is loaded once, with the provider's options, and again where it was lost", async () => {
  const provider = createTokenFormer({ quantization: "q8" });
  const write = (more) => generateText({ model: provider("o/n"), prompt: "x", maxOutputTokens: 1, ...more });
  FakeEngine.beforeLoad = async () => Promise.reject(Object.assign(new Error("No."), { code: "network", hint: "" }));
  await assert.rejects(write(), { code: "network" });
  FakeEngine.beforeLoad = async () => {};
  await Promise.all([write(), write()]);
  const loads = () => FakeEngine.requests.filter(({ id }) => id === "o/n").map(({ quantization }) => quantization);
  assert.deepEqual(loads(), ["q8", "q8"]);
  FakeEngine.beforeLoad = () => new Promise(() => {});
  const abortSignal = AbortSignal.abort();
  await assert.rejects(generateText({ model: provider("o/other"), prompt: "x", abortSignal }), { name: "AbortError" });
  FakeEngine.beforeLoad = async () => {};
  engine = FakeEngine.made.at(-1);
  await assert.rejects(write({ prompt: "lost" }), { code: "device-lost" });
  await write();
  assert.deepEqual(loads(), ["q8", "q8", "q8"]);
  assert.equal(provider().modelId, EMBEDDED.name);
});
