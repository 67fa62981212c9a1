// transformers.js on onnxruntime-web's WebGPU. m=NAME of a folder beside the models, dtype=q4 or q4f16, device=webgpu.

import { compare, keep, newTokens, query } from "./compare.js";

compare("transformers.js", async (report) => {
  const { AutoModelForCausalLM, Tensor, env } = await import("./transformers/transformers.min.js");
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = new URL("../m/", location).pathname;
  env.useBrowserCache = keep;
  env.useWasmCache = false;
  const runtime = (ending) => new URL(`transformers/ort-wasm-simd-threaded.asyncify.${ending}`, location).href;
  env.backends.onnx.wasm.wasmPaths = { mjs: runtime("mjs"), wasm: runtime("wasm") };
  const dtype = query.get("dtype") ?? "q4";
  const model = await AutoModelForCausalLM.from_pretrained(query.get("m"), {
    dtype,
    device: query.get("device") ?? "webgpu",
  });
  report.info = { dtype, transformers: env.version, onnxruntime: env.backends.onnx.versions };
  return async ({ ids }, onToken) => {
    const tensor = (values) => new Tensor("int64", values, [1, values.length]);
    // The first call of `put` contains the prompt.
    let calls = 0;
    const streamer = { put: () => calls++ > 0 && onToken(), end() {} };
    await model.generate({
      input_ids: tensor(BigInt64Array.from(ids, BigInt)),
      attention_mask: tensor(new BigInt64Array(ids.length).fill(1n)),
      max_new_tokens: newTokens,
      do_sample: false,
      eos_token_id: -1,
      streamer,
    });
  };
});
