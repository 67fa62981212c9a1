// How fast a token pack is trained, and how fast texts are written with it.

import { arbitraryIds } from "../../lib/api/benchmark.js";

/** @typedef {import("../../tokenformer.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").BenchmarkOptions} BenchmarkOptions */
/** @typedef {import("../../tokenformer.js").PackTraining} PackTraining */

/**
 * Trained tokens per second at the defaults of `train`, after one step that compiles; then writing with that pack.
 * @param {TokenFormer} model
 * @param {{ steps: number, tokens: number, benchmark: BenchmarkOptions }} options
 */
export async function measurePacks(model, { steps, tokens, benchmark }) {
  const ids = arbitraryIds(1024 * Math.min(steps, 16), model.info.config.padded_vocab_size);
  const options = { steps, tokens, validation: 0, seed: 1 };
  const baseBytes = model.info.gpuBytes;
  let trainingBytes = 0;
  const onProgress = () => {
    trainingBytes = Math.max(trainingBytes, model.info.gpuBytes - baseBytes);
  };
  await model.train(ids, { ...options, steps: 1, onProgress });
  const before = performance.now();
  const pack = await model.train(ids, options);
  const seconds = (performance.now() - before) / 1000;
  await model.addPack(pack, { name: "bench" });
  const { decodeTokensPerSecond, prefillTokensPerSecond } = await model.benchmark(benchmark);
  const { gpuBytes, variants } = model.info;
  await model.removePack("bench");
  const { tokensPerSecond, tokensSeen, loss } = /** @type {PackTraining} */ (pack.training);
  return {
    trainedTokensPerSecond: tokensPerSecond,
    tokensSeen,
    seconds,
    loss: [loss[0], loss[loss.length - 1]],
    packBytes: pack.bytes,
    trainingBytes,
    gpuBytes,
    variants,
    decodeTokensPerSecond,
    prefillTokensPerSecond,
  };
}
