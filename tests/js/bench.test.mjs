// The benchmark's page without a document: what its address says, and the line that people copy.

import assert from "node:assert/strict";
import { test } from "node:test";
import { browserInWords, deviceInWords, resultLine } from "../../www/page/bench/line.js";
import { keyOf, readTarget, shapeInWords, toQuery } from "../../www/page/bench/target.js";
import { benchmarkAddress } from "../../www/page/benchmark-link.js";

const BASE = "https://site.example/app/bench.html";
const read = (text) => readTarget(new URLSearchParams(text), BASE);
const EMBEDDED = { kind: "model", name: null, options: {} };

test("the address names a model or shapes, and what is wrong of a model is left out", () => {
  assert.deepEqual(read("?runs=1"), EMBEDDED);
  assert.deepEqual(read("?backend=cpu"), { ...EMBEDDED, options: { backend: "cpu" } });
  assert.deepEqual(read("?model=a/b&quantization=q8&revision=main"), {
    kind: "model",
    name: "a/b",
    options: { quantization: "q8", revision: "main" },
  });
  assert.deepEqual(read("?models=150M,1-5B"), { kind: "shapes", names: ["150M", "1-5B"], quantization: "q4" });
  for (const wrong of ["model=nothing", "model=a/b&backend=tpu", "model=./local/~1a~m/"])
    assert.deepEqual(read(wrong), EMBEDDED, wrong);
  // A link may choose neither a hub nor an access token.
  assert.deepEqual(read("?model=a/b&endpoint=https://hub.example&token=t").options, {});
  // A script should not take one precision for another.
  assert.equal(read("?models=150M&quantization=q5").quantization, "q5");
});

test("a link says the same as the query, but begins nothing and reports to nobody", () => {
  const query = "?run=1&report=/r&log=/l&promptTokens=64&model=a/b&quantization=q8&backend=webgpu";
  const link = toQuery(read(query), new URLSearchParams(query));
  assert.equal(link, "?promptTokens=64&model=a/b&quantization=q8&backend=webgpu");
  assert.deepEqual(read(link), read(query));
  assert.equal(toQuery(read("?models=150M,450M"), new URLSearchParams(query)), "?promptTokens=64&models=150M,450M");
  assert.equal(toQuery(EMBEDDED, new URLSearchParams("?models=150M&quantization=q8")), "");
  assert.notEqual(keyOf(read("?model=a/b&quantization=q8")), keyOf(read("?model=a/b")));
  assert.equal(keyOf(read("?backend=cpu")), keyOf(EMBEDDED));
});

test("the page that writes links to the benchmark of its model", () => {
  const addressOf = (attributes) => benchmarkAddress((name) => attributes[name] ?? null);
  assert.equal(addressOf({}), "bench.html");
  assert.equal(addressOf({ backend: "cpu", token: "hf_secret" }), "bench.html?backend=cpu");
  const address = addressOf({
    model: "Haiyang-W/TokenFormer-150M",
    quantization: "q8",
  });
  assert.equal(address, "bench.html?model=Haiyang-W/TokenFormer-150M&quantization=q8");
  assert.deepEqual(read(new URL(address, BASE).search).options, { quantization: "q8" });
  for (const model of [{ model: "./local/~1a~m/" }, { model: "a/b", endpoint: "https://hub.example" }])
    assert.equal(addressOf({ ...model, quantization: "q8" }), "bench.html");
});

test("browsers are known by their own names", () => {
  const like = (rest) => `Mozilla/5.0 (${rest}`;
  for (const [agent, words] of [
    [
      "X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.1.2 Safari/537.36",
      "Chrome 156 on Linux",
    ],
    [
      "Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36 Edg/148.0.0.0",
      "Edge 148 on Windows",
    ],
    [
      "Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
      "Safari 26 on macOS",
    ],
    [
      "iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
      "Safari 26 on iOS",
    ],
    [
      "Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Mobile Safari/537.36",
      "Chrome 147 on Android",
    ],
    ["Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox 150 on Windows"],
    ["Nothing) Known/1", "another browser"],
  ])
    assert.equal(browserInWords(like(agent)), words);
});

test("a result is one line of seven parts, whatever names come from elsewhere", () => {
  const gpu = {
    backend: "webgpu",
    quantization: "q4",
    adapter: { vendor: "nvidia", architecture: "hopper", device: "", description: "" },
  };
  const browser = {
    userAgent: "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36",
    hardwareConcurrency: 8,
  };
  const line = resultLine(
    { label: shapeInWords("450M"), info: gpu, tokensPerSecond: 1476.4 },
    browser,
    `${BASE}?models=450M`,
  );
  assert.equal(
    line,
    `nvidia hopper · Chrome 156 on Linux · TokenFormer 450M, random weights · q4 · WebGPU · 1,476 tokens/s · ${BASE}?models=450M`,
  );
  assert.equal(deviceInWords({ ...gpu, adapter: null }, browser), "GPU without a name");
  assert.equal(deviceInWords({ ...gpu, backend: "cpu" }, browser), "CPU with 8 threads");
  assert.equal(deviceInWords({ ...gpu, backend: "cpu" }, {}), "CPU");
  const odd = resultLine({ label: "a · b | c\nd", info: gpu, tokensPerSecond: 3.14 }, browser, BASE);
  assert.equal(odd.split(" · ").length, 7);
  assert.match(odd, / · a b c d · q4 · WebGPU · 3\.1 tokens\/s · /);
});
