// What a token pack gains: the loss on held-out text, before and after the embedded model of a build learnt the
// beginning of the same text, and how much worse another text gets. Query: build=ADDRESS of the build's folder, relative
// to this page; texts=ADDRESS,ADDRESS of plain texts, each taught from its beginning and measured on its end, with the
// other as the one that may get worse; trials=0 teaches nothing; report=ADDRESS to post to. Speeds are `train`'s own.

import { post, query } from "./compare.js";

const WINDOW = 256;
const WINDOWS = 32;
const SEED = 7;
const report = { page: location.pathname + location.search, browser: navigator.userAgent, rows: [] };

/** The trials: everything at the defaults except what a row names. */
const TRIALS = [
  ...[2500, 10000, 50000].flatMap((length) => [4, 16, 64].map((tokens) => ({ length, tokens }))),
  ...[2500, 10000, 50000].map((length) => ({ length, tokens: 16, kinds: ["mlp"] })),
  ...[2500, 10000, 50000].map((length) => ({ length, tokens: 16, kinds: ["proj", "mlp"] })),
  ...[2500, 10000, 50000].flatMap((length) =>
    [1e-3, 1e-2].map((learningRate) => ({ length, tokens: 16, learningRate })),
  ),
  ...[2500, 10000, 50000].map((length) => ({ length, tokens: 16, epochs: 8 })),
];

/** Mean loss in nats of windows of ids, each read after its `context`. */
async function lossOf(model, windows, context = []) {
  let [sum, count] = [0, 0];
  for (const ids of windows) {
    const { logprobs } = await model.score(ids.slice(1), { context: [...context, ids[0]] });
    for (const logprob of logprobs) [sum, count] = [sum - logprob, count + 1];
  }
  return sum / count;
}

const windowsOf = (ids) => Array.from({ length: WINDOWS }, (_, i) => ids.slice(i * WINDOW, (i + 1) * WINDOW));

try {
  const { TokenFormer } = await import(new URL("tokenformer.js", new URL(query.get("build") ?? "../", location)));
  const model = await TokenFormer.load();
  report.info = model.info;
  const texts = [];
  for (const address of query.get("texts").split(",")) {
    const text = await (await fetch(address)).text();
    const ids = await model.encode(text.slice(0, 400_000));
    const half = Math.floor(ids.length / 2);
    const windows = windowsOf(ids.slice(half));
    texts.push({
      name: address.split("/").pop(),
      ids: ids.slice(0, half),
      windows,
      before: await lossOf(model, windows),
    });
  }
  for (const [i, text] of texts.entries()) {
    const other = texts[(i + 1) % texts.length];
    const shown = text.ids.slice(0, model.info.contextLength - WINDOW - 1);
    const inPrompt = await lossOf(model, text.windows.slice(0, 8), shown);
    const beside = await lossOf(model, text.windows.slice(0, 8));
    report.rows.push({ text: text.name, shown: shown.length, inPrompt, beside });
    await post("log", report.rows.at(-1));
    for (const { length, ...options } of query.get("trials") === "0" ? [] : TRIALS) {
      const started = performance.now();
      const { training, bytes } = await model
        .train(text.ids.slice(0, length), { ...options, seed: SEED })
        .then(async (pack) => (await model.addPack(pack, { name: "trial" }), pack));
      const seconds = (performance.now() - started) / 1000;
      const after = await lossOf(model, text.windows);
      const otherAfter = await lossOf(model, other.windows);
      await model.removePack("trial");
      const { tokensPerSecond, tokensSeen, validation } = training;
      const losses = { before: text.before, after, other: other.name, otherBefore: other.before, otherAfter };
      report.rows.push({
        text: text.name,
        length,
        ...options,
        ...losses,
        validation,
        tokensPerSecond,
        tokensSeen,
        seconds,
        bytes,
      });
      await post("log", report.rows.at(-1));
    }
  }
  const { prefillTokensPerSecond, decodeTokensPerSecond } = await model.benchmark({
    promptTokens: 1000,
    maxTokens: 20,
  });
  report.median = {
    prefillTokensPerSecond: prefillTokensPerSecond.median,
    decodeTokensPerSecond: decodeTokensPerSecond.median,
  };
} catch (error) {
  report.error = `${error?.code ?? ""} ${error?.message ?? error} ${error?.cause ?? ""}`.trim();
}
await post("report", report);
