// The page that measures.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FULL, start } from "./harness.mjs";
import { assertAccessible, assertFits, button, visitor } from "./visitor.mjs";

let world;
before(async () => {
  world = await start();
});
after(() => world?.close());

test("the benchmark is opened from the page, and measures what it is told to", async (t) => {
  const visit = await visitor(world, { width: 360, colorScheme: "dark" });
  t.after(() => visit.close());
  const { page, url, requests } = visit;
  await page.getByRole("link", { name: "Benchmark" }).click();
  await page.getByRole("heading", { name: "Benchmark" }).waitFor();
  assert.ok(page.url().startsWith(`${url}bench.html`));
  await assertAccessible(page, "benchmark");
  await assertFits(page, "benchmark");
  // What the published models take on a CPU nobody waits for, the smallest one a minute; the rest of the way is the same.
  const models = FULL ? "150M,none" : "none";
  await page.goto(`${url}bench.html?probe=0&models=${models}&runs=1&promptTokens=1&maxTokens=2`);
  await button(page, "Run").click();
  await page.waitForFunction(() => !document.getElementById("run").disabled);
  const { results, thread } = JSON.parse(await page.locator("#output").textContent());
  const kinds = results.map(({ model, kind }) => `${model} ${kind}`);
  const { error } = results.pop();
  assert.match(error, /^invalid-argument: /);
  if (FULL) {
    assert.deepEqual(kinds, ["150M greedy", "150M sampled", "none undefined"]);
    assert.equal(thread, "worker", "under the page's own policy");
    assert.ok(results[0].decodeTokensPerSecond.median > 0 && results[0].bytesPerToken > 80e6);
  } else assert.deepEqual(kinds, ["none undefined"]);
  assert.deepEqual(
    requests.filter((path) => path.endsWith("tokenizer.json")), // the page before has asked how large a model is
    [],
    "no model is downloaded",
  );
  assert.deepEqual(page.problems, []);
});

test("without a GPU the benchmark says so, and can be run again", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, context, url } = visit;
  await context.addInitScript(() =>
    Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined, configurable: true }),
  );
  await page.goto(`${url}bench.html?models=150M`);
  await button(page, "Run").click();
  await page.getByText("No WebGPU adapter was found. This page measures the GPU").waitFor();
  assert.equal(await button(page, "Run").isEnabled(), true);
  assert.match(await page.locator("#output").textContent(), /webgpu-unavailable/);
  assert.deepEqual(page.problems, []);
});
