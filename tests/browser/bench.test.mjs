// The page that measures.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { FULL, start } from "./harness.mjs";
import { assertAccessible, assertFits, button, visitor } from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ webgpu: FULL });
});
after(() => world?.close());

/** Presses Run and waits for the end; returns the report. */
async function run(page) {
  await button(page, "Run").click();
  await page.waitForFunction(() => !document.getElementById("run").disabled);
  return JSON.parse(await page.locator("#output").textContent());
}

test("the benchmark is opened from the page, measures its model without a GPU, and has a line to copy", async (t) => {
  const visit = await visitor(world, {
    width: 360,
    colorScheme: "dark",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  t.after(() => visit.close());
  const { page, url } = visit;
  await page.evaluate(() => document.querySelector("token-former").setAttribute("backend", "cpu"));
  await page.getByRole("link", { name: "Benchmark" }).click();
  await page.getByRole("heading", { name: "Benchmark" }).waitFor();
  assert.equal(page.url(), `${url}bench.html?backend=cpu`, "as the page has it");
  await assertAccessible(page, "benchmark");
  await assertFits(page, "benchmark");

  await page.goto(`${url}bench.html?runs=1&promptTokens=2&maxTokens=3&backend=cpu`);
  const { results, thread } = await run(page);
  assert.deepEqual(
    results.map(({ model, kind, backend, runs, maxTokens }) => [model, kind, backend, runs, maxTokens]),
    [[EMBEDDED.name, "greedy", "cpu", 1, 3]],
  );
  assert.equal(thread, "worker", "under the page's own policy");
  const rate = await page.locator("#rate").textContent();
  assert.match(rate, /^[\d.,]+$/);
  await button(page, "Copy result").click();
  await page.getByText("Copied.").waitFor();
  const line = await page.evaluate(() => navigator.clipboard.readText());
  const [device, browser, ...rest] = line.split(" · ");
  assert.match(device, /^CPU with \d+ threads$/);
  assert.match(browser, /^Chrome \d+ on /);
  const precision = EMBEDDED.quantization;
  assert.deepEqual(rest, [EMBEDDED.label, precision, "CPU", `${rate} tokens/s`, page.url()]);
  const table = page.locator("#table table");
  assert.equal(await table.isVisible(), false, "it is folded away");
  await page.getByText("Technical details").click();
  assert.match(await table.innerText(), /greedy[^]*Decode, tokens\/s/);
  await assertAccessible(page, "benchmark with a result");
  await assertFits(page, "benchmark with a result");
  assert.deepEqual(page.problems, []);
});

test("shapes are measured one after another, each error is told, and it can be run again", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url, requests } = visit;
  // The published models take too long on a CPU, the smallest one a minute; the rest of the path is the same.
  const models = FULL ? "150M,none" : "none";
  await page.goto(`${url}bench.html?probe=0&models=${models}&runs=1&promptTokens=1&maxTokens=2`);
  requests.length = 0; // the page before has asked how large a model is
  const { results } = await run(page);
  const kinds = results.map(({ model, kind }) => `${model} ${kind}`);
  assert.match(results.at(-1).error, /^invalid-argument: /);
  await page.getByRole("alert").getByText("none is none of the published models.").waitFor();
  if (FULL) {
    assert.deepEqual(kinds, ["150M greedy", "150M sampled", "none undefined"]);
    assert.ok(results[0].decodeTokensPerSecond.median > 0 && results[0].bytesPerToken > 80e6);
    assert.match(await page.locator("#lines").textContent(), /^.* · TokenFormer 150M, random weights · q4 · WebGPU · /);
  } else assert.deepEqual(kinds, ["none undefined"]);
  assert.deepEqual(
    requests.filter((path) => path.endsWith("tokenizer.json")),
    [],
    "no model is downloaded",
  );
  assert.deepEqual(page.problems, []);
});

test("without a GPU shapes cannot be chosen, and who asks for one hears what can be", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, context, url } = visit;
  await context.addInitScript(() =>
    Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined, configurable: true }),
  );
  await page.goto(`${url}bench.html?models=150M`);
  const { results } = await run(page);
  assert.match(results[0].error, /^webgpu-unavailable: No WebGPU adapter was found/);
  await page.getByText(`Or choose ${EMBEDDED.label}, which runs on the CPU.`).waitFor();
  await assertAccessible(page, "benchmark with an error");
  const shapes = page.locator("option", { hasText: "needs WebGPU" });
  await shapes.nth(3).waitFor({ state: "attached" });
  assert.deepEqual(await shapes.evaluateAll((all) => all.map(({ disabled }) => disabled)), [false, true, true, true]);
  await page.getByLabel("Model").selectOption({ index: 0 });
  assert.equal(page.url(), `${url}bench.html`);
  assert.equal(await button(page, "Run").isEnabled(), true);
  // A link to another site's model downloads nothing by itself: the visit's end lists which origins were asked.
  await page.goto(`${url}bench.html?run=1&model=owner/name`);
  await page.getByText("Press Run to begin").waitFor();
  await page.getByText("A run downloads the model from huggingface.co").waitFor();
  assert.deepEqual(page.problems, []);
});
