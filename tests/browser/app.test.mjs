// The page as an app: installed, opened from other programs, set up for reading, used by keyboard alone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start } from "./harness.mjs";
import { assertAccessible, assertFits, passages, text, visitor } from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ webgpu: false });
});
after(() => world?.close());

const controlled = (page) => page.waitForFunction(() => navigator.serviceWorker.controller);

test("what another program shares is a new story, with and without a network, and no server learns of it", async (t) => {
  const visit = await visitor(world, { width: 360 });
  t.after(() => visit.close());
  const { page, url, requests, context } = visit;
  await controlled(page);
  await page.getByRole("textbox").fill("Half a sen");
  const asked = [];
  context.on("request", (request) => asked.push(request.headers().referer ?? ""));
  const share = (given) => page.goto(`${url}?${new URLSearchParams(given)}`);
  await share({ title: "A walk", text: "A secret <b>walk</b>" });
  await page.getByText(/What you shared is a new story/).waitFor();
  assert.deepEqual(await passages(page), [{ text: "A secret <b>walk</b>", written: false }]);
  assert.equal(new URL(page.url()).search, "");
  await assertAccessible(page, "shared");
  await assertFits(page, "shared");
  assert.deepEqual(
    [...requests, ...asked].filter((what) => /secret|walk/.test(decodeURIComponent(what))),
    [],
  );
  assert.ok(requests.filter((path) => path === "/").length >= 2, "the page itself came from the server");
  await visit.server.close();
  await share({ text: "Offline" });
  await page.getByText(/What you shared is a new story/).waitFor();
  assert.equal(await text(page), "Offline");
  await page.locator("#open-stories").click();
  const list = page.locator("#story-list strong");
  await list.nth(2).waitFor();
  assert.deepEqual((await list.allTextContents()).sort(), ["A walk", "Half a sen", "Offline"]);
});

test("the page can be installed", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, context } = visit;
  await controlled(page);
  const session = await context.newCDPSession(page);
  const { errors, data } = await session.send("Page.getAppManifest");
  assert.deepEqual([errors, JSON.parse(data).short_name], [[], "TokenFormer"]);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  // What a separate context, like that of a private window, can never do.
  assert.deepEqual(
    installabilityErrors.filter(({ errorId }) => errorId !== "in-incognito"),
    [],
  );
});

test("size and width are chosen by keyboard, and kept for the next visit alone", async (t) => {
  const visit = await visitor(world, { width: 768 });
  t.after(() => visit.close());
  const { page, url } = visit;
  const look = () =>
    page.evaluate(() => {
      const root = document.querySelector("token-former").shadowRoot;
      const fonts = ["textarea", ".mirror"].map((part) => getComputedStyle(root.querySelector(part)).fontSize);
      return [...fonts, getComputedStyle(document.querySelector("main")).maxInlineSize];
    });
  const size = parseFloat((await look())[0]);
  const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.value);
  const tabTo = async (wanted) => {
    for (let i = 0; i < 40 && (await focused()) !== wanted; i += 1) await page.keyboard.press("Tab");
    assert.equal(await focused(), wanted);
  };
  await tabTo("open-settings");
  await page.keyboard.press("Enter");
  await tabTo("balanced");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.querySelector("token-former").getAttribute("min-p")), "0.04");
  await tabTo("medium"); // of the sizes
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowRight"); // of the widths
  const large = [`${size * 1.25}px`, `${size * 1.25}px`, "896px"];
  assert.deepEqual(await look(), large);
  await assertAccessible(page, "looks");
  await page.keyboard.press("Escape");
  assert.equal(await focused(), "open-settings");
  await assertFits(page, "looks");
  await page.waitForURL(/min-p/);
  assert.doesNotMatch(page.url(), /size|width|large|wide/);
  await page.goto(`${url}?next`);
  assert.deepEqual(await look(), large);
});
