// The examples that need no bundler, as they stand in the repository, beside a build. (npm.test.mjs has the one with Vite.)

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { serve } from "../../scripts/static-server.mjs";
import { open, start } from "./harness.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));

let world;
let site;
before(async () => {
  world = await start({ webgpu: false });
  site = await serve({
    "/site/examples/": path("examples"),
    "/site/dist/": path("dist"),
    "/openai/": path("node_modules/openai"),
  });
});
after(async () => {
  await site?.close();
  await world?.close();
});

test("one tag", async () => {
  const page = await open(world, `${site.origin}/site/examples/plain/`);
  await page.getByRole("button", { name: /generate/i }).click();
  const token = page.evaluate(
    () =>
      new Promise((resolve) =>
        document.querySelector("token-former").addEventListener("token", ({ detail }) => resolve(detail.tokenId)),
      ),
  );
  assert.ok((await token) > 0);
  assert.equal(await page.evaluate(() => document.querySelector("token-former").model.info.thread), "worker");
  await page.close();
});

test("code that speaks OpenAI's completions", async () => {
  const page = await open(world, `${site.origin}/site/examples/openai-style/`);
  await page.locator("#run").click();
  await page.waitForFunction(() => document.querySelector("#output").textContent.includes("total_tokens"));
  const [text, json] = (await page.locator("#output").textContent()).split("\n\n{");
  const { likeliest, usage } = JSON.parse(`{${json}`);
  assert.ok(text.length > 40);
  assert.ok(Object.keys(likeliest).length >= 5 && Object.values(likeliest).every((logprob) => logprob <= 0));
  assert.equal(usage.completion_tokens, 1);
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("OpenAI's client, as its package is", async () => {
  const page = await open(world, `${site.origin}/site/examples/openai-client/`, {
    before: (page) =>
      page.route("https://cdn.jsdelivr.net/npm/openai@*/+esm", (route) =>
        route.fulfill({
          contentType: "text/javascript",
          headers: { "Access-Control-Allow-Origin": "*" },
          body: `export { default } from "${site.origin}/openai/index.mjs";`,
        }),
      ),
  });
  await page.locator("#run").click();
  await page.waitForFunction(() => document.querySelector("#output").textContent.includes("\n\n[["));
  const [text, json] = (await page.locator("#output").textContent()).split("\n\n[[");
  const scored = JSON.parse(`[[${json}`);
  assert.ok(text.length > 40);
  assert.equal(scored.map(([token]) => token).join(""), "The king had three daughters.");
  assert.ok(scored.every(([, logprob], i) => (i === 0 ? logprob === null : logprob < 0)));
  assert.deepEqual(page.problems, []);
  await page.close();
});
