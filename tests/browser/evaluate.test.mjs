// The page that evaluates: texts and pairs, precisions side by side, stopping, the plot.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { FULL, OUTPUT, start, until } from "./harness.mjs";
import { withTokenizer } from "./small-models.mjs";
import { assertAccessible, assertFits, assertStill, button, settled, visitor } from "./visitor.mjs";

const root = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const NOVEL = readFileSync(root("eval/tokenformer_eval/data/northanger_abbey.txt"), "utf8");
const jsonLines = (...values) => values.map((value) => JSON.stringify(value)).join("\n");

/** A short text, and how many tokens of the embedded model it is. */
const PROMPT = (() => {
  const [{ prompt, promptIds }] = JSON.parse(readFileSync(root("target/oracle/greedy.json"), "utf8"));
  return { text: prompt, tokens: String(promptIds.length) };
})();

/** Requests that come with a model's weights. The page that writes is visited first, and asks how large they are. */
const LARGE = /tokenizer\.json|\.wasm/;

let world;
before(async () => {
  world = await start({ webgpu: false });
  makeCheckpoint();
});
after(() => world?.close());

/** A checkpoint that is not quantized, with a tokenizer. */
function makeCheckpoint() {
  const files = ["config.json", "pytorch_model.bin"];
  withTokenizer(root("target/oracle/medium"), files, 4000, `${OUTPUT}evaluate-model`);
}

async function evaluatePage(t, { query = "", ...options } = {}) {
  const visit = await visitor(world, { reducedMotion: "reduce", ...options });
  t.after(() => visit.close());
  await visit.page.goto(`${visit.url}evaluate.html${query}`);
  return visit;
}

const give = (page, text) => page.getByLabel("Text to evaluate").fill(text);
const begin = (page) => button(page, "Start").click();
const ended = (page, words = /^(Done|Stopped|Ended with errors)\.$/) =>
  page.locator("#progress-words", { hasText: words }).waitFor();

/** A row of the table, without anything beside the numbers. */
const row = (page, name) =>
  page
    .getByRole("row", { name: new RegExp(`^${name}`) })
    .first()
    .getByRole("cell")
    .allTextContents();
const value = (text) => Number(text.replace(/[,%]/g, "").replace("−", "-").split("±")[0]);

async function report(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), button(page, "Save as JSON").click()]);
  return JSON.parse(readFileSync(await download.path(), "utf8"));
}

/** Chooses the checkpoint of `makeCheckpoint`, and precisions of it. */
async function chooseCheckpoint(page, ...precisions) {
  await page.getByLabel("Other model").fill(`${world.server.origin}/out/evaluate-model/`);
  await page.getByRole("button", { name: "Choose", exact: true }).click();
  await page
    .getByRole("radio", { name: /evaluate-model/ })
    .and(page.locator(":checked"))
    .waitFor();
  for (const name of ["as published", "q4", "q8", "f16"])
    await page.getByLabel(new RegExp(`^${name}`)).setChecked(precisions.includes(name));
}

const SIZES = [
  [1280, "light"],
  [360, "dark"],
];
// In the short tier, the phone only looks at the results.
for (const [width, colorScheme] of FULL ? SIZES : SIZES.slice(0, 1)) {
  test(`a text is evaluated, ${width} px wide`, async (t) => {
    const visit = await evaluatePage(t, { width, colorScheme });
    const { page, requests, url } = visit;
    await t.test("it is reached from the page, and downloads nothing before it is told to", async () => {
      await page.goto(url);
      await page.waitForFunction(() => navigator.serviceWorker.controller);
      await page.getByRole("link", { name: "Evaluate a model" }).click();
      await page.getByRole("heading", { name: "Evaluate a model" }).waitFor();
      await page.getByText(/^This model comes as q/).waitFor();
      await assertAccessible(page, "before");
      await assertFits(page, "before");
      assert.deepEqual(
        requests.filter((path) => LARGE.test(path)),
        [],
      );
      // The embedded model has one precision, and no other is offered.
      assert.deepEqual(
        await page
          .locator("#precisions")
          .getByRole("checkbox")
          .evaluateAll((all) => all.map(({ checked, disabled }) => [checked, disabled])),
        [[true, true]],
      );
    });

    await t.test("its numbers are those of the harness's windows by score itself", async () => {
      const text = "It was a dark night. The little girl, who had no mother, looked “out” of the window.\n";
      await give(page, text);
      await page.getByText(/^1 document, 89 bytes\.$/).waitFor();
      await begin(page);
      await ended(page, /^Done\.$/);
      const wanted = await page.evaluate(async (text) => {
        const { TokenFormer } = await import("./tokenformer.js");
        const model = await TokenFormer.load();
        const { logprobs } = await model.score(await model.encode(text), { context: [0] });
        await model.dispose();
        return logprobs;
      }, text);
      const sum = wanted.reduce((a, b) => a + b);
      const { runs, input } = await report(page);
      const [{ metrics, documents, tokens, model, quantization, isComplete, backend, thread }] = runs;
      assert.deepEqual(
        [model, quantization, isComplete, backend, thread, tokens],
        [EMBEDDED.name, EMBEDDED.quantization, true, "cpu", "worker", wanted.length],
      );
      assert.deepEqual([input.kind, input.bytes, documents.length, documents[0].words], ["texts", 89, 1, 18]);
      const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-6 * Math.abs(b), `${a} ${b}`);
      near(documents[0].logprob, sum);
      near(metrics.tokenPerplexity.value, Math.exp(-sum / wanted.length));
      near(metrics.bitsPerByte.value, -sum / Math.LN2 / 89);
      near(metrics.wordPerplexity.value, Math.exp(-sum / 18));
      assert.equal(metrics.tokenPerplexity.error, null);
      const perplexity = Math.exp(-sum / wanted.length);
      assert.ok(
        Math.abs(value((await row(page, "Perplexity"))[0]) - perplexity) < Math.max(0.06, 2e-4 * perplexity),
        `${await row(page, "Perplexity")} for ${perplexity}`,
      );
      assert.match((await row(page, "Ran on"))[0], /^CPU, in a worker$/);
      assert.equal((await row(page, "Tokens scored"))[0], String(wanted.length));
    });

    await t.test(
      "the plot tells token by token, to the keyboard and to the pointer, and nothing moves under it",
      async () => {
        await page.evaluate(() => (shifts.length = 0));
        const plot = page.getByRole("slider", { name: "Token" });
        await plot.focus();
        await page.keyboard.press("Home");
        assert.match(await plot.getAttribute("aria-valuetext"), /^Token 1 of \d+: “It”, (q4|q8|f16) \d+\.\d\d bits/);
        await page.keyboard.press("ArrowRight");
        assert.match(await plot.getAttribute("aria-valuetext"), /^Token 2 of \d+: “was”/);
        assert.equal(await plot.getAttribute("aria-valuenow"), "2");
        await page.locator("#token-card", { hasText: "It was" }).waitFor();
        await page.keyboard.press("+");
        await page.locator("#plot-range", { hasText: /^Tokens [12] to [89] of/ }).waitFor();
        assert.ok(await button(page, "Zoom in").isDisabled());
        await page.keyboard.press("End");
        const last = Number(await plot.getAttribute("aria-valuemax"));
        assert.equal(Number(await plot.getAttribute("aria-valuenow")), last, "what lies outside comes into view");
        await page.locator("#plot-range", { hasText: `to ${last} of ${last}` }).waitFor();
        await page.keyboard.press("0");
        await page.locator("#plot-range", { hasText: `Tokens 1 to ${last}` }).waitFor();
        const box = await plot.boundingBox();
        await page.mouse.move(box.x + box.width / 2, box.y + 100);
        const middle = Number(await plot.getAttribute("aria-valuenow"));
        assert.ok(Math.abs(middle - last / 2) < 4, `${middle} of ${last}`);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width - 12, box.y + 100, { steps: 3 });
        await page.mouse.up();
        await page.locator("#plot-range", { hasText: `to ${last} of ${last}` }).waitFor();
        await button(page, "All tokens").click();
        // The table links to the plot.
        const top = page.getByRole("table").last().getByRole("button").first();
        const token = await top.textContent();
        await top.click();
        assert.ok((await plot.getAttribute("aria-valuetext")).includes(`“${token.trim()}”`));
        assert.ok(await plot.evaluate((node) => node === document.activeElement));
        await page
          .locator("#plot-summary", { hasText: /^\d+ tokens\. (q4|q8|f16): \d+\.\d\d bits on average/ })
          .waitFor();
        await assertStill(page, "plot");
      },
    );

    await t.test("all of it is accessible and fits", async () => {
      for (const summary of await page.locator("summary").all()) await summary.click();
      for (const [width, colorScheme] of FULL ? [[width, colorScheme]] : SIZES.toReversed()) {
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme });
        await assertAccessible(page, `results ${width}`);
        await assertFits(page, `results ${width}`);
        await settled(page);
        await page.screenshot({ path: `${OUTPUT}evaluate-${width}.png`, fullPage: true });
      }
      assert.deepEqual(page.problems, []);
    });

    await t.test("without a network it opens, and evaluates with the stored model", async () => {
      await until(page, async () =>
        (
          await Promise.all(
            ["evaluate.html", "page/evaluate/evaluate.css", "tokenformer-web_bg.wasm"].map((path) =>
              caches.match(new URL(path, document.baseURI), { ignoreSearch: true }),
            ),
          )
        ).every(Boolean),
      );
      await visit.server.close();
      await page.reload();
      await give(page, PROMPT.text);
      await begin(page);
      await ended(page, /^Done\.$/);
      assert.equal((await row(page, "Tokens scored"))[0], PROMPT.tokens);
    });
  });
}

test("pairs give an accuracy, over all of them", async (t) => {
  const { page } = await evaluatePage(t);
  await button(page, "Try sentences to finish").click();
  await page.getByText(/^12 pairs, \d+ bytes\.$/).waitFor();
  const pairs = (await page.getByLabel("Text to evaluate").inputValue()).split("\n").map(JSON.parse);
  // One that merges with its context: "window" is a token, and so is " sea".
  await give(
    page,
    jsonLines(
      ...pairs,
      { context: "The old man looked at the ", continuation: "sea" },
      { context: "", continuation: "Once upon a time" },
    ),
  );
  await begin(page);
  await ended(page, /^Done\.$/);
  const {
    runs: [{ metrics, documents }],
  } = await report(page);
  const greedy = await page.evaluate(async (pairs) => {
    const { TokenFormer } = await import("./tokenformer.js");
    const model = await TokenFormer.load();
    const items = pairs.map(({ context, continuation }) => ({ context, text: continuation }));
    const scores = await model.score([
      ...items,
      { context: "The old man looked at the", text: " sea" },
      { context: [0], text: "Once upon a time" },
    ]);
    await model.dispose();
    return scores.map(({ isGreedy, logprobs }) => [isGreedy, logprobs.reduce((a, b) => a + b)]);
  }, pairs);
  assert.deepEqual(
    documents.map(({ isGreedy }) => isGreedy),
    greedy.map(([isGreedy]) => isGreedy),
  );
  // They were computed in a different order, in different chunks.
  for (const [i, { logprob }] of documents.entries())
    assert.ok(Math.abs(logprob - greedy[i][1]) < 1e-3, `${i}: ${logprob} ${greedy[i][1]}`);
  const share = greedy.filter(([isGreedy]) => isGreedy).length / greedy.length;
  assert.ok(share > 0 && share < 1 && Math.abs(metrics.accuracy.value - share) < 1e-9 && metrics.accuracy.error > 0);
  assert.equal(value((await row(page, "Accuracy"))[0]), Number((share * 100).toFixed(1)));
  await page.getByText(/^± is one standard error over the 14 pairs\.$/).waitFor();
  assert.deepEqual(page.problems, []);
});

test("what cannot be read is told, with its line, and nothing begins", async (t) => {
  const { page, requests } = await evaluatePage(t, { width: 360 });
  await begin(page);
  await page.getByRole("alert").getByText("There is no text to evaluate.").waitFor();
  await give(page, `${jsonLines({ text: "a" })}\n{"text": `);
  await page
    .getByRole("alert")
    .getByText(/^Line 2 of the text field is not JSON/)
    .waitFor();
  await begin(page);
  assert.ok(await button(page, "Stop").isHidden());
  await assertAccessible(page, "wrong input");
  await give(page, "");
  // Files: JSON lines by their name, and plain texts, together.
  const file = (name, text) => ({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
  await page
    .locator("#texts-input")
    .setInputFiles([
      file("a.jsonl", jsonLines({ text: "one" }, { text: "" }, { text: "zwölf" })),
      file("b.txt", '{"text": "x"}'),
    ]);
  await page.getByText("3 documents, 22 bytes, 1 empty text left out.").waitFor();
  await page.locator("#texts-input").setInputFiles([file("c.jsonl", jsonLines({ context: "a", continuation: "b" }))]);
  await page
    .getByRole("alert")
    .getByText(/^Line 1 of c.jsonl is a pair of context and continuation, but what came before it is a text\./)
    .waitFor();
  await button(page, "Remove c.jsonl").click();
  await page.getByText("3 documents, 22 bytes, 1 empty text left out.").waitFor();
  await page
    .locator("#texts-input")
    .setInputFiles([file("d.bin", "x")].map((one) => ({ ...one, buffer: Buffer.from([0xff, 0xfe, 0]) })));
  await page
    .getByRole("alert")
    .getByText(/^d.bin is no text in UTF-8\./)
    .waitFor();
  // Dropped ones, too.
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["dropped"], "e.txt"));
    for (const type of ["dragover", "drop"])
      document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
  });
  await page.getByText("4 documents, 29 bytes, 1 empty text left out.").waitFor();
  // With typed texts beside them, and without again; an error in a file stays on display until the file is removed.
  await give(page, "typed");
  await page.getByText("5 documents, 34 bytes, 1 empty text left out.").waitFor();
  await page.locator("#texts-input").setInputFiles([file("f.jsonl", "{")]);
  await page
    .getByRole("alert")
    .getByText(/^Line 1 of f.jsonl is not JSON/)
    .waitFor();
  await give(page, "");
  await page
    .getByRole("alert")
    .getByText(/^Line 1 of f.jsonl is not JSON/)
    .waitFor();
  await button(page, "Remove f.jsonl").click();
  await page.getByText("4 documents, 29 bytes, 1 empty text left out.").waitFor();
  await assertFits(page, "files");
  assert.deepEqual(
    requests.filter((path) => LARGE.test(path)),
    [],
  );
  assert.deepEqual(page.problems, []);
});

test("precisions stand side by side, with what they differ by", async (t) => {
  const { page, url } = await evaluatePage(t, { mayAsk: [world.server.origin] });
  await page.getByText(/^This model comes as q/).waitFor();
  await chooseCheckpoint(page, "q4", "f16");
  assert.equal(
    new URL(page.url()).search,
    `?model=${encodeURIComponent(`${world.server.origin}/out/evaluate-model/`).replaceAll("%2F", "/")}&quantization=q4,f16`,
  );
  const paragraphs = NOVEL.split(/\n\n/).slice(0, 6);
  await give(page, jsonLines(...paragraphs.map((text) => ({ text }))));
  await begin(page);
  await ended(page, /^Done\.$/);
  assert.deepEqual(await page.getByRole("table").first().getByRole("columnheader").allTextContents(), ["q4", "f16"]);
  const {
    runs: [q4, f16],
  } = await report(page);
  assert.deepEqual(
    [q4.quantization, f16.quantization, q4.isReference, f16.isReference, q4.contextLength],
    ["q4", "f16", false, true, 256],
  );
  const { difference } = q4;
  assert.deepEqual(
    [difference.against, difference.units, difference.count, difference.hasSameWindows],
    ["f16", "documents", 6, true],
  );
  const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} ${b}`);
  near(difference.perplexity.value, q4.metrics.tokenPerplexity.value / f16.metrics.tokenPerplexity.value - 1);
  near(difference.bitsPerByte.value, q4.metrics.bitsPerByte.value - f16.metrics.bitsPerByte.value);
  assert.ok(
    difference.bitsPerByte.error > 0 && difference.bitsPerByte.error < q4.metrics.bitsPerByte.error,
    "what is common to both is no noise",
  );
  const [told, reference] = await row(page, "Perplexity against f16");
  assert.equal(reference, "reference");
  assert.ok(Math.abs(value(told) - difference.perplexity.value * 100) < 0.006, told);
  await page.getByLabel("Show").selectOption("difference to f16");
  assert.equal(await page.locator("#plot .mean").count(), 1);
  await assertAccessible(page, "two precisions");
  // The windows of a long paragraph, with `score` itself.
  const [index, sum] = await page.evaluate(
    async ({ name, paragraphs }) => {
      const { TokenFormer } = await import("./tokenformer.js");
      const model = await TokenFormer.load(name, { quantization: "f16" });
      const all = await Promise.all(paragraphs.map((text) => model.encode(text)));
      const index = all.findIndex(({ length }) => length > 600);
      const ids = all[index];
      const items = [{ context: [0], text: ids.slice(0, 255) }];
      let at = 255;
      for (; at + 255 <= ids.length; at += 255) items.push({ context: [ids[at - 1]], text: ids.slice(at, at + 255) });
      if (at < ids.length) items.push({ context: ids.slice(-256, at), text: ids.slice(at) });
      const scores = await model.score(items);
      await model.dispose();
      return [index, scores.flatMap(({ logprobs }) => logprobs).reduce((a, b) => a + b)];
    },
    { name: `${world.server.origin}/out/evaluate-model/`, paragraphs },
  );
  assert.ok(
    index >= 0 && Math.abs(f16.documents[index].logprob - sum) < 1e-6 * Math.abs(sum),
    `${index}: ${f16.documents[index]?.logprob} ${sum}`,
  );
  assert.deepEqual(page.problems, []);
  // The address restores the choice, and starts nothing.
  await page.reload();
  assert.deepEqual(
    await page.locator("#precisions input:checked").evaluateAll((all) => all.map(({ value }) => value)),
    ["q4", "f16"],
  );
  await page.goto(`${url}evaluate.html?model=not%20a%20name&quantization=q9&token=x&endpoint=https://other.example`);
  assert.ok(await page.getByRole("radio", { name: EMBEDDED.label }).isChecked());
});

test("what fails in the page itself is told, and the page can be used on", async (t) => {
  const { page } = await evaluatePage(t);
  await give(page, PROMPT.text);
  await page.evaluate(
    () =>
      (document.getElementById("table").replaceChildren = () => {
        throw new Error("no table today");
      }),
  );
  await begin(page);
  await ended(page, /^Ended with errors\.$/);
  await page.getByRole("alert").getByText("no table today").waitFor();
  assert.ok(await button(page, "Stop").isHidden());
  await page.evaluate(() => delete document.getElementById("table").replaceChildren);
  await begin(page);
  await ended(page, /^Done\.$/);
  assert.equal((await row(page, "Tokens scored"))[0], PROMPT.tokens);
  assert.deepEqual(page.problems, []);
});

test("what was stopped keeps its part, marked as such", async (t) => {
  const { page } = await evaluatePage(t);
  await give(page, NOVEL.slice(0, 20_000));
  await begin(page);
  await page
    .locator("#progress-words", { hasText: /^Scoring (q4|q8|f16): [\d,]+ of [\d,]+ tokens, [\d,.]+ tokens\/s/ })
    .waitFor();
  assert.ok((await page.locator("#progress").getAttribute("value")) !== null);
  await button(page, "Stop").click();
  await ended(page, /^Stopped\.$/);
  await page.getByRole("columnheader", { name: `${EMBEDDED.quantization} stopped: a part of it` }).waitFor();
  const {
    runs: [{ isComplete, tokens, metrics, documents }],
  } = await report(page);
  assert.ok(!isComplete && tokens >= 64 && tokens < 4000 && !documents[0].isWhole && documents[0].tokens === tokens);
  assert.ok(
    metrics.tokenPerplexity.value > 5 &&
      metrics.tokenPerplexity.value < 500 &&
      documents[0].bytes > tokens &&
      documents[0].bytes < 10_000,
  );
  assert.match((await row(page, "Tokens scored"))[0], /^[\d,]+ of [\d,]+$/);
  // And it can be started again.
  await give(page, PROMPT.text);
  await begin(page);
  await ended(page, /^Done\.$/);
  assert.equal((await row(page, "Tokens scored"))[0], PROMPT.tokens);
  assert.deepEqual(page.problems, []);
});

test("a precision that cannot be had costs the others nothing, and a model without a tokenizer says so", async (t) => {
  const { page, url } = await evaluatePage(t, { mayAsk: [world.server.origin] });
  const choose = async (name) => {
    await page.getByLabel("Other model").fill(name);
    await page.getByRole("button", { name: "Choose", exact: true }).click();
  };
  await give(page, PROMPT.text);
  await choose(`${url}models/${EMBEDDED.name}/`);
  const other = EMBEDDED.quantization === "q8" ? "q4" : "q8";
  await page.getByLabel(`${other} · `).check();
  await begin(page);
  await ended(page, /^Ended with errors\.$/);
  await page.getByRole("alert").getByText("invalid-argument").waitFor();
  assert.equal((await row(page, "Tokens scored"))[0], PROMPT.tokens);
  await page.getByRole("columnheader", { name: `${other} failed` }).waitFor();
  await assertAccessible(page, "errors");
  await choose(`${world.server.origin}/oracle/fixtures/head64-q4/`);
  await begin(page);
  await ended(page, /^Ended with errors\.$/);
  await page
    .getByRole("alert")
    .getByText(/has no tokenizer/)
    .waitFor();
  assert.ok(await page.getByRole("table").first().isHidden());
  await choose("./no/such/folder/");
  await begin(page);
  await page.getByRole("alert").getByText("model-not-found").waitFor();
  await choose("not a name");
  await page
    .getByRole("alert")
    .getByText(/neither a repository's name nor a folder's address/)
    .waitFor();
});
