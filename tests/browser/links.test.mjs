// Addresses with an opening and settings, what is saved between visits, and links to share.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
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
  await page.getByText("All settings").click();
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

/** Opens an address as a link does, with a full load, even if only the part after # differs. */
async function follow(page, address) {
  await page.goto("about:blank");
  await page.goto(address);
}

test("a link holds what stands there now, and says what it does not hold", async (t) => {
  const visit = await visitor(world, { permissions: ["clipboard-read", "clipboard-write"] });
  t.after(() => visit.close());
  const { page, url } = visit;
  const copied = async () => {
    await button(page, /share this opening/i).click();
    await page.locator("#link-status", { hasText: "." }).waitFor();
    const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
    return {
      told: await page.locator("#link-status").textContent(),
      query: new URLSearchParams(link.hash.slice(1)),
      isHere: link.href.startsWith(url),
    };
  };
  // At once: before the page has saved the change.
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
    "Copied. Not in it: the beginning, which is too long for one; the model, which is only on this device; the hub's address.",
  );
  assert.deepEqual([...second.query.keys()], ["top-p"]);
  // Like a page that is not secure.
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined, configurable: true }));
  await button(page, /share this opening/i).click();
  await page.locator("#link-status", { hasText: "The link is in the address bar. Not in it: " }).waitFor();
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
  await page.getByText("Opened from a link. Undo restores your own text.").waitFor();
  // Nothing was changed: the next visit finds what the last one left.
  await follow(page, url);
  assert.deepEqual(
    await page.evaluate(() => [
      document.querySelector("token-former").text,
      document.querySelector("token-former").getAttribute("seed"),
    ]),
    ["My own text", null],
  );
  // In the same page, and undone.
  await page.goto(`${url}#prompt=Another`);
  await page.waitForFunction(() => document.querySelector("token-former").text === "Another");
  await button(page, "Undo").click();
  assert.equal(await text(page), "My own text");
  await page.getByText("Opened from a link.").waitFor({ state: "hidden" });
  assert.deepEqual(page.problems, []);
});

test("what a link chose shows whose host it is, and is over with the visit; the own text comes back by its button", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url, context } = visit;
  await page.getByRole("textbox").fill("My own text");
  await page.waitForURL(/prompt=My/);
  const model = `https://elsewhere.example/x/${EMBEDDED.label.replaceAll(" ", "%C2%A0")}`;
  await follow(
    page,
    `${url}#${new URLSearchParams({ prompt: "A friend's", model, config: "{", backend: "toaster", "top-k": "7" })}`,
  );
  await page.getByText("Opened from a link, which chose the model. Undo restores your own text.").waitFor();
  await button(page, `Model: ${EMBEDDED.label} elsewhere.example`).waitFor();
  // Changed, and changed back: now the visitor's, not the link's.
  for (const topK of ["8", "7"])
    await page.evaluate((topK) => document.querySelector("token-former").setAttribute("top-k", topK), topK);
  await page.getByRole("textbox").press("End");
  await page.keyboard.type("!");
  await page.waitForFunction(() => /friend's!/.test(localStorage.getItem("tokenformer-web")));
  await page.close();
  const next = await context.newPage();
  await next.goto(url);
  assert.equal(await text(next), "A friend's!");
  assert.deepEqual(
    await next.evaluate(() =>
      ["model", "config", "backend", "top-k"].map((name) => document.querySelector("token-former").getAttribute(name)),
    ),
    [null, null, null, "7"],
  );
  await button(next, "Your own text: My own text").click();
  assert.equal(await text(next), "My own text");
  await button(next, "Your own text: A friend's!").waitFor();
});

test("what was written in one tab is not lost by what is written in another, nor by closing either", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url, context } = visit;
  const write = async (page, words) => {
    await page.getByRole("textbox").fill(words);
    await page.waitForFunction((words) => localStorage.getItem("tokenformer-web")?.includes(words), words);
  };
  const atHand = (page) =>
    page.evaluate(() => [
      document.querySelector("token-former").text,
      ...Object.entries(localStorage)
        .filter(([key]) => key.startsWith("tokenformer-web-replaced/"))
        .map(([, kept]) => JSON.parse(kept).passages[0].text),
    ]);
  await write(page, "The first story");
  const other = await context.newPage();
  await other.goto(url);
  assert.equal(await text(other), "The first story");
  // The other tab has started with it, and this one still shows it.
  await write(other, "A second one");
  await page.waitForFunction(() => JSON.stringify(localStorage).includes("The first"));
  await write(page, "The story, changed");
  await write(other, "A second, changed as well");
  await write(page, "Changed again");
  // An edited text does not count as another text.
  assert.deepEqual(await atHand(page), ["Changed again", "A second, changed as well"]);
  await other.close({ runBeforeUnload: true });
  await page.close({ runBeforeUnload: true });
  const next = await context.newPage();
  await next.goto(url);
  assert.deepEqual(await atHand(next), ["Changed again", "A second, changed as well"]);
  await button(next, "Your own text: A second, changed as well").click();
  assert.deepEqual(await atHand(next), ["A second, changed as well", "Changed again"]);
});

test("a token is given up with the hub that it was typed for", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url } = visit;
  const token = () => page.evaluate(() => document.querySelector("token-former").getAttribute("token"));
  await button(page, /^model/i).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Precision, context, revision, access").click();
  await dialog.getByLabel("Hub", { exact: true }).fill("https://hub.example");
  await dialog.getByLabel("Access token").fill("hf_secret");
  await dialog.getByRole("button", { name: "Close" }).click();
  // A link chooses another model, from the same hub: a link may change neither hub nor token.
  await page.goto(`${url}#model=Haiyang-W/TokenFormer-150M`);
  await button(page, "Model: TokenFormer 150M hub.example").waitFor();
  assert.equal(await token(), "hf_secret");
  await button(page, /^model/i).click();
  await dialog.getByLabel("Hub", { exact: true }).fill("");
  await page.waitForFunction(() => !document.querySelector("token-former").hasAttribute("token"));
  assert.equal(await dialog.getByLabel("Access token").inputValue(), "");
});

test("in a frame without an origin the page works, without a memory", async (t) => {
  const visit = await visitor(world, { mayAsk: [world.server.origin] });
  t.after(() => visit.close());
  const { page, url } = visit;
  await page.goto(`${world.server.origin}/blank/`);
  page.problems.length = 0;
  await page.setContent(
    `<iframe sandbox="allow-scripts" src="${url}#prompt=Framed" width="1000" height="700"></iframe>`,
  );
  const frame = page.frameLocator("iframe");
  await frame.getByRole("button", { name: "Tokens" }).click();
  await frame.getByRole("button", { name: "Tokens", pressed: true }).waitFor();
  await frame.getByRole("button", { name: "Tokens" }).click();
  await frame.getByRole("textbox").fill("Mine");
  await frame.getByText(/not saved for your next visit/).waitFor();
  assert.deepEqual(page.problems, []);
});

test("what other programs show of the page is there", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page } = visit;
  const addresses = await page.evaluate(async () => {
    const manifest = document.querySelector("link[rel=manifest]").href;
    const { icons } = await (await fetch(manifest)).json();
    return [
      document.querySelector("link[rel=apple-touch-icon]").href,
      new URL(document.querySelector("meta[property='og:image']").content, document.baseURI).href,
      ...icons.map(({ src }) => new URL(src, manifest).href),
    ];
  });
  for (const address of addresses)
    assert.match((await page.request.get(address)).headers()["content-type"], /^image\//, address);
  assert.ok(await page.locator("meta[property='og:title']").getAttribute("content"));
  assert.deepEqual(page.problems, []);
});
