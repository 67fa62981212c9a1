// How fast a model writes with and without a map of its parameter tokens. Query: build=ADDRESS of the build's folder,
// relative to this page; model=TokenFormer-450M, random weights of that size, or the embedded model; report=ADDRESS to post to.

import { post, query } from "./compare.js";

const TOKENS = 256;
const RUNS = 4;
const report = { page: location.pathname + location.search, browser: navigator.userAgent, runs: [] };

try {
  const build = new URL(query.get("build") ?? "../", location);
  const { TokenFormer } = await import(new URL("tokenformer.js", build));
  const { writeOn } = await import(new URL("page/inspect/writing.js", build));
  const { FiringMap } = await import(new URL("page/inspect/map.js", build));
  const size = query.get("model");
  const model = await (size ? TokenFormer.random(size, { quantization: "q4" }) : TokenFormer.load());
  report.info = model.info;
  const map = new FiringMap(document.getElementById("map"), () => {});
  map.shape(model.info.config);
  const ids = Array.from({ length: 64 }, (_, i) => 100 + i);
  // The first run of each is not counted: it compiles.
  for (let i = 0; i < RUNS; i += 1) {
    const begin = performance.now();
    const { usage } = await model.complete(ids, { maxTokens: TOKENS, minTokens: TOKENS, seed: i });
    const plain = usage.completionTokens / ((performance.now() - begin) / 1000);
    let [frames, isWriting] = [0, true];
    const count = () => isWriting && ((frames += 1), requestAnimationFrame(count));
    requestAnimationFrame(count);
    const { tokens, seconds, every } = await writeOn(model, ids, {
      signal: new AbortController().signal,
      onWritten: () => {},
      onFired: (places, ms) => map.play(places, ms),
    });
    isWriting = false;
    report.runs.push({ plain, lit: tokens / seconds, tokens, every, framesPerSecond: frames / seconds });
    await post("log", report.runs.at(-1));
  }
} catch (error) {
  report.error = String(error?.stack ?? error);
}
await post("report", report);
