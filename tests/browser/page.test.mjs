// The page as a visitor uses it, at desktop and phone width: from the first visit to one without a network.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { size } from "../../www/page/published.js";
import { FULL, OUTPUT, start, until } from "./harness.mjs";
import {
  assertAccessible,
  assertFits,
  assertStill,
  button,
  passages,
  settled,
  text,
  visitor,
  written,
} from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ webgpu: FULL });
});
after(() => world?.close());

const MODEL = fileURLToPath(new URL(`../../www/models/${EMBEDDED.name}`, import.meta.url));
const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
/** Runs in a page or worker: names of the scripts and WebAssembly files that it has asked for. */
const scriptsHere = () =>
  performance
    .getEntriesByType("resource")
    .map(({ name }) => new URL(name).pathname.split("/").at(-1))
    .filter((name) => /\.(js|wasm)$/.test(name) && name !== "worker.js" && name !== "service-worker.js")
    .sort();
/** The stored size of the embedded model, as the page shows it. */
const kept = size(EMBEDDED.weightBytes);

for (const width of [1280, 360]) {
  test(`a visit, ${width} px wide`, async (t) => {
    const visit = await visitor(world, { width, colorScheme: width === 360 ? "dark" : "light" });
    const { page, requests } = visit;
    t.after(() => visit.close());
    const shot = (state) => settled(page).then(() => page.screenshot({ path: `${OUTPUT}${state}-${width}.png` }));
    const setting = (name) => page.getByRole("dialog").getByLabel(name, { exact: true });
    const unfold = () => page.getByText("All settings").click();
    const close = () => page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    const asked = (part) => requests.filter((path) => path.includes(part)).length;

    await t.test("first: one button, and nothing is downloaded", async () => {
      await page.getByRole("heading", { level: 1 }).waitFor();
      await button(page, /^generate/i).waitFor();
      // Listing what is stored needs no engine if nothing is.
      await button(page, "This device").click();
      await page.getByRole("dialog").getByText("None yet.").waitFor();
      await close();
      // The size of the first press's download is requested, but nothing of it is downloaded.
      const { length } = readFileSync(`${DIST}/tokenformer-web_bg.wasm`);
      await page.getByText(`The first press downloads ${size(EMBEDDED.downloadBytes + length)}, once.`).waitFor();
      await page.getByText(FULL ? "on your own GPU" : "on your own CPU").waitFor();
      await page.waitForLoadState("networkidle");
      const models = () => performance.getEntriesByType("resource").filter(({ name }) => name.includes("/models/"));
      const bytes = await page.evaluate(`(${models})().reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)`);
      assert.ok(bytes < 200_000, `${bytes} bytes of the model`);
      assert.equal(asked("tokenizer.json") + asked(".wasm"), 0);
      // A visitor waits for each level of imports as long as the network takes.
      assert.deepEqual(await page.evaluate(scriptsHere), ["page.bundle.js"]);
      await assertAccessible(page, "first visit");
      await assertFits(page, "first visit");
      await assertStill(page, "first visit");
      await shot("empty");
    });

    await t.test("an opening loads with progress, writes at once, stops, and is undone", async () => {
      const before = await text(page);
      const openings = page.getByRole("region", { name: /starts right away/ });
      const opening = openings.getByRole("button", { name: "lighthouse" });
      const began = await opening.textContent();
      assert.ok((await openings.getByRole("button").allTextContents()).every((line) => line.trim() === line));
      await page.evaluate(() => {
        globalThis.progress = [];
        // A text that outgrows its space moves what is below it: few words are written, however fast.
        globalThis.holdsWriting = true;
        longTasks.length = 0; // those of axe-core among them
        document
          .querySelector("token-former")
          .addEventListener("progress", ({ detail }) => progress.push(detail.phase));
      });
      const result = await written(page, async () => {
        await opening.click();
        await button(page, "Stop").waitFor();
        assert.equal(await openings.isVisible(), false);
        assert.equal(await page.getByRole("textbox").evaluate((field) => field.matches(":focus")), true);
        await shot("loading");
        await page.waitForFunction(
          (length) => document.querySelector("token-former").text.length > length + 8,
          began.length,
        );
        const tasks = await page.evaluate(() => longTasks);
        t.diagnostic(
          `tasks of the page's thread above 50 ms from the button to the third word: ${tasks.length}, the longest ${Math.max(0, ...tasks)} ms`,
        );
        await shot("writing");
        await assertAccessible(page, "writing");
        assert.equal(await page.getByRole("textbox").evaluate((field) => field.readOnly), true);
        // Inside the element and outside of it, these keys request what is already in progress.
        for (const place of [page.getByRole("textbox"), page.locator("#copy-link")]) {
          await place.focus();
          await page.keyboard.press("ControlOrMeta+Enter");
        }
        assert.equal(await page.evaluate(() => document.querySelector("token-former").state), "writing");
        await button(page, "Stop").click();
      });
      await page.evaluate(() => (globalThis.holdsWriting = false));
      assert.equal(result.finishReason, "abort");
      assert.equal(
        await page.evaluate(() => document.querySelector("token-former").model.info.thread),
        "worker",
        "under the page's own policy",
      );
      assert.deepEqual(await page.workers()[0].evaluate(scriptsHere), ["tokenformer-web_bg.wasm"], "one script");
      assert.equal(await text(page), began + result.text);
      const phases = await page.evaluate(() => progress);
      assert.ok(phases.includes("download") && phases.at(-1) === "ready", phases.join());
      assert.equal(await page.locator("#cost").textContent(), "");
      assert.match(await page.locator("[part=status]").textContent(), /\d+ tokens? · (.* · )?first token .* · stopped/);
      await page.getByText(new RegExp(`^\\d+ of ${EMBEDDED.contextLength.toLocaleString("en")} tokens$`)).waitFor();
      // These are the files that the page counts for the first text's download.
      const { files } = JSON.parse(readFileSync(`${MODEL}/manifest.json`, "utf8"));
      const names = requests.filter((path) => path.startsWith("/models/")).map((path) => path.split("/").at(-1));
      assert.deepEqual([...new Set(names)].sort(), [...files.map(({ path }) => path), "manifest.json"].sort());
      await assertFits(page, "written");
      await assertStill(page, "written");
      // The text that the opening replaced comes back, and so do the openings.
      const after = await text(page);
      const undo = () => page.evaluate(() => document.querySelector("token-former").undo());
      while ((await text(page)) !== before) assert.ok(await undo());
      assert.equal(await openings.isVisible(), true);
      await page.evaluate(() => {
        while (document.querySelector("token-former").redo());
      });
      assert.equal(await text(page), after);
      assert.equal(await openings.isVisible(), false);
    });

    await t.test("settings count from the next passage on, and stand in the address", async () => {
      await button(page, "Settings").click();
      await shot("settings");
      await page.getByRole("radio", { name: "Calm" }).check();
      await unfold();
      assert.equal(await setting("Repetition penalty").inputValue(), "1.15");
      await shot("settings-unfolded");
      await assertAccessible(page, "settings");
      await assertFits(page, "settings");
      await setting("Length").fill("4");
      await setting("Temperature").fill("0");
      await setting("Top-p").fill("7");
      await page.getByText("topP must be a number above 0, at most 1, not 7.").waitFor();
      await setting("Top-p").fill("0.9");
      await setting("Stop at").fill("THE END");
      await page.getByText("Yours are your own mix now.").waitFor();
      assert.equal(await page.getByRole("radio", { name: "Calm" }).isChecked(), false);
      await close();
      await page.waitForURL(/stop=/);
      // Movements due to the script's undo and redo above: no visitor asked for them.
      await page.evaluate(() => (shifts.length = 0));
      const query = new URLSearchParams(new URL(page.url()).hash.slice(1));
      assert.deepEqual(
        [query.get("max-tokens"), query.get("top-p"), query.get("stop"), query.get("prompt")],
        ["4", "0.9", '["THE END"]', (await passages(page))[0].text],
      );
      assert.equal(query.get("temperature"), "0");
    });

    await t.test("the text is edited in place and continued", async () => {
      const field = page.getByRole("textbox");
      await field.click();
      // How much was written before the stop depends on timing, and a text that outgrows its space moves what is
      // below it: a few letters of it are kept, the same number each time.
      const [beginning] = await passages(page);
      await field.evaluate((node, from) => node.setSelectionRange(from, node.value.length), beginning.text.length + 9);
      await page.keyboard.press("Delete");
      await page.keyboard.press("ControlOrMeta+End");
      await page.keyboard.type(" And then the");
      const before = await text(page);
      assert.deepEqual(
        (await passages(page)).map((p) => p.written),
        [false, true, false],
      );
      const result = await written(page, () => page.keyboard.press("ControlOrMeta+Enter"));
      assert.equal(result.usage.completionTokens, 4);
      assert.equal(await text(page), before + result.text);
      assert.equal(await field.inputValue(), before + result.text);
      await assertStill(page, "continued");
      // Pasted text is plain text.
      await field.evaluate((node) => node.setSelectionRange(0, 3));
      await page.keyboard.insertText("<b>The</b>");
      assert.ok((await text(page)).startsWith("<b>The</b> old"));
      await page.keyboard.press("ControlOrMeta+z");
      assert.equal(await text(page), before + result.text);
    });

    await t.test("the last passage is written anew, and undone", async () => {
      const before = await text(page);
      const last = (await passages(page)).at(-1).text;
      await button(page, "Settings").click();
      await setting("Temperature").fill("1.5");
      await setting("Seed").fill("5");
      await close();
      const { text: other } = await written(page, () => button(page, "Regenerate").click());
      assert.equal(await text(page), before.slice(0, before.length - last.length) + other);
      await button(page, "Undo").click();
      assert.equal(await text(page), before);
      await assertAccessible(page, "written");
      await shot("done");
      await button(page, "This device").click();
      await page
        .getByRole("dialog")
        .getByText(FULL ? /swiftshader/i : "on the CPU", { exact: false })
        .waitFor();
      await page.getByRole("dialog").getByText("in a worker, beside the page").waitFor();
      await close();
    });

    await t.test("tokens show their alternatives, to the mouse and to the keyboard", async () => {
      await button(page, "Tokens").click();
      const { text: added } = await written(page, () => button(page, /continue/i).click());
      const tokens = page.getByRole("button", { name: / %$/ }); // "said, 12 %"
      assert.ok((await tokens.count()) >= 4, added);
      await tokens.last().click();
      const rows = page.getByRole("list", { name: "Most likely tokens here" }).getByRole("listitem");
      assert.ok([10, 11].includes(await rows.count()), "the ten likeliest, and the one that was drawn");
      const { y, height } = await page.locator("[part=card]").boundingBox();
      assert.ok(y >= 0 && y + height <= page.viewportSize().height, `the card is in the window: ${y}, ${height}`);
      await assertAccessible(page, "tokens");
      await assertFits(page, "tokens");
      await shot("tokens");
      const chosen = () =>
        page.evaluate(() => document.querySelector("token-former").shadowRoot.activeElement.dataset.index);
      const last = Number(await chosen());
      await page.keyboard.press("ArrowLeft");
      assert.equal(Number(await chosen()), last - 1);
      assert.ok((await rows.count()) >= 10);
      await page.keyboard.press("Escape");
      await rows.first().waitFor({ state: "hidden" });
      // Another token replaces the last one, and the model continues from there.
      await tokens.last().click();
      const before = await text(page);
      const beginning = before.slice(0, before.length - added.length);
      await written(page, () => rows.nth(1).getByRole("button").press("Enter"));
      assert.equal(
        await page.evaluate(() => document.querySelector("token-former").shadowRoot.activeElement?.className),
        "tokens",
        "the keyboard stays in the view",
      );
      assert.ok((await text(page)).startsWith(beginning));
      await button(page, "Tokens").click();
    });

    await t.test("another model is chosen by its address", async () => {
      await button(page, /^model/i).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText(`Saved: ${kept}`).waitFor();
      await assertAccessible(page, "models");
      await assertFits(page, "models");
      await shot("models");
      await dialog.getByLabel("Other model").fill("not a name");
      await dialog.getByRole("button", { name: "Choose", exact: true }).click();
      await dialog.getByText(/neither a repository's name nor a folder's address/).waitFor();
      await dialog.getByLabel("Other model").fill(`./models/${EMBEDDED.name}`);
      await dialog.getByRole("button", { name: "Choose", exact: true }).click();
      await close();
      await button(page, new RegExp(EMBEDDED.name)).waitFor();
      // The contents of the details after one model is gone and before the other has arrived.
      await button(page, "This device").click();
      await page.evaluate(() => {
        const [none, details] = ["details-none", "details"].map((id) => document.getElementById(id));
        globalThis.details = [];
        new MutationObserver(() =>
          globalThis.details.push([none.hidden ? "" : none.textContent, details.children.length > 0]),
        ).observe(none.parentElement, { childList: true, subtree: true, characterData: true });
      });
      await page.evaluate(() => document.querySelector("token-former").load());
      await dialog.getByText(`${visit.url}models/${EMBEDDED.name}/`).last().waitFor();
      assert.deepEqual(await page.evaluate(() => [globalThis.details[0], globalThis.details.at(-1)]), [
        ["The model is being loaded.", false],
        ["", true],
      ]);
      await close();
      await written(page, () => button(page, /continue/i).click());
      assert.equal(
        await page.evaluate(() => document.querySelector("token-former").model.info.id),
        `${visit.url}models/${EMBEDDED.name}/`,
      );
    });

    await t.test("after a reload text, settings and models are there", async () => {
      const before = await text(page);
      await page.waitForFunction(
        (wanted) =>
          JSON.parse(localStorage.getItem("tokenformer-web"))
            .passages.map((p) => p.text)
            .join("") === wanted,
        before,
      );
      await page.reload();
      assert.equal(await text(page), before);
      await page.getByText("The model is saved: nothing more to download.").waitFor();
      await button(page, "Settings").click();
      await unfold();
      assert.deepEqual([await setting("Length").inputValue(), await setting("Seed").inputValue()], ["4", "5"]);
      await close();
    });

    await t.test("a stored model is deleted", async () => {
      await button(page, "This device").click();
      const dialog = page.getByRole("dialog");
      await dialog
        .getByRole("listitem")
        .filter({ hasText: `MB · ${EMBEDDED.quantization}` })
        .nth(1)
        .waitFor();
      await dialog.getByText(/^\d+ MB used of the [\d.]+ [MG]B that the browser allows this site\./).waitFor();
      await assertAccessible(page, "storage");
      await assertFits(page, "storage");
      await shot("storage");
      await dialog.getByRole("button", { name: `Delete ${visit.url}` }).click();
      await dialog.getByRole("button", { name: `Delete ${kept}?` }).click();
      await dialog.getByText(`: ${kept} freed`).waitFor();
      assert.deepEqual(
        await page.evaluate(async () =>
          (await (await import("./tokenformer.js")).TokenFormer.models()).map((m) => m.id),
        ),
        [EMBEDDED.name],
      );
      await close();
    });

    // Nothing of this depends on the width.
    if (!FULL && width !== 1280) return;
    await t.test("without a network the page opens, and the stored model writes", async () => {
      await button(page, /^model/i).click();
      await page.getByRole("radio", { name: EMBEDDED.label }).check();
      await close();
      await page.evaluate(() => navigator.serviceWorker.ready);
      // What the worker was told to keep is stored.
      await until(
        page,
        async () =>
          (await caches.match(new URL("tokenformer-web_bg.wasm", document.baseURI), { ignoreSearch: true })) !==
          undefined,
      );
      await page.waitForFunction(() => !JSON.parse(localStorage.getItem("tokenformer-web")).attributes.model);
      await visit.server.close();
      const problems = page.problems.splice(0);
      await page.reload();
      await page.getByText("The model is saved: nothing more to download.").waitFor();
      const before = await text(page);
      const { text: added } = await written(page, () => button(page, /continue/i).click());
      assert.equal(await text(page), before + added);
      await shot("offline");
      await button(page, "This device").click();
      await page.getByRole("button", { name: `Delete ${EMBEDDED.label}` }).click();
      await page.getByRole("button", { name: `Delete ${kept}?` }).click();
      await page.locator("#stored").getByText("None yet.").waitFor();
      // The page by its other name, which was never requested before.
      await page.goto(`${visit.url}index.html`);
      assert.equal(await text(page), before + added);
      assert.deepEqual(problems, [], "nothing was complained about in the console");
      // The browser reports requests to an absent server in the console.
      assert.deepEqual(
        page.problems.filter((p) => !/ERR_CONNECTION|Failed to load resource/.test(p)),
        [],
      );
    });
  });
}
