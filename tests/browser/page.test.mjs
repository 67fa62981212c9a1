// The page as a visitor uses it, at desktop and phone width.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { open, OUTPUT, start, SUB_PATH } from "./harness.mjs";

let world;
before(async () => {
  world = await start();
});
after(() => world?.close());

for (const width of [1280, 360]) {
  test(`a visitor generates and stops, ${width} px wide`, async () => {
    const page = await open(world, `${world.server.origin}${SUB_PATH}`, { viewport: { width, height: 800 } });
    assert.equal(await page.evaluate(() => innerWidth), width);
    await page.screenshot({ path: `${OUTPUT}empty-${width}.png` });
    const asked = () => world.requests.filter((r) => r.includes("/models/")).length;
    const askedBefore = asked();
    await page.evaluate(() => new Promise((done) => requestIdleCallback(done)));
    assert.equal(asked(), askedBefore, "nothing is downloaded before the visitor acts");
    await page.getByRole("button", { name: /^generate/i }).click();
    await page.screenshot({ path: `${OUTPUT}loading-${width}.png` });
    await page.waitForFunction(() => document.querySelector("token-former").model !== null);
    assert.ok(asked() > askedBefore);
    const text = () => page.evaluate(() => document.querySelector("token-former").shadowRoot.textContent);
    const before = await text();
    await page.waitForFunction(
      (length) => document.querySelector("token-former").shadowRoot.textContent.length > length + 20,
      before.length,
    );
    await page.screenshot({ path: `${OUTPUT}writing-${width}.png` });
    await page.getByRole("button", { name: /^stop/i }).click();
    await page.getByRole("button", { name: /^generate/i }).waitFor();
    await page.screenshot({ path: `${OUTPUT}done-${width}.png` });
    assert.match(await text(), /tok/, "the speed is shown");
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} px wider than the window`);
    assert.deepEqual(page.problems, []);
    await page.close();
  });
}
