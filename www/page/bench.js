// The page that measures: the published shapes with random weights, made here.
//
// bench.html?models=150M,450M&run=1&report=/result starts at once and posts its JSON to that address. subgroups=0 does
// without that feature.

import { probe, shareOfFloor } from "../lib/probe.js";
import { TokenFormer } from "../tokenformer.js";

const query = new URLSearchParams(location.search);
const output = document.getElementById("output");
const button = document.getElementById("run");
const results = [];

async function run() {
  button.disabled = true;
  results.length = 0;
  const number = (name, fallback) => Number(query.get(name) ?? fallback);
  const probed = await probe();
  const names = (query.get("models") ?? document.getElementById("models").value).split(",");
  for (const name of names) {
    try {
      const model = await TokenFormer.random(`Haiyang-W/TokenFormer-${name}`, {
        quantization: query.get("quantization") ?? "q4",
        subgroups: query.get("subgroups") !== "0",
        workers: query.has("workers") ? number("workers") : undefined,
        packed: query.get("packed") !== "0",
        threads: query.has("threads") ? number("threads") : undefined,
      });
      const { adapter, variants, gpuBytes } = model.info;
      const base = { runs: number("runs", 5), promptTokens: number("promptTokens", 512), maxTokens: number("maxTokens", 129) };
      const cases = { greedy: base, sampled: { ...base, temperature: 0.8, topP: 0.95 } };
      if (query.has("long")) cases.long = { ...base, promptTokens: 1900, runs: 3 };
      if (query.has("prefill")) cases.prefill = { ...base, promptTokens: 1024, maxTokens: 2 };
      for (const [kind, options] of Object.entries(cases)) {
        const result = await model.benchmark(options);
        const { median } = result.decodeTokensPerSecond;
        const share = kind === "prefill" ? undefined : shareOfFloor(probed, result, median);
        const bandwidthUsed = (result.bytesPerToken * median) / probed.bytesPerSecond;
        results.push({ model: name, kind, shareOfFloor: share, bandwidthUsed, ...result });
        show({ adapter, variants, gpuBytes, probe: probed, results });
      }
      await model.dispose();
    } catch (error) {
      results.push({ model: name, error: `${error.code}: ${error.message} ${error.cause ?? ""}` });
      show({ results });
    }
  }
  button.disabled = false;
  if (query.has("report")) await fetch(query.get("report"), { method: "POST", body: output.textContent });
}

function show(value) {
  output.textContent = JSON.stringify({ browser: navigator.userAgent, ...value }, null, 1);
  if (query.has("log")) fetch(query.get("log"), { method: "POST", body: JSON.stringify(results.at(-1)) });
}

document.querySelector("main").hidden = query.has("report");
button.addEventListener("click", run);
if (query.has("run")) run();
