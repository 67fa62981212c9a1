// Errors, and what the panels can do apart from a visit: models from the hub and from this device, protected storage.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { OUTPUT, start } from "./harness.mjs";
import { assertAccessible, assertStill, button, text, visitor, written } from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ webgpu: false });
});
after(() => world?.close());

test("an error says what happened, what to do, and its code", async (t) => {
  const visit = await visitor(world, { reducedMotion: "reduce" });
  t.after(() => visit.close());
  const { page, url } = visit;
  await page.goto(`${url}?fresh#model=${encodeURIComponent("./no/such/folder/")}&prompt=A%20beginning`);
  assert.equal(await text(page), "A beginning");
  await button(page, /^generate/i).click();
  await page.getByRole("alert").getByText("model-not-found").waitFor();
  await button(page, /^generate/i).waitFor();
  await assertAccessible(page, "error");
  await assertStill(page, "error");
  await page.screenshot({ path: `${OUTPUT}error-1280.png` });
  // Continuing to type dismisses the error.
  await page.getByRole("textbox").press("End");
  await page.keyboard.type("!");
  await page.getByRole("alert").waitFor({ state: "hidden" });
});

test("what is dropped on the page and is no model is refused with the reason", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page } = visit;
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["{}"], "config.json"));
    for (const type of ["dragover", "drop"])
      document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
  });
  await page
    .getByRole("dialog")
    .getByText(/neither a model.safetensors nor a pytorch_model.bin among these files/)
    .waitFor();
  assert.equal(await page.evaluate(() => document.querySelector("token-former").getAttribute("model")), null);
  assert.deepEqual(page.problems, []);
});

test("what is dropped and cannot be read is told", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page } = visit;
  await page.evaluate(() => {
    const file = (done, failed) => failed(new DOMException("Gone.", "NotFoundError"));
    const items = [{ webkitGetAsEntry: () => ({ isFile: true, fullPath: "/m.bin", file }) }];
    const drop = Object.assign(new Event("drop", { bubbles: true, cancelable: true }), {
      dataTransfer: { types: ["Files"], items },
    });
    document.body.dispatchEvent(drop);
  });
  await page
    .getByRole("dialog")
    .getByText(/cannot be read/)
    .waitFor();
  assert.deepEqual(page.problems, []);
});

test("a model of this computer whose files are not at hand is to be chosen again", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page } = visit;
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  await page.evaluate(() => document.querySelector("token-former").setAttribute("model", "./local/~1a~gone/"));
  await button(page, /^model/i).click();
  await button(page, "Load now").click();
  await page
    .getByRole("dialog")
    .getByText(/choose the folder again/)
    .waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#from-link", { hasText: "choose the folder again" }).waitFor();
});

test("another model can be loaded while one is", async (t) => {
  const hub = "https://huggingface.co";
  const visit = await visitor(world, { mayAsk: [hub] });
  t.after(() => visit.close());
  const { page } = visit;
  await visit.context.route(`${hub}/**`, () => {}); // never answered
  await button(page, /^model/i).click();
  await page.getByRole("radio", { name: /TokenFormer 150M/ }).check();
  await page.evaluate(() => {
    const element = document.querySelector("token-former");
    const load = element.load.bind(element);
    element.load = () => {
      const loading = load();
      loading.catch(({ code }) => document.body.setAttribute("data-ended", code));
      return loading;
    };
  });
  await button(page, "Load now").click();
  await page.locator("#load-now:disabled").waitFor();
  // By its name: models of the list that need a GPU cannot be chosen here.
  await page.getByLabel("Other model").fill("owner/another");
  await page.getByRole("button", { name: "Choose", exact: true }).click();
  await page.locator("#load-now:enabled").click();
  // The first load, which ends now, leaves the button alone. It fires no error event: nothing went wrong.
  await page.locator('body[data-ended="aborted"]').waitFor();
  await page.locator("#load-now:disabled").waitFor();
});

test("a folder of this computer is a model", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, requests } = visit;
  await page.getByText(/first press downloads \d+ MB/).waitFor(); // of the embedded model, which was asked for its size
  requests.length = 0;
  await button(page, /^model/i).click();
  await page
    .locator("#folder-input")
    .setInputFiles(new URL(`../../www/models/${EMBEDDED.name}`, import.meta.url).pathname);
  await page.getByText(/They stay on this device/).waitFor();
  await button(page, "Load now").click();
  await page.getByRole("dialog").getByText("Loaded.").waitFor();
  await page.keyboard.press("Escape");
  assert.match(
    await page.evaluate(() => document.querySelector("token-former").model.info.id),
    new RegExp(`/local/~[0-9a-z]+~${EMBEDDED.name}/$`),
  );
  await page.evaluate(() => document.querySelector("token-former").setAttribute("max-tokens", "2"));
  assert.equal((await written(page, () => button(page, /^generate/i).click())).usage.completionTokens, 2);
  assert.deepEqual(page.problems, []);
  // At the next visit the files are not available, but what was made of them is.
  await page.waitForFunction(() =>
    JSON.parse(localStorage.getItem("tokenformer-web"))?.attributes.model?.startsWith("./local/"),
  );
  await page.reload();
  assert.equal((await written(page, () => button(page, "Continue").click())).usage.completionTokens, 2);
  assert.deepEqual(
    requests.filter((path) => /\/local\/|\/models\//.test(path)),
    [],
    "nothing of it went over the network",
  );
});

test("what the model is told and sees, after each slide, and what it expected of what the visitor typed", async (t) => {
  const visit = await visitor(world, { width: 360, reducedMotion: "reduce" });
  t.after(() => visit.close());
  const { page } = visit;
  const settings = { "context-length": 64, "max-tokens": 40, "min-tokens": 40, seed: 5 };
  await page.evaluate((settings) => {
    for (const one of Object.entries(settings)) document.querySelector("token-former").setAttribute(...one);
  }, settings);
  /** Continues the text; returns the panel's text, compared with the ids in the cache, and the text after the line. */
  const goOn = async () => {
    const before = await page.locator("#seen-text").textContent();
    const { usage } = await written(page, () => page.getByRole("textbox").press("Control+Enter"));
    await page.waitForFunction((before) => document.getElementById("seen-text").textContent !== before, before);
    const [held, from, rest] = await page.evaluate(async () => {
      const { model, seenFrom, text } = document.querySelector("token-former");
      return [await model.decode(await model.context()), seenFrom, text.slice(seenFrom ?? 0)];
    });
    const seen = await page.locator("#seen-text").textContent();
    assert.equal(seen, held);
    return { slides: usage.slides, seen, from, rest };
  };
  const places = [];
  for (let slides = 0; slides < 3;) {
    const one = await goOn();
    assert.ok(one.rest.startsWith(one.seen), "but for the last token it is the text from the line on");
    assert.equal(one.from !== null, one.slides > 0);
    places.push(one.from ?? 0);
    slides += one.slides;
  }
  assert.deepEqual(
    places,
    [...new Set(places)].sort((a, b) => a - b),
  );
  await assertAccessible(page, "a line where the memory begins");

  await button(page, "Memory").press("Enter");
  await page.getByRole("textbox", { name: "Memory" }).fill("Lily has a boat.");
  await button(page, "Add a name").click();
  await page.getByRole("textbox", { name: "Names" }).fill("Lily, girl");
  await page.getByRole("textbox", { name: "What the model should know" }).fill("She can swim.");
  await assertAccessible(page, "memory");
  await page.keyboard.press("Escape");
  await page.getByRole("textbox").press("Control+End");
  await page.keyboard.type("\nThe purple girl");
  const told = await goOn();
  const [memory, lore, ...story] = told.seen.split("\n");
  assert.deepEqual([memory, lore], ["Lily has a boat.", "She can swim."]);
  assert.ok(told.rest.startsWith(story.join("\n")), `${told.seen} / ${told.rest}`);
  await button(page, "Memory").click();
  await button(page, "What the model sees").press("Enter");
  await page.getByRole("region", { name: "What the model sees" }).waitFor();
  await assertAccessible(page, "what the model sees");
  await page.keyboard.press("Escape");

  // By keyboard alone, on a phone: a sheet that does not cover the token.
  await button(page, "Tokens").press("Enter");
  const token = page.getByRole("button", { name: /^purple, / });
  await token.focus();
  const sheet = page.getByRole("dialog", { name: "What else was likely here" });
  await sheet.getByText(/^The model expected “.+” \(.+\)\. You wrote “purple” \(.+\)\.$/).waitFor();
  assert.ok([10, 11].includes(await sheet.getByRole("listitem").count()));
  const [at, over] = [await token.boundingBox(), await sheet.boundingBox()];
  assert.ok(at.y >= 0 && at.y + at.height <= over.y, `${at.y} is above ${over.y}`);
  await assertAccessible(page, "sheet");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });
  assert.deepEqual(page.problems, []);
});

test("a published model is asked of its hub, which gets no more than that", async (t) => {
  const hub = "https://huggingface.co";
  const visit = await visitor(world, { mayAsk: [hub] });
  t.after(() => visit.close());
  const { page } = visit;
  const paths = [];
  await visit.context.route(`${hub}/**`, (route) => {
    paths.push(
      `${new URL(route.request().url()).pathname} ${route.request().headers().referer ?? "-"} ${route.request().headers().cookie ?? "-"}`,
    );
    return route.fulfill({
      status: 404,
      headers: {
        "Access-Control-Allow-Origin": "*",
        "X-Error-Code": "RepoNotFound",
        "Access-Control-Expose-Headers": "X-Error-Code",
      },
      body: "{}",
    });
  });
  await page.getByRole("textbox").fill("A secret beginning");
  await button(page, /^model/i).click();
  await page.getByRole("radio", { name: /TokenFormer 150M/ }).check();
  await button(page, "Load now").click();
  await page
    .getByRole("dialog")
    .getByRole("status")
    .filter({ hasText: /repository/i })
    .waitFor();
  assert.ok(paths.length > 0 && visit.asked.has(hub), "the page's policy lets it ask");
  assert.ok(
    paths.every((asked) => /^\/(api\/models\/)?(Haiyang-W\/TokenFormer-150M)\/\S* - -$/.test(asked)),
    paths.join("\n"),
  );
});

test("what is kept can be asked to stay", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page } = visit;
  await button(page, "This device").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("None yet.").waitFor();
  await dialog.getByText("Nothing is loaded.").waitFor();
  // Headless browsers refuse, so both answers are faked.
  await page.evaluate(() => (navigator.storage.persist = async () => false));
  await dialog.getByRole("button", { name: /protect from/i }).click();
  await dialog.getByText(/said no for now/).waitFor();
  await page.evaluate(() => (navigator.storage.persist = navigator.storage.persisted = async () => true));
  await dialog.getByRole("button", { name: /protect from/i }).click();
  await dialog.getByText(/Protected from automatic clean-up\./).waitFor();
  await dialog.getByRole("button", { name: /protect from/i }).waitFor({ state: "hidden" });
  assert.deepEqual(page.problems, []);
});
