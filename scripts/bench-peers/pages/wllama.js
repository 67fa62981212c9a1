// wllama, which is llama.cpp on WebGPU; it needs half precision (f16). m=ADDRESS of a GGUF file relative to this page;
// context=1024; layers=N on the GPU; ubatch=N.

import { compare, keep, newTokens, promptTokens, query } from "./compare.js";

const TOLD = /webgpu|offload|buffer size|flash|adapter/i;

compare("wllama", async (report) => {
  const { Wllama } = await import("./wllama/index.min.js");
  const told = [];
  const note = (...words) => told.push(words.join(" "));
  const logger = { debug: note, log: note, warn: note, error: note };
  const wllama = new Wllama({ default: new URL("wllama/wllama.wasm", location).href }, { logger });
  wllama.setCompat(null);
  const options = { n_ctx: Number(query.get("context") ?? 1024), useCache: keep };
  if (query.has("layers")) options.n_gpu_layers = Number(query.get("layers"));
  if (query.has("ubatch")) options.n_batch = options.n_ubatch = Number(query.get("ubatch"));
  await wllama.loadModelFromUrl(new URL(query.get("m"), location).href, options);
  report.info = {
    llama: Wllama.getLibllamaVersion(),
    webgpu: wllama.isSupportWebGPU(),
    threads: wllama.getNumThreads(),
    options,
  };
  report.info.told = told
    .filter((line) => TOLD.test(line))
    .map((line) => line.slice(0, 160))
    .slice(0, 20);
  // Without half precision it has no WebGPU, and silently falls back to the CPU.
  report.computesOn = told.some((line) => /model buffer size/.test(line) && !/ CPU\S* model/.test(line))
    ? "gpu"
    : "cpu";
  return async ({ text }, onToken) => {
    let timings = null;
    await wllama.createCompletion({
      prompt: text,
      max_tokens: newTokens,
      temperature: 0,
      top_k: 1,
      samplers_sequence: ["top_k"],
      ignore_eos: true,
      cache_prompt: false,
      stream: true,
      onData(chunk) {
        const [choice] = chunk.choices ?? [];
        // The last chunk says why the text ended, and has no text.
        if (choice && (choice.finish_reason == null || choice.text)) onToken();
        timings = chunk.timings ?? timings;
      },
    });
    if (!timings) return {};
    if (timings.prompt_n !== promptTokens)
      throw new Error(`The prompt has ${timings.prompt_n} tokens instead of ${promptTokens}.`);
    return { ownDecode: timings.predicted_per_second, ownPrefill: timings.prompt_per_second };
  };
});
