// A visitor teaches a small model a text, keeps what it has learnt, and gives the file to another browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FULL, open, OUTPUT, relativeError, start, SUB_PATH } from "./harness.mjs";
import { withTokenizer } from "./small-models.mjs";
import { assertAccessible, assertFits, button } from "./visitor.mjs";

const MODEL = fileURLToPath(new URL("../../target/oracle/fixtures/head64-q4", import.meta.url));
/** Its tokens are mostly bytes: two sequences of 256, one of which is held out for validation. */
const TEXT = "The kettle sang upon the hob, and Mr. Pickwick beamed upon the kettle. ".repeat(20);
const BEGINNING = "The kettle";
/** Relative error of logits between the engines. */
const TOLERANCE = 2e-3;

let world;
before(async () => {
  world = await start();
  withTokenizer(MODEL, ["config.json", "model.safetensors"], 400, `${OUTPUT}teach-model`);
});
after(() => world?.close());

/** The page with that model, in a separate browser context. */
async function visit() {
  const model = `${world.server.origin}/out/teach-model/`;
  const url = `${world.server.origin}${SUB_PATH}#model=${encodeURIComponent(model)}`;
  const context = await world.browser.newContext({ viewport: { width: 1280, height: 800 } });
  await context.addInitScript(() => {
    globalThis.longTasks = [];
    const note = (list) => longTasks.push(...list.getEntries().map(({ duration }) => Math.round(duration)));
    new PerformanceObserver(note).observe({ type: "longtask" });
  });
  return open(world, url, { context });
}

/** Logits after the opening, and a text from a seed, of the page's model in its current state. */
const state = (page) =>
  page.evaluate(async (beginning) => {
    const model = await document.querySelector("token-former").load();
    await model.reset();
    const logits = Array.from(await model.logits(await model.encode(beginning)));
    await model.reset();
    const { text } = await model.complete(beginning, { seed: 7, maxTokens: 12 });
    return { logits, text, packs: model.packs.map(({ name, strength }) => [name, strength]) };
  }, BEGINNING);

test("what a text teaches can be kept, given away, and switched off to the last bit", async (t) => {
  const teacher = await visit();
  const base = await state(teacher);
  await button(teacher, /^Teach/).click();
  await teacher.getByLabel("Text to learn from").fill(TEXT);
  await teacher.getByLabel("Name of what it learns").fill("Kettle");
  await teacher.getByText("How long, how much").click();
  await teacher.getByLabel("Rounds").selectOption("1");
  await teacher.evaluate(() => (longTasks.length = 0));
  await button(teacher, "Teach it").click();
  await button(teacher, "Keep it").waitFor();
  const tasks = await teacher.evaluate(() => longTasks.join(", ") || "none");
  t.diagnostic(`tasks of the page's thread above 50 ms while it learnt: ${tasks} ms`);
  await assertFits(teacher, "taught");
  await assertAccessible(teacher, "taught");
  const [before, now] = (await teacher.locator("#lesson-verdict").textContent()).match(/\d+\.\d+/g).map(Number);
  assert.ok(now < before, `surprise ${before}, then ${now}`);
  assert.match(await teacher.locator("#round-with").textContent(), /after round 1/);
  await button(teacher, "Keep it").click();
  await teacher.locator("#packs-status", { hasText: "is saved" }).waitFor();
  const taught = await state(teacher);
  assert.deepEqual(taught.packs, [["Kettle", 1]]);
  assert.notDeepEqual(taught.logits, base.logits);
  const [download] = await Promise.all([
    teacher.waitForEvent("download"),
    button(teacher, "Save as a file: Kettle").click(),
  ]);
  assert.equal(download.suggestedFilename(), "Kettle.pack.safetensors");
  const file = readFileSync(await download.path()).toString("base64");

  // The same visitor, later. On the CPU the short tier compiles nothing for it.
  await teacher.reload();
  if (FULL) assert.deepEqual(await state(teacher), taught);
  else {
    await teacher.evaluate(() => document.querySelector("token-former").setAttribute("backend", "cpu"));
    const later = await state(teacher);
    const [kept, lost] = [taught, base].map(({ logits }) => relativeError(later.logits, logits));
    assert.deepEqual(later.packs, taught.packs);
    assert.ok(kept < TOLERANCE && lost > 10 * TOLERANCE, `${kept} from what was kept, ${lost} from the base`);
  }
  assert.deepEqual(teacher.problems, []);
  await teacher.context().close();

  // Another visitor, who gets the file.
  const pupil = await visit();
  await pupil.evaluate(async (file) => {
    const bytes = Uint8Array.from(atob(file), (sign) => sign.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], "from a friend.safetensors"));
    for (const type of ["dragover", "drop"])
      document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
  }, file);
  await pupil.locator("#packs-status", { hasText: "is added" }).waitFor();
  assert.deepEqual(await state(pupil), taught);
  await pupil.getByRole("checkbox", { name: "Kettle" }).uncheck();
  await pupil.waitForFunction(() => document.querySelector("token-former").model.packs.length === 0);
  assert.deepEqual(await state(pupil), base);
  assert.deepEqual(pupil.problems, []);
});
