import assert from "node:assert/strict";
import { test } from "node:test";
import {
  adapterInWords,
  placeInWords,
  progressInWords,
  progressShare,
  readyInWords,
  resultInWords,
  TokenMeter,
  writingInWords,
} from "../../www/lib/element/status.js";

test("progress in words", () => {
  const cases = [
    [{ phase: "resolve", loadedBytes: 0, totalBytes: 0 }, "Looking for the model"],
    [
      { phase: "download", loadedBytes: 12.34e6, totalBytes: 28.4e6, bytesPerSecond: 4e6 },
      "Downloading: 12.3 of 28.4 MB (43 %), 4.0 MB/s",
    ],
    [
      { phase: "download", loadedBytes: 1e6, totalBytes: 9e6, bytesPerSecond: 2e5, secondsLeft: 40.2 },
      "Downloading: 1.0 of 9.0 MB (11 %), 0.2 MB/s, about 40 s left",
    ],
    [
      { phase: "download", loadedBytes: 1e9, totalBytes: 2e9, bytesPerSecond: 5e6, secondsLeft: 200 },
      "Downloading: 1000 of 2000 MB (50 %), 5.0 MB/s, about 3 min left",
    ],
    [
      { phase: "download", loadedBytes: 8e6, totalBytes: 9e6, bytesPerSecond: 5e6, secondsLeft: 0.2 },
      "Downloading: 8.0 of 9.0 MB (88 %), 5.0 MB/s",
    ],
    [
      { phase: "download", loadedBytes: 299.9e6, totalBytes: 300e6, bytesPerSecond: 0 },
      "Downloading: 300 of 300 MB (99 %)",
    ],
    [{ phase: "download", loadedBytes: 5e6, totalBytes: null }, "Downloading: 5.0 MB"],
    [{ phase: "ready", loadedBytes: 5e6, totalBytes: 5e6 }, "Ready"],
    [{ phase: "something new", loadedBytes: 0, totalBytes: 0 }, "Loading"],
  ];
  for (const [progress, words] of cases) assert.equal(progressInWords(progress), words);
  const waitingFor = "hub.example asks to wait: the next attempt comes in 30 s";
  const waiting = { phase: "resolve", loadedBytes: 0, totalBytes: null, waitingFor };
  assert.equal(progressInWords(waiting), waitingFor);
  assert.equal(
    progressInWords({ ...waiting, phase: "download", loadedBytes: 1e6, totalBytes: 4e6 }),
    `${waitingFor}: 1.0 of 4.0 MB (25 %)`,
    "what was loaded is not lost",
  );
  const reading = { phase: "download", loadedBytes: 1e6, totalBytes: 4e6, waitingFor: null };
  assert.equal(progressInWords(reading, true), "Reading the files: 1.0 of 4.0 MB (25 %)");
  assert.equal(progressInWords({ ...reading, phase: "compile" }, true), "Preparing the GPU: 1.0 of 4.0 MB (25 %)");
  assert.equal(progressShare({ loadedBytes: 5, totalBytes: 4 }), 1);
  assert.equal(progressShare({ loadedBytes: 5, totalBytes: null }), null);
});

test("results in words", () => {
  assert.equal(writingInWords(1, 0), "1 token");
  assert.equal(writingInWords(2, 0.25, 13805), "2 tokens · 0.3 tokens/s · first token 13.8 s");
  const usage = { completionTokens: 256, decodeTokensPerSecond: 1204.4, timeToFirstTokenMs: 24.2 };
  assert.equal(resultInWords({ usage, finishReason: "length" }), "256 tokens · 1,204 tokens/s · first token 24 ms");
  assert.equal(
    resultInWords({
      usage: { ...usage, timeToFirstTokenMs: null, decodeTokensPerSecond: null },
      finishReason: "abort",
    }),
    "256 tokens · stopped",
  );
});

test("the meter leaves out the wait for the first token", () => {
  const times = [900, 1000, 1010, 1020];
  const meter = new TokenMeter(() => times.shift());
  meter.add();
  assert.deepEqual([meter.tokensPerSecond, meter.firstAfterMs], [0, 100]);
  meter.add();
  meter.add();
  assert.deepEqual([meter.count, meter.tokensPerSecond], [3, 100]);
});

test("a model on the CPU says so", () => {
  const adapter = { vendor: "nvidia", architecture: "hopper", device: "", description: "" };
  assert.equal(readyInWords({ backend: "webgpu", adapter }), "Ready on nvidia hopper");
  assert.equal(readyInWords({ backend: "webgpu", adapter: { ...adapter, vendor: "", architecture: "" } }), "Ready");
  const cpu = { backend: "cpu", adapter: { vendor: "", architecture: "", device: "", description: "" } };
  assert.equal(readyInWords(cpu), "Ready on the CPU");
  assert.equal(
    writingInWords(2, 12, 240, placeInWords(cpu)),
    "2 tokens · 12 tokens/s · first token 240 ms · on the CPU",
  );
});

test("adapters in words", () => {
  const adapter = { vendor: "nvidia", architecture: "hopper", device: "", description: "" };
  assert.equal(adapterInWords(adapter), "nvidia hopper");
  assert.equal(adapterInWords({ ...adapter, description: "NVIDIA H100" }), "NVIDIA H100");
  assert.equal(adapterInWords({ vendor: "", architecture: "", device: "", description: "" }), "");
  assert.equal(adapterInWords(null), "");
});
