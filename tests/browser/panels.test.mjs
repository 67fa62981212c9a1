// What goes wrong, and what the panels can do beside a visit: models of the hub and of this computer, storage that is kept.

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
  // Whoever goes on has read it.
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
  // By its name: those of the list that take a GPU are not to be chosen here.
  await page.getByLabel("Another one").fill("owner/another");
  await page.getByRole("button", { name: "Choose", exact: true }).click();
  await page.locator("#load-now:enabled").click();
  // The first loading, which ends now, leaves the button alone. No error event tells it: nothing went wrong.
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
  await page.getByText(/They stay on this computer/).waitFor();
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
  // At the next visit the files are not at hand, but what was made of them is.
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
  await button(page, "This computer").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("None yet.").waitFor();
  await dialog.getByText("Nothing is loaded.").waitFor();
  // Headless browsers refuse: the answer is put in their mouth, each of both.
  await page.evaluate(() => (navigator.storage.persist = async () => false));
  await dialog.getByRole("button", { name: /keep them/i }).click();
  await dialog.getByText(/does not promise it/).waitFor();
  await page.evaluate(() => (navigator.storage.persist = navigator.storage.persisted = async () => true));
  await dialog.getByRole("button", { name: /keep them/i }).click();
  await dialog.getByText(/It keeps them when space gets short\./).waitFor();
  await dialog.getByRole("button", { name: /keep them/i }).waitFor({ state: "hidden" });
  assert.deepEqual(page.problems, []);
});
