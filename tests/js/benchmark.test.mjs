import assert from "node:assert/strict";
import { test } from "node:test";
import { arbitraryIds, measure, spread } from "../../www/lib/api/benchmark.js";

test("median, least and greatest", () => {
  assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.deepEqual(spread([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 });
  assert.deepEqual(spread([7]), { median: 7, min: 7, max: 7 });
});

test("prompts have the wanted length, the same ids every time, and never the end of a text", () => {
  const ids = arbitraryIds(5000, 300);
  assert.equal(ids.length, 5000);
  assert.deepEqual(ids, arbitraryIds(5000, 300));
  assert.ok(ids.every((id) => Number.isInteger(id) && id > 0 && id < 300));
  assert.ok(new Set(ids).size > 290);
});

test("the first run warms up and is not counted; every run begins with an empty context", async () => {
  const log = [];
  const complete = async (ids, options) => {
    log.push([ids.length, options.maxTokens, options.temperature, options.topP]);
    const n = log.filter((entry) => entry !== "reset").length;
    return { usage: { decodeTokensPerSecond: n * 10, prefillTokensPerSecond: n * 100, timeToFirstTokenMs: n } };
  };
  const told = [];
  const onProgress = (progress) => told.push(Object.values(progress));
  const options = { promptTokens: 6, maxTokens: 9, runs: 3, temperature: 0.5, topP: 0.9, onProgress };
  const result = await measure(complete, async () => log.push("reset"), 100, options);
  const call = [6, 9, 0.5, 0.9];
  assert.deepEqual(log, ["reset", call, "reset", call, "reset", call, "reset", call]);
  assert.deepEqual(result.decodeTokensPerSecond, { median: 30, min: 20, max: 40 });
  assert.deepEqual(result.timeToFirstTokenMs, { median: 3, min: 2, max: 4 });
  // The first run's rate is reported until there is one that counts.
  const medians = [10, 20, 25, 30];
  assert.deepEqual(
    told,
    medians.map((rate, run) => [run, 3, rate]),
  );
});
