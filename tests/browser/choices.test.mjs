// Several versions to choose from: written side by side, taken, browsed, found again, also when a tab is closed while
// they are written.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OUTPUT, start } from "./harness.mjs";
import { assertAccessible, assertFits, button, passages, settled, text, visitor } from "./visitor.mjs";

let world;
before(async () => {
  world = await start({ webgpu: false });
});
after(() => world?.close());

const OWN = "The old lamp was";
const idle = (page) => page.waitForFunction(() => document.querySelector("token-former").state === "idle");
const cards = (page) => page.locator(".way-text");
/** Waits until this many versions are written, and no more arrive. */
async function offered(page, count) {
  await page.waitForFunction((n) => document.querySelectorAll(".way-text:not(:empty)").length === n, count);
  await idle(page);
}
const marks = (page) => page.locator(".mark > [aria-hidden]").allTextContents();
const isMarked = (page, wanted) =>
  page.waitForFunction(
    (wanted) =>
      [...document.querySelectorAll(".mark > [aria-hidden]")].map((one) => one.textContent).join() === wanted.join(),
    wanted,
  );
const setCaret = (page, place) =>
  page.evaluate((place) => {
    const writer = document.querySelector("token-former");
    writer.focus();
    writer.selectionStart = place;
  }, place);

/** A page with a text of the visitor's, where this many tokens of four versions are written at a time. */
async function begin(t, tokens, options) {
  const visit = await visitor(world, options);
  t.after(() => visit.close());
  const { page } = visit;
  await page.getByLabel("Number of versions").selectOption("4");
  await page.evaluate(
    ([tokens, own]) => {
      const writer = document.querySelector("token-former");
      writer.setAttribute("max-tokens", tokens);
      writer.setAttribute("seed", "3");
      writer.text = own;
    },
    [String(tokens), OWN],
  );
  return visit;
}

/** With the keyboard on a mark: the text's end with each version, starting with the current one, by the arrow key. */
async function goThrough(page, mark, from) {
  const found = [];
  const count = Number((await mark.locator("[aria-hidden]").textContent()).split("/")[1]);
  await mark.focus();
  for (let i = 0; i < count; i += 1) {
    found.push((await text(page)).slice(from));
    const before = await text(page);
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((before) => document.querySelector("token-former").text !== before, before, {
      timeout: 20_000,
    });
  }
  return found;
}

test("four are written, one is taken, another gone back to, and each is found again after a reload", async (t) => {
  const { page, url } = await begin(t, 10);
  await button(page, "Undo").focus(); // which cannot be pressed while a text is written
  await page.keyboard.press("Control+Enter");
  await offered(page, 4);
  await page.locator("#writer:focus").waitFor();
  assert.equal(await text(page), OWN);
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await assertAccessible(page, `choices ${width}`);
    await assertFits(page, `choices ${width}`);
    await page.screenshot({ path: `${OUTPUT}choices-${width}.png` });
  }
  const written = await cards(page).allTextContents();
  assert.equal(new Set(written).size, 4);
  await page.keyboard.press("3");
  const taken = await passages(page);
  assert.deepEqual(
    taken.map(({ text, written }) => [text.trim(), written]),
    [
      [OWN, false],
      [written[2], true],
    ],
  );
  await isMarked(page, ["3/4"]);
  // It is restored with its tokens.
  await button(page, "Tokens").click();
  assert.ok((await page.locator("token-former .token").count()) >= 10);
  await button(page, "Tokens").click();
  await button(page, "Undo").click();
  assert.equal(await text(page), OWN);
  await isMarked(page, ["–/4"]);
  await page.keyboard.press("Control+y");
  await page.getByRole("textbox").focus();
  await page.keyboard.press("Control+y");
  await isMarked(page, ["3/4"]);
  // Regenerated in four versions, the previous text is one of them; and identical ones are not added again.
  await button(page, "Regenerate").click();
  await offered(page, 4);
  assert.equal(await text(page), OWN);
  await page.keyboard.press("3");
  await isMarked(page, ["3/4"]);
  // With the keyboard on the mark, to the first one.
  await page.locator(".mark").focus();
  for (const wanted of ["2/4", "1/4"]) {
    await page.keyboard.press("ArrowLeft");
    await isMarked(page, [wanted]);
  }
  const first = (await text(page)).slice(OWN.length);
  assert.equal(first.trim(), written[0]);
  await assertAccessible(page, "marked");
  await page.setViewportSize({ width: 360, height: 800 });
  await assertFits(page, "marked");
  await page.screenshot({ path: `${OUTPUT}choices-marked-360.png` });

  await page.goto("about:blank");
  await page.goto(url);
  assert.equal(await text(page), OWN + first);
  await isMarked(page, ["1/4"]);
  // From the middle: what follows is a version.
  const middle = OWN.length + first.indexOf(" ", 8);
  const ending = (OWN + first).slice(middle);
  await setCaret(page, middle);
  await page.keyboard.press("Shift"); // as after any key, what can be done here is shown
  await button(page, "Continue from here").waitFor();
  await assertAccessible(page, "inside the text");
  await assertFits(page, "inside the text");
  await settled(page);
  await page.screenshot({ path: `${OUTPUT}choices-inside-360.png` });
  await button(page, "Continue from here").focus(); // which is gone then
  await page.keyboard.press("Enter");
  await offered(page, 4);
  await page.locator("#writer:focus").waitFor();
  assert.equal(await text(page), (OWN + first).slice(0, middle));
  await page.locator(".way").nth(1).click();
  await isMarked(page, ["1/4", "3/5"]);
  const inner = await goThrough(page, page.locator(".mark").nth(1), middle);
  assert.equal(new Set(inner).size, 5);
  assert.ok(inner.includes(ending), `${JSON.stringify(ending)} is none of ${JSON.stringify(inner)}`);
  const outer = await goThrough(page, page.locator(".mark").first(), OWN.length);
  assert.deepEqual(
    outer
      .slice(1)
      .map((one) => one.trim())
      .sort(),
    written.slice(1).sort(),
  );
  assert.deepEqual(page.problems, []);
});

test("what is written between two places leads to what follows, and a finger takes it", async (t) => {
  const { page, context } = await begin(t, 10, { width: 360, height: 740, hasTouch: true, colorScheme: "dark" });
  const ending = " broken, and nobody knew why.";
  await page.getByRole("textbox").fill(OWN + ending);
  await setCaret(page, OWN.length);
  await page.keyboard.press("Shift");
  await button(page, "Write in between").tap();
  await page.getByText("Your ending follows best").waitFor();
  assert.equal(await text(page), OWN + ending);
  await assertAccessible(page, "between");
  await assertFits(page, "between");
  await settled(page);
  await page.screenshot({ path: `${OUTPUT}choices-between-360.png` });
  const best = await cards(page).first().textContent();
  await page.locator(".way").first().scrollIntoViewIfNeeded();
  const { x, y, width, height } = await page.locator(".way").first().boundingBox();
  const finger = await context.newCDPSession(page);
  const touch = (type, by) =>
    finger.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: type === "touchEnd" ? [] : [{ x: x + 20 + by, y: y + Math.min(height / 2, 60) }],
    });
  await touch("touchStart", 0);
  for (const by of [0.2, 0.3, 0.5, 0.6]) await touch("touchMove", by * width);
  await touch("touchEnd");
  await page.waitForFunction(
    (length) => document.querySelector("token-former").text.length > length,
    (OWN + ending).length,
  );
  const [own, between, after] = await passages(page);
  assert.deepEqual([own.text.trim(), between.text.trim(), after.text], [OWN, best, ending]);
  await isMarked(page, ["2/5"]);
  await button(page, "Undo").click(); // no tap: right after a swipe the browser takes that for its end
  await page.waitForFunction((text) => document.querySelector("token-former").text === text, OWN + ending);
  await isMarked(page, ["1/5"]);
  assert.deepEqual(page.problems, []);
});

test("a tab that is closed in mid-writing loses nothing, and Escape keeps what was written", async (t) => {
  const { page, url, context } = await begin(t, 400);
  const longest = () =>
    page.waitForFunction(() =>
      [...document.querySelectorAll(".way-text")].some(({ textContent }) => textContent.length > 40),
    );
  await button(page, /^Generate/).click();
  await longest();
  await page.keyboard.press("Escape");
  await idle(page);
  assert.equal(await text(page), OWN);
  await page.locator(".mark").waitFor(); // beside the text's end
  const [before] = await marks(page);
  assert.match(before, /^–\/\d$/);
  // Four texts are written by this seed and the three after it: one that is near would write some of the same texts,
  // which are no further versions where they end alike.
  await page.evaluate(() => document.querySelector("token-former").setAttribute("seed", "40"));
  await button(page, /^Generate/).click();
  await longest();
  const seen = await cards(page).allTextContents();
  await Promise.all([page.waitForEvent("close"), page.close({ runBeforeUnload: true })]);
  const next = await context.newPage();
  await next.goto(url);
  assert.equal(await text(next), OWN);
  await next.waitForFunction(() => document.querySelector(".mark"));
  const mark = next.locator(".mark");
  assert.ok(Number((await marks(next))[0].slice(2)) > Number(before.slice(2)), "more than before");
  await mark.click();
  const found = await goThrough(next, mark, OWN.length);
  for (const text of seen.filter((one) => one !== ""))
    assert.ok(
      found.some((one) => one.trim().startsWith(text.trim())),
      `${JSON.stringify(text)} is the beginning of none of ${JSON.stringify(found)}`,
    );
});
