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
  site = await serve({ "/site/examples/": path("examples"), "/site/dist/": path("dist") });
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
