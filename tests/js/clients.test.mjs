// Clients in common use, as published: their examples of text completions run with nothing changed except
// address, key and fetch.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { OpenAI as LangChain } from "@langchain/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { becomes, loadFake } from "./fake-engine.mjs";

const baseURL = "http://tokenformer/v1";

let model;
let engine;
beforeEach(async () => {
  ({ model, engine } = await loadFake());
});
const used = () => engine.generations.at(-1).options;

describe("openai-node", () => {
  // dangerouslyAllowBrowser is for pages; node takes it, too.
  let client;
  beforeEach(() => {
    client = new OpenAI({ baseURL, apiKey: "-", fetch: model.fetch, dangerouslyAllowBrowser: true });
  });

  test("writes", async () => {
    const completion = await client.completions.create({
      model: "gpt-3.5-turbo-instruct",
      prompt: "Say this is a test.",
      max_tokens: 7,
      temperature: 0,
    });
    assert.equal(completion.choices[0].text, "ABCDEFG");
    assert.deepEqual([used().maxTokens, used().temperature, engine.prompts.at(-1)], [7, 0, "Say this is a test."]);
  });

  test("streams", async () => {
    const stream = await client.completions.create({
      model: "gpt-3.5-turbo-instruct",
      prompt: "Say this is a test.",
      max_tokens: 3,
      stream: true,
    });
    let text = "";
    for await (const part of stream) text += part.choices[0].text;
    assert.equal(text, "ABC");
  });

  test("leaves a stream", async () => {
    const stream = await client.completions.create({ model: "x", prompt: "x", max_tokens: 1e6, stream: true });
    for await (const part of stream) {
      assert.equal(part.choices[0].text, "A");
      break;
    }
    await becomes(() => engine.open, 0);
  });

  test("aborts", async () => {
    const controller = new AbortController();
    const asked = client.completions.create(
      { model: "x", prompt: "x", max_tokens: 1e6 },
      { signal: controller.signal },
    );
    await becomes(() => engine.open, 1);
    controller.abort();
    await assert.rejects(asked, OpenAI.APIUserAbortError);
    await becomes(() => engine.open, 0);
  });

  test("lists models", async () => {
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    assert.deepEqual(ids, ["a/b"]);
    assert.equal((await client.models.retrieve("a/b")).id, "a/b");
  });

  test("throws its own errors, and does not ask again in vain", async () => {
    const refused = client.completions.create({ model: "x", prompt: "x", suffix: "end" });
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.deepEqual([error.param, error.code], ["suffix", "invalid-argument"]);
      assert.match(error.message, /only continue text/);
      return true;
    });
    await assert.rejects(client.chat.completions.create({ model: "x", messages: [] }), OpenAI.NotFoundError);
    const prompts = engine.prompts.length;
    await assert.rejects(client.completions.create({ model: "x", prompt: "lost" }), OpenAI.InternalServerError);
    assert.equal(engine.prompts.length, prompts + 1);
    const stream = await client.completions.create({ model: "x", prompt: "x", max_tokens: 1e6, stream: true });
    await assert.rejects(async () => {
      for await (const _ of stream) model.dispose();
    }, OpenAI.APIError);
  });
});

describe("LangChain's OpenAI class", () => {
  let llm;
  beforeEach(() => {
    llm = new LangChain({
      model: "gpt-3.5-turbo-instruct",
      temperature: 0,
      maxTokens: 4,
      maxRetries: 2,
      apiKey: "-",
      configuration: { baseURL, fetch: model.fetch, dangerouslyAllowBrowser: true },
    });
  });

  test("writes", async () => {
    assert.equal(await llm.invoke("OpenAI is an AI company that "), "ABCD");
    assert.deepEqual([used().temperature, engine.prompts.at(-1)], [0, "OpenAI is an AI company that "]);
  });

  test("streams", async () => {
    const parts = [];
    for await (const part of await llm.stream("OpenAI is an AI company that ")) parts.push(part);
    assert.equal(parts.join(""), "ABCD");
  });

  test("writes several, with the tokens counted", async () => {
    const { generations, llmOutput } = await llm.generate(["x", "y"]);
    assert.deepEqual(
      generations.map(([{ text }]) => text),
      ["ABCD", "ABCD"],
    );
    assert.deepEqual(llmOutput.tokenUsage, { promptTokens: 10, completionTokens: 8, totalTokens: 18 });
  });
});

describe("the AI SDK's provider for compatible servers", () => {
  let provider;
  beforeEach(() => {
    provider = createOpenAICompatible({ name: "tokenformer", apiKey: "-", baseURL, fetch: model.fetch });
  });

  test("writes", async () => {
    const { text, finishReason, usage } = await generateText({
      model: provider.completionModel("gpt-3.5-turbo-instruct"),
      prompt: "Write a vegetarian lasagna recipe for 4 people.",
      maxOutputTokens: 5,
    });
    assert.deepEqual([text, finishReason, usage.totalTokens], ["ABCDE", "length", 10]);
  });

  test("streams", async () => {
    const { textStream } = streamText({
      model: provider.completionModel("gpt-3.5-turbo-instruct"),
      prompt: "Write a vegetarian lasagna recipe for 4 people.",
      maxOutputTokens: 3,
    });
    assert.equal(await joined(textStream), "ABC");
  });

  test("is told mistakes", async () => {
    const asked = generateText({ model: provider.completionModel("x"), prompt: "x", temperature: -1, maxRetries: 2 });
    await assert.rejects(asked, { name: "AI_APICallError", statusCode: 400, message: /temperature/ });
  });
});

async function joined(stream) {
  let text = "";
  for await (const part of stream) text += part;
  return text;
}
