// Many stories: the list, files, links that hold a story, two tabs, a tab that is closed in the middle.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { OUTPUT, start, until } from "./harness.mjs";
import { assertAccessible, assertFits, button, passages, settled, text, visitor } from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ webgpu: false });
});
after(() => world?.close());

const panel = (page) => page.locator("#stories");
const listed = (page) => panel(page).locator(".story-open strong");

async function openPanel(page) {
  await page.locator("#open-stories").click();
  await panel(page).locator(".story-open").first().waitFor();
}

/** Types a text into the field, and waits until it is in the library. */
async function write(page, words) {
  await page.getByRole("textbox").fill(words);
  await until(
    page,
    (words) =>
      new Promise((resolve) => {
        const request = indexedDB.open("tokenformer-stories");
        request.onupgradeneeded = () => request.transaction.abort();
        request.onerror = () => resolve(false);
        request.onsuccess = () => {
          const all = request.result.transaction("stories").objectStore("stories").getAll();
          all.onsuccess = () => {
            request.result.close();
            resolve(all.result.some(({ story }) => story.passages.map(({ text }) => text).join("") === words));
          };
        };
      }),
    words,
  );
}

test("stories are listed, found, renamed, copied, deleted and back, by keys alone", async (t) => {
  const visit = await visitor(world, { width: 360, colorScheme: "dark" });
  t.after(() => visit.close());
  const { page, url } = visit;
  const press = async (locator) => {
    await locator.focus();
    await page.keyboard.press("Enter");
  };
  await write(page, "The lamp was out. Nobody knew why.");
  await press(page.locator("#open-stories"));
  await panel(page).getByRole("button", { name: "Rename The lamp was out. Nobody knew why." }).waitFor();
  await press(panel(page).getByRole("button", { name: "New", exact: true }));
  await page.waitForFunction(() => document.querySelector("token-former").text === "");
  await write(page, "A letter to Anna");
  await openPanel(page);
  assert.deepEqual(await listed(page).allTextContents(), ["A letter to Anna", "The lamp was out. Nobody knew why."]);
  for (const [width, colorScheme] of [
    [1280, "light"],
    [360, "dark"],
  ]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    await assertAccessible(page, "stories");
    await assertFits(page, "stories");
    await page.screenshot({ path: `${OUTPUT}stories-${width}.png` });
  }
  await panel(page).getByLabel("Search").fill("nobody");
  assert.deepEqual(await listed(page).allTextContents(), ["The lamp was out. Nobody knew why."]);
  await panel(page).getByLabel("Search").fill("");
  await press(panel(page).getByRole("button", { name: /^Rename The lamp/ }));
  await assertAccessible(page, "renaming");
  await page.keyboard.type("The lamp");
  await page.keyboard.press("Enter");
  await listed(page)
    .filter({ hasText: /^The lamp$/ })
    .waitFor();
  await press(panel(page).getByRole("button", { name: "Duplicate The lamp" }));
  await listed(page).filter({ hasText: "The lamp (copy)" }).waitFor();
  await press(panel(page).getByRole("button", { name: "Delete A letter to Anna" }));
  await button(page, "Undo").and(page.locator(":focus")).waitFor();
  assert.deepEqual((await listed(page).allTextContents()).sort(), ["The lamp", "The lamp (copy)"]);
  assert.equal(await text(page), "");
  await assertAccessible(page, "deleted");
  await page.keyboard.press("Enter");
  await listed(page).filter({ hasText: "A letter to Anna" }).waitFor();
  await page.waitForFunction(() => document.querySelector("token-former").text === "A letter to Anna");
  await press(panel(page).getByRole("button", { name: /^The lamp \d/ }));
  await page.waitForFunction(() => document.querySelector("token-former").text.startsWith("The lamp was out"));
  assert.equal(await panel(page).isVisible(), false);
  // A story in the list is not offered beside it as well.
  assert.equal(await page.locator("#own-text").isVisible(), false);
  await page.goto("about:blank");
  await page.goto(url);
  assert.equal(await text(page), "The lamp was out. Nobody knew why.");
  await openPanel(page);
  assert.equal(await panel(page).getByLabel("Title").inputValue(), "The lamp");
  assert.equal(await listed(page).count(), 3);
  assert.deepEqual(page.problems, []);
});

test("a story is the same in a file, and in another browser by its link", async (t) => {
  const visit = await visitor(world, { permissions: ["clipboard-read", "clipboard-write"] });
  const other = await visitor(world, { width: 360, colorScheme: "dark" });
  t.after(() => visit.close());
  t.after(() => other.close());
  const { page } = visit;
  const story = [
    { text: "The lamp ", written: false },
    { text: "was <b>out</b>.\n\nNobody", written: true },
    { text: " knew why.", written: false },
  ];
  await page.evaluate((story) => {
    document.querySelector("token-former").passages = story;
    document.querySelector("token-former").setAttribute("seed", "7");
  }, story);
  await openPanel(page);
  const saved = {};
  for (const kind of ["Text", "Web page", "Everything"]) {
    const download = page.waitForEvent("download");
    await panel(page).getByRole("button", { name: kind, exact: true }).click();
    const file = await download;
    saved[file.suggestedFilename()] = readFileSync(await file.path(), "utf8");
  }
  assert.deepEqual(Object.keys(saved), [
    "The lamp was b out b Nobody knew why.txt",
    "The lamp was b out b Nobody knew why.html",
    "The lamp was b out b Nobody knew why.json",
  ]);
  await panel(page).getByRole("button", { name: "Copy the text" }).click();
  await panel(page).getByText("Copied.").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), story.map(({ text }) => text).join(""));
  await panel(page).getByRole("button", { name: "Share a link" }).click();
  await panel(page).getByText("Copied a link that holds the story itself.").waitFor();
  const link = (await page.evaluate(() => navigator.clipboard.readText())).replace(visit.url, other.url);
  assert.deepEqual(page.problems, []);
  // Another visitor, with a text of their own.
  const theirs = other.page;
  await write(theirs, "My own text");
  await theirs.goto("about:blank");
  await theirs.goto(link);
  const shown = theirs.getByRole("dialog");
  await shown.getByRole("heading", { name: "The lamp was" }).waitFor();
  assert.deepEqual(
    await theirs
      .locator("#shared-text span")
      .evaluateAll((spans) =>
        spans.map(({ textContent, className }) => ({ text: textContent, written: className === "written" })),
      ),
    story,
  );
  await assertAccessible(theirs, "shared");
  await assertFits(theirs, "shared");
  await settled(theirs);
  await theirs.screenshot({ path: `${OUTPUT}shared-360.png` });
  assert.deepEqual(
    [await text(theirs), await theirs.evaluate(() => document.querySelector("token-former").getAttribute("seed"))],
    ["My own text", null],
  );
  await shown.getByRole("button", { name: "Continue from here" }).click();
  await shown.waitFor({ state: "hidden" });
  assert.deepEqual(await passages(theirs), story);
  assert.equal(await theirs.evaluate(() => document.querySelector("token-former").getAttribute("seed")), "7");
  // And from a file, which the page must ask for.
  await openPanel(theirs);
  assert.ok((await listed(theirs).allTextContents()).includes("My own text"));
  const [json] = Object.entries(saved).filter(([name]) => name.endsWith(".json"));
  await theirs
    .locator("#file-input")
    .setInputFiles({ name: "broken.json", mimeType: "application/json", buffer: Buffer.from("{") });
  await panel(theirs)
    .getByText(/broken\.json is not whole/)
    .waitFor();
  await theirs.locator("#file-input").setInputFiles([
    { name: json[0], mimeType: "application/json", buffer: Buffer.from(json[1]) },
    { name: "b.md", mimeType: "text/markdown", buffer: Buffer.from("Another one") },
  ]);
  await theirs.getByText(/^Opened “The lamp was .* and 1 more\.$/).waitFor();
  assert.deepEqual(await passages(theirs), story);
  await openPanel(theirs);
  assert.ok((await listed(theirs).allTextContents()).includes("Another one"));
  await theirs.keyboard.press("Escape");
  // By dropping it on the page.
  const drop = (name, text) =>
    theirs.evaluate(
      ([name, text]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([text], name));
        document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
      },
      [name, text],
    );
  await drop("a.json", "[]");
  await panel(theirs)
    .getByText(/a\.json is JSON, but no story/)
    .waitFor();
  await theirs.keyboard.press("Escape");
  await drop("b.txt", "Dropped");
  await theirs.getByText("Opened “Dropped”.").waitFor();
  assert.equal(await text(theirs), "Dropped");
  await openPanel(theirs);
  await panel(theirs)
    .getByRole("button", { name: /^The lamp was/ })
    .first()
    .click();
  await theirs.waitForFunction(() => document.querySelector("token-former").text.startsWith("The lamp"));
  await openPanel(theirs);
  // A tree's branches are versions, which are taken with a press.
  const tree = new URL("../fixtures/stories/loomsidian.json", import.meta.url);
  await theirs.locator("#file-input").setInputFiles(fileURLToPath(tree));
  await theirs.getByText(/^Opened “The keeper.* Not taken over: who wrote what/).waitFor();
  await openPanel(theirs);
  await panel(theirs).getByText("Versions at 4 places").click();
  await panel(theirs).getByRole("button", { name: "A bell rang. Twice.", exact: true }).click();
  await panel(theirs).locator("[aria-current]:focus", { hasText: "A bell rang. Twice." }).waitFor();
  assert.equal(await text(theirs), "The keeper lit the lamp. A bell rang. Twice.");
  await assertAccessible(theirs, "versions");
  // Versions that are not taken can be deleted, and the last one comes back.
  const deletions = panel(theirs).getByRole("button", { name: /^Delete / });
  const ways = panel(theirs).locator(".version-open");
  const [before, count] = [await ways.allTextContents(), await deletions.count()];
  assert.equal(await panel(theirs).locator("li.version:has([aria-current]) .link").count(), 0);
  await deletions.first().focus();
  await theirs.keyboard.press("Enter");
  await theirs.locator("#undo-version:focus").waitFor();
  assert.equal(await deletions.count(), count - 1);
  await assertAccessible(theirs, "a version deleted");
  await theirs.keyboard.press("Enter");
  await panel(theirs).locator(".version-open:focus").waitFor();
  assert.deepEqual(await ways.allTextContents(), before);
  assert.equal(await theirs.locator("#versions-status").textContent(), "Restored.");
  await panel(theirs)
    .getByRole("button", { name: /^The lamp was/ })
    .first()
    .click();
  await theirs.waitForFunction(() => document.querySelector("token-former").text.startsWith("The lamp"));
  await openPanel(theirs);
  // A link damaged on its way changes nothing.
  await theirs.keyboard.press("Escape");
  await theirs.evaluate(() => (location.hash = "#story=AAAA"));
  await theirs.getByText(/The story in this link is not whole/).waitFor();
  assert.deepEqual(await passages(theirs), story);
  assert.deepEqual(theirs.problems, []);
});

test("two tabs with one story make two of it, and a tab closed in the middle loses nothing", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url, context } = visit;
  await write(page, "The beginning");
  const other = await context.newPage();
  await other.goto(url);
  assert.equal(await text(other), "The beginning");
  await write(page, "The beginning, and one end");
  await other.getByRole("textbox").fill("The beginning, and another end");
  await other
    .getByText(/Another tab changed this story, too\. Yours continues as “The beginning, and another end \(other/)
    .waitFor();
  await openPanel(page);
  await listed(page).nth(1).waitFor();
  await page.keyboard.press("Escape");
  // Closed before anything could be saved to the library.
  await page.getByRole("textbox").fill("The beginning, and the very end");
  await page.close({ runBeforeUnload: true });
  const next = await context.newPage();
  await next.goto(url);
  await openPanel(next);
  await listed(next).filter({ hasText: "The beginning, and the very end" }).waitFor();
  assert.equal(await listed(next).count(), 2);
});

test("where the browser keeps nothing, the panel says so, and files work", async (t) => {
  const visit = await visitor(world);
  t.after(() => visit.close());
  const { page, url } = visit;
  await page.addInitScript(() => {
    IDBFactory.prototype.open = () => {
      throw new DOMException("Denied.", "SecurityError");
    };
  });
  await page.goto(`${url}?fresh`);
  await page.getByRole("textbox").fill("Mine");
  await page.locator("#open-stories").click();
  await panel(page)
    .getByText(/keeps no stories here/)
    .waitFor();
  const download = page.waitForEvent("download");
  await panel(page).getByRole("button", { name: "Text", exact: true }).click();
  assert.equal(readFileSync(await (await download).path(), "utf8"), "Mine");
  await panel(page).getByRole("button", { name: "New", exact: true }).click();
  await button(page, /^Your own text: Mine/).click();
  assert.equal(await text(page), "Mine");
  assert.deepEqual(page.problems, []);
});
