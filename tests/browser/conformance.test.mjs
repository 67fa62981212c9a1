// The page that runs each kernel alone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FULL, start } from "./harness.mjs";
import { assertAccessible, assertFits, button, visitor } from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ clamped: true });
});
after(() => world?.close());

const KERNELS = [
  ...[
    "append",
    "attention_decode",
    "attention_prefill",
    "embed",
    "keys",
    "layernorm",
    "layers",
    "matmul",
    "repeats",
    "sample_adjust",
  ],
  ...["sample_pick", "score", "sum_parts", "values", "weights"],
];

test("kernels are right in a browser, with subgroups and without", async (t) => {
  const visit = await visitor(world, { width: 360, colorScheme: "dark" });
  t.after(() => visit.close());
  const { page, url } = visit;
  // A software GPU compiles the variants for minutes; natively the short tier tries them all.
  await page.goto(`${url}conformance.html${FULL ? "" : "?quick=1"}`);
  await assertAccessible(page, "conformance");
  await assertFits(page, "conformance");
  if (FULL) await page.getByLabel("Every size with every format").check();
  await button(page, "Run").click();
  await page.waitForFunction(() => !document.getElementById("run").disabled, null, { timeout: 1_500_000 });
  const table = await page.locator("#output").textContent();
  const status = await page.getByRole("status").textContent();
  const [, rows] =
    status.match(/^All (\d+) rows are right\.(?: Not run: variants with f16: this device has none\.)?$/) ??
    assert.fail(`${status}\n${wrongRows(table)}`);
  assert.ok(Number(rows) > (FULL ? 200 : 20), status);
  for (const kernel of KERNELS) assert.match(table, new RegExp(`^${kernel} `, "m"));
  assert.match(table, /, subgroups/);
  assert.deepEqual(page.problems, []);
});

test("a kernel that is wrong is named, with what it left", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, context, url } = visit;
  // The last eight elements of every group of an embedding are never written.
  await context.addInitScript(() => {
    const { createShaderModule } = GPUDevice.prototype;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = descriptor.code.replace(
        "for (var i = 0u; i < 4u; i++) {\n        let octet",
        "for (var i = 0u; i < 3u; i++) {\n        let octet",
      );
      return createShaderModule.call(this, { ...descriptor, code });
    };
  });
  await page.goto(`${url}conformance.html?run=1&kernels=embed`);
  await page.waitForFunction(() =>
    / WRONG: value \d+ was never written\n/.test(document.getElementById("output").textContent),
  );
  assert.match(wrongRows(await page.locator("#output").textContent()), /^embed /);
});

test("a name that no kernel has is an error, whatever else is named", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  await visit.page.goto(`${visit.url}conformance.html?run=1&quick=1&kernels=append,key`);
  await visit.page.getByText('There is no kernel "key". The kernels are adamw_step, add_parts, append, ').waitFor();
});

test("without a GPU the page says so", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, context, url } = visit;
  await context.addInitScript(() =>
    Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined, configurable: true }),
  );
  await page.goto(`${url}conformance.html?run=1`);
  await page.getByText("No WebGPU adapter was found.").waitFor();
  assert.equal(await button(page, "Run").isEnabled(), true);
});

const wrongRows = (table) =>
  table
    .split("\n")
    .filter((line) => line.includes(" WRONG: "))
    .join("\n");
