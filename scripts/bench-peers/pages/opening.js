// How soon a visitor's first token arrives: the embedded model of a build, from the navigation, in a browser that has
// nothing of it stored. `marks` of the report are milliseconds: when this script ran, when the module was there, when
// each phase of loading was first reported. Query: build=ADDRESS of the build's folder, relative to this page; runs=5
// measured runs of the model's own benchmark afterwards, 0 for none; report=ADDRESS to post to.

import { post, query } from "./compare.js";

const BEGINNING = "In the middle of the forest stood a small house,";
const marks = { script: performance.now() };
const mark = (name) => (marks[name] ??= performance.now());
const report = { page: location.pathname + location.search, browser: navigator.userAgent, marks };

try {
  const { TokenFormer } = await import(new URL("tokenformer.js", new URL(query.get("build") ?? "../", location)));
  mark("module");
  const model = await TokenFormer.load(undefined, { onProgress: ({ phase }) => mark(phase) });
  report.loadMs = mark("loaded");
  for await (const { text } of model.generate(BEGINNING, { maxTokens: 8 })) {
    report.firstTokenMs ??= mark("first token");
    report.text = (report.text ?? "") + text;
  }
  const runs = Number(query.get("runs") ?? 5);
  if (runs > 0) {
    const measured = await model.benchmark({ promptTokens: 64, maxTokens: 129, runs });
    report.spread = measured.decodeTokensPerSecond;
    report.median = { decodeTokensPerSecond: report.spread.median };
  }
  report.median ??= {};
  const { id, quantization, backend, adapter, variants, weightBytes } = model.info;
  report.info = { id, quantization, backend, adapter, variants, weightBytes };
} catch (error) {
  report.error = `${error?.code ?? ""} ${error?.message ?? error} ${error?.cause ?? ""}`.trim();
}
await post("report", report);
