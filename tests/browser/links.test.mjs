// Addresses that tell a beginning and settings, what is kept between visits, and links to share.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start } from "./harness.mjs";
import { button, text, visitor } from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ webgpu: false });
});
after(() => world?.close());

test("an address is a beginning with its settings, and harmless whatever it says", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url } = visit;
  await page.goto(
    `${url}?fresh#${new URLSearchParams({ prompt: "<img src=x onerror=alert(1)> & so", "max-tokens": "nonsense", "logit-bias": "{", token: "hf_secret", onclick: "alert(1)" })}`,
  );
  assert.equal(await text(page), "<img src=x onerror=alert(1)> & so");
  const attributes = await page.evaluate(() =>
    [...document.querySelector("token-former").attributes].map((a) => a.name),
  );
  assert.ok(!attributes.includes("token") && !attributes.includes("onclick"));
  await button(page, "Settings").click();
  await page.getByRole("dialog").getByRole("button", { name: "Reset all" }).click();
  assert.equal(await page.getByRole("dialog").getByLabel("Length", { exact: true }).inputValue(), "256");
  assert.deepEqual(
    page.problems.filter((p) => !/nonsense/.test(p)),
    [],
  );
});

test("a change in the last moment before a reload is kept, and so is the text", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page } = visit;
  await page.evaluate(() => (document.querySelector("token-former").text = "Another beginning"));
  await page.waitForURL(/prompt=Another/);
  await page.evaluate(() => {
    document.querySelector("token-former").passages = [
      { text: "Another beginning", written: false },
      { text: " went on", written: true },
    ];
    document.querySelector("token-former").setAttribute("seed", "9");
    location.reload();
  });
  await page.waitForFunction(() => document.querySelector("token-former").text === "Another beginning went on");
  assert.equal(await page.evaluate(() => document.querySelector("token-former").getAttribute("seed")), "9");
});

/** Opens an address as a link does, with everything anew, though it may differ in what is behind # only. */
async function follow(page, address) {
  await page.goto("about:blank");
  await page.goto(address);
}

test("a link holds what stands there now, and says what it does not hold", async (t) => {
  const visit = await visitor(world, { permissions: ["clipboard-read", "clipboard-write"] });
  t.after(() => visit.close());
  const { page, url } = visit;
  const copied = async () => {
    await button(page, /copy a link/i).click();
    await page.locator("#link-status", { hasText: "." }).waitFor();
    const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
    return {
      told: await page.locator("#link-status").textContent(),
      query: new URLSearchParams(link.hash.slice(1)),
      isHere: link.href.startsWith(url),
    };
  };
  // At once: before the page has kept the change.
  await page.evaluate(() => {
    document.querySelector("token-former").text = "Once more";
    document.querySelector("token-former").removeAttribute("top-p");
    document.querySelector("#copy-link").click();
  });
  const first = await copied();
  assert.deepEqual(
    [first.told, first.query.get("prompt"), first.query.get("top-p"), first.isHere],
    ["Copied.", "Once more", "", true],
  );
  await page.evaluate(() => {
    document.querySelector("token-former").setAttribute("model", "./local/~1a~mine/");
    document.querySelector("token-former").setAttribute("endpoint", "https://hub.example");
    document.querySelector("token-former").text = "x".repeat(2500);
  });
  const second = await copied();
  assert.equal(
    second.told,
    "Copied. Not in it: the beginning, which is too long for one; the model, which is on this computer only; the hub's address.",
  );
  assert.deepEqual([...second.query.keys()], ["top-p"]);
  // As on a page that is not secure.
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined, configurable: true }));
  await button(page, /copy a link/i).click();
  await page.locator("#link-status", { hasText: "The link stands in the address bar. Not in it: " }).waitFor();
  assert.deepEqual(page.problems, []);
});

test("a link that is opened leaves the visitor's own text behind undo, and for the next visit", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url } = visit;
  await page.getByRole("textbox").fill("My own text");
  await page.waitForURL(/prompt=My/);
  await follow(page, `${url}#${new URLSearchParams({ prompt: "A friend's", seed: "4" })}`);
  assert.equal(await text(page), "A friend's");
  await page.getByText("Begun by a link. Undo brings your own text back.").waitFor();
  // Nothing was changed: the next visit finds what the last one left.
  await follow(page, url);
  assert.deepEqual(
    await page.evaluate(() => [
      document.querySelector("token-former").text,
      document.querySelector("token-former").getAttribute("seed"),
    ]),
    ["My own text", null],
  );
  // In the same page, and taken back.
  await page.goto(`${url}#prompt=Another`);
  await page.waitForFunction(() => document.querySelector("token-former").text === "Another");
  await button(page, "Undo").click();
  assert.equal(await text(page), "My own text");
  await page.getByText("Begun by a link.").waitFor({ state: "hidden" });
  assert.deepEqual(page.problems, []);
});
