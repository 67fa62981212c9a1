// What the types must allow, and what they must reject: checked by npm.test.mjs as a part of the example project.

import {
  TokenFormer,
  TokenFormerError,
  type Chunk,
  type CompletionChoice,
  type ErrorCode,
  type GenerateResult,
  type ModelInfo,
} from "tokenformer-web";
import type { ProviderV4 } from "@ai-sdk/provider";
import type { ClientOptions } from "openai";
import { createTokenFormer, tokenFormer } from "tokenformer-web/ai-sdk";
import { passRequests, serveRequests } from "tokenformer-web/service-worker";

export async function everything(): Promise<void> {
  const model = await TokenFormer.load("owner/name", {
    quantization: "q4",
    signal: AbortSignal.timeout(1000),
    onProgress: (p) => p.secondsLeft?.toFixed(),
  });
  const chunks = model.generate([1, 2, 3], { maxTokens: 5, logitBias: { 7: -1 }, stop: ["end"] as const });
  let step = await chunks.next();
  while (!step.done) {
    const chunk: Chunk = step.value;
    chunk.topLogprobs?.at(0)?.logprob.toFixed();
    step = await chunks.next();
  }
  const result: GenerateResult = step.value;
  const info: ModelInfo = model.info;
  const thread: "worker" | "main" = info.thread;
  const logits: Float32Array = await model.logits(new Uint16Array([1]));
  const scores: (number | null)[] = (await model.score("a", { context: [1] })).logprobs;
  const lists: number = (await model.score([{ text: "a" }])).length;

  const answer = await model.completions.create({ prompt: ["a", "b"], max_tokens: 5, stop: null, logprobs: 2 });
  const choices: CompletionChoice[] = answer.choices;
  answer.usage.total_tokens.toFixed();
  for await (const part of await model.completions.create(
    { prompt: "a", stream: true },
    { signal: new AbortController().signal },
  )) {
    part.choices[0]?.finish_reason?.length.toFixed();
  }

  const either = await model.completions.create({ prompt: "a", stream: Math.random() < 0.5 });
  if ("choices" in either) either.usage.total_tokens.toFixed();
  else for await (const part of either) part.choices[0]?.text.length.toFixed();

  model.fetch satisfies ClientOptions["fetch"];
  (await model.fetch(new URL("http://tokenformer/v1/models"))).status.toFixed();
  tokenFormer satisfies ProviderV4;
  tokenFormer(model, { topP: 0.9 }).modelId.toString();
  createTokenFormer({ quantization: "q8" }).languageModel("owner/name").doGenerate({ prompt: [] });
  passRequests({ prefix: "llm/" });
  (await serveRequests(model, { signal: AbortSignal.timeout(1000) }))();

  const element = document.createElement("token-former");
  element.model = "owner/name";
  element.model = null;
  element.addEventListener("token", ({ detail }) => detail.text.length.toFixed());
  element.addEventListener("done", ({ detail }) => detail.usage.decodeTokensPerSecond?.toFixed());
  (await element.generate("a")).finishReason satisfies GenerateResult["finishReason"];
  const code: ErrorCode = new TokenFormerError("quota", "Full.").code;
  [result, thread, logits, scores, lists, choices, code].toString();

  // @ts-expect-error: the element loads its model itself
  element.model = model;
  // @ts-expect-error: made by load
  new TokenFormer();
  // @ts-expect-error: no such precision
  void TokenFormer.load("owner/name", { quantization: "q5" });
  // @ts-expect-error: a number in a string
  void model.complete("a", { maxTokens: "5" });
  // @ts-expect-error: a call's signal, not the load's
  createTokenFormer({ signal: AbortSignal.abort() });
  // @ts-expect-error: not an option
  void model.complete("a", { max_tokens: 5 });
  // @ts-expect-error: not a parameter
  void model.completions.create({ prompt: "a", maxTokens: 5 });
  // @ts-expect-error: read-only
  (model.info.gpuBytes.toFixed(), (model.info = info));
}
