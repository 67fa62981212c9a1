// <token-former> in another site's page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { FULL, open, OUTPUT, start, SUB_PATH } from "./harness.mjs";
import { assertAccessible } from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ webgpu: FULL });
});
after(() => world?.close());

/** A page of the first origin that has imported the module from the second. */
async function host(context) {
  const page = await open(world, `${world.server.origin}/blank/`, { context });
  await page.evaluate((url) => import(url), `${world.other.origin}${SUB_PATH}tokenformer.js`);
  return page;
}

test("two widgets of another origin write, and give the GPU's memory back when they are removed", async (t) => {
  const context = await world.browser.newContext();
  t.after(() => context.close());
  const page = await host(context);
  const asked = world.requests.length;
  await page.evaluate(() => {
    for (const prompt of ["Once upon a time", "The king"]) {
      const element = document.createElement("token-former");
      for (const [name, value] of Object.entries({ prompt, "max-tokens": "2", temperature: "0" }))
        element.setAttribute(name, value);
      document.body.append(element);
    }
  });
  const widgets = page.locator("token-former");
  assert.equal(
    await page.evaluate(() => [...document.querySelectorAll("token-former")].every((e) => e.model === null)),
    true,
    "nothing is loaded yet",
  );
  for (const index of [0, 1]) {
    const widget = widgets.nth(index);
    await widget.getByRole("button", { name: /^generate/i }).click();
    await widget.locator("[part=status]", { hasText: /^2 tokens · / }).waitFor();
  }
  const texts = await page.evaluate(() => [...document.querySelectorAll("token-former")].map((e) => e.text));
  assert.ok(/^Once upon a time.+/.test(texts[0]) && /^The king.+/.test(texts[1]), texts.join(" | "));
  const bytes = await page.evaluate(() => {
    globalThis.models = [...document.querySelectorAll("token-former")].map((e) => e.model);
    return models.map((m) => m.info.weightBytes);
  });
  assert.ok(bytes.every((n) => n > 0.9 * EMBEDDED.weightBytes));
  assert.equal(await page.evaluate(() => models[0] === models[1]), true, "one engine for both");
  await page.evaluate(() => document.querySelectorAll("token-former").forEach((e) => e.remove()));
  for (const index of [0, 1]) {
    const later = await page.evaluate((index) => models[index].logits([1]).catch(({ code }) => code), index);
    assert.equal(later, "disposed");
  }
  assert.deepEqual(await page.evaluate(() => models.map((m) => m.info.gpuBytes)), [0, 0]);
  assert.equal(world.requests.length, asked, "the first origin was asked for nothing");
  assert.equal(
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length),
    0,
    "a widget registers no service worker",
  );
  assert.deepEqual(page.problems, []);
});

test("a host styles it, fills its slots, and is not outgrown", async (t) => {
  const context = await world.browser.newContext({ viewport: { width: 700, height: 700 } });
  t.after(() => context.close());
  const page = await host(context);
  await page.evaluate(() => {
    document.documentElement.lang = "en";
    document.body.innerHTML = `<main><h1>A host</h1>
      <token-former prompt="Once"><h2 slot="heading">A story</h2><button slot="controls">Mine</button><span slot="status">State</span><p slot="fallback">No script</p><p>Below</p></token-former></main>`;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(
      "token-former { --token-former-accent: rgb(0, 80, 0); --token-former-max-height: 200px } token-former::part(generate) { letter-spacing: 3px }",
    );
    document.adoptedStyleSheets = [sheet];
  });
  const style = (part, property) =>
    page.evaluate(
      ([part, property]) =>
        getComputedStyle(document.querySelector("token-former").shadowRoot.querySelector(`[part~=${part}]`))[property],
      [part, property],
    );
  assert.deepEqual(
    [await style("generate", "backgroundColor"), await style("generate", "letterSpacing")],
    ["rgb(0, 80, 0)", "3px"],
  );
  for (const [name, seen] of [
    ["A story", true],
    ["Mine", true],
    ["State", true],
    ["Below", true],
    ["No script", false],
  ]) {
    assert.equal(await page.getByText(name, { exact: true }).isVisible(), seen, name);
  }
  await page.evaluate(() => (document.querySelector("token-former").text = "A long line of text.\n".repeat(80)));
  assert.ok((await page.locator("[part=sheet]").boundingBox()).height <= 200);
  await assertAccessible(page, "widget");
  await page.evaluate(() => (document.querySelector("token-former").text = "Once upon a time"));
  await page.screenshot({ path: `${OUTPUT}widget.png` });
  assert.deepEqual(page.problems, []);
});
