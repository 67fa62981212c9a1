// The page that looks inside, on the CPU engine: from a word of a story to the parameter tokens that wrote it, the effect of
// one of them, and the text without it, compared with the API and the reference.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { modulePage, start } from "./harness.mjs";
import { assertAccessible, assertFits, button, visitor, written } from "./visitor.mjs";

/** The reference's results for a word of the page's own text (tools/oracle.rs). */
const oracle = JSON.parse(
  readFileSync(fileURLToPath(new URL("../../target/oracle/inside.json", import.meta.url)), "utf8"),
);
/** Greedy tokens with a runner-up this close may differ on another engine. */
const MARGIN = 0.02;

/** Requests that come with a model's weights. The size of the weights themselves is requested first. */
const LOADS = /tokenizer\.json/;

let world;
before(async () => {
  world = await start({ webgpu: false });
});
after(() => world?.close());

const isNear = (got, want, tolerance) => Math.abs(got - want) <= tolerance * Math.max(1, Math.abs(want));
const number = async (page, id) => Number.parseFloat(await page.locator(id).textContent());

test("a word leads to a parameter token, and that to the text without it", async (t) => {
  const visit = await visitor(world, { width: 360, reducedMotion: "reduce" });
  t.after(() => visit.close());
  const { page } = visit;
  await page.goto(`${visit.url}inspect.html`);
  await button(page, "Look inside").click();
  await page.locator("#progress-words", { hasText: "Choose a word" }).waitFor();
  const word = page.locator("#words").getByRole("button").nth(oracle.word);
  assert.equal(await word.textContent(), " small");
  await word.click();
  await page.getByRole("heading", { name: "What wrote “small”" }).waitFor();
  await page.getByText(/Averages are those of \d+ words/).waitFor();
  await assertFits(page, "a word is chosen");
  await assertAccessible(page, "a word is chosen");

  // A word after an article has this in particular: a parameter token that pushes away from another article.
  await button(page, /layer 9 · mlp · 1664 .*away from “the” “their” “your” “a” “his”/).click();
  await page.getByRole("heading", { name: "Layer 9, mlp, token 1664" }).waitFor();
  await page.getByText(/^It fires at \d+ of the 53 words/).waitFor();
  const marked = await page.locator("#passages mark").allTextContents();
  const determiners = marked.filter((one) => /^ ?(a|the|her|his|every|whose)$/i.test(one));
  assert.ok(marked.length >= 6 && determiners.length > 0.6 * marked.length, marked.join(", "));

  // The same as a table, by keyboard.
  await page.getByText("The map as a table").click();
  await button(page, /^Layer 9, proj, token \d+/).press("Enter");
  await page.getByRole("heading", { name: /^Layer 9, proj/ }).waitFor();
  await button(page, /layer 9 · mlp · 1664/).press("Enter");
  await page.getByText(/^It fires at \d+ of the 53 words/).waitFor();

  await button(page, "Switch it off").click();
  await page.getByText(/^Both begin with the text before the chosen word/).waitFor();
  await assertFits(page, "without it");
  await assertAccessible(page, "without it");
  const seen = {
    plain: {
      perplexity: await number(page, "#plain-perplexity"),
      text: await page.locator("#plain-text").textContent(),
    },
    changed: {
      perplexity: await number(page, "#changed-perplexity"),
      text: await page.locator("#changed-text").textContent(),
    },
  };
  assert.notEqual(seen.plain.text, seen.changed.text);
  const pushed = async (id) =>
    (await page.locator(`${id} li`).allTextContents()).map((text) =>
      Number(/−?[\d.]+$/.exec(text)[0].replace("−", "-")),
    );
  for (const way of ["up", "down"])
    (await pushed(`#${way}`)).forEach((logit, i) =>
      assert.ok(isNear(logit, oracle[way][i].logit, 6e-3), `${way} ${i}`),
    );
  const address = page.url();
  assert.deepEqual(page.problems, []);

  await t.test("the numbers are the API's and the reference's", async () => {
    const api = await modulePage(world);
    const told = await api.evaluate(
      async ({ text, word, token }) => {
        const model = await TokenFormer.load();
        const ids = Array.from(await model.encode(text));
        const asked = { position: word - 1, layers: [token.layer], kinds: [token.kind], top: 8 };
        const [{ top }] = await model.inspect(ids, asked);
        const version = async () => {
          const { perplexity } = await model.score(ids);
          const options = { maxTokens: 48, temperature: 0, repetitionPenalty: 1 };
          return { perplexity, ...(await model.complete(ids.slice(0, word), options)) };
        };
        const plain = await version();
        await model.ablate([token]);
        const changed = await version();
        return { top, plain, changed };
      },
      { ...oracle },
    );
    for (const [i, fired] of oracle.top.entries()) {
      assert.equal(told.top[i].slot, fired.slot);
      for (const name of ["score", "activation", "contribution"])
        assert.ok(isNear(told.top[i][name], fired[name], 1e-3), `${name} ${i}: ${told.top[i][name]}, ${fired[name]}`);
    }
    for (const which of ["plain", "changed"]) {
      assert.equal(seen[which].text, told[which].text);
      assert.equal(seen[which].perplexity.toFixed(3), told[which].perplexity.toFixed(3));
      assert.ok(isNear(told[which].perplexity, oracle[which].perplexity, 1e-3), `${told[which].perplexity}`);
      const unsure = oracle[which].margins.findIndex((margin) => margin < MARGIN);
      const sure = unsure < 0 ? oracle[which].ids.length : unsure;
      assert.ok(sure > 3);
      assert.deepEqual(told[which].tokenIds.slice(0, sure), oracle[which].ids.slice(0, sure));
    }
    await api.close();
  });

  await t.test("the link shows the same to somebody else, and starts nothing by itself", async () => {
    const other = await visitor(world, { width: 1280, colorScheme: "dark" });
    t.after(() => other.close());
    await other.page.goto(`${other.url}inspect.html${new URL(address).hash}`);
    await button(other.page, "Look inside").waitFor();
    assert.deepEqual(
      other.requests.filter((path) => LOADS.test(path)),
      [],
    );
    await button(other.page, "Look inside").click();
    await other.page.getByText(/^Both begin with/).waitFor();
    assert.equal(await other.page.locator("#changed-text").textContent(), seen.changed.text);
    await other.page.getByRole("heading", { name: "Layer 9, mlp, token 1664" }).waitFor();
    // Continuing, with the map.
    await button(other.page, "Continue").click();
    await other.page.locator("#progress-words", { hasText: "Writing" }).waitFor();
    await button(other.page, "Stop").click();
    await button(other.page, "Look inside").and(other.page.locator(":enabled")).waitFor();
    assert.deepEqual(other.page.problems, []);
  });
});

test("another model, another text and what cannot be done leave nothing of the former behind", async (t) => {
  const visit = await visitor(world, { width: 1280, reducedMotion: "reduce", mayAsk: [world.server.origin] });
  t.after(() => visit.close());
  const { page } = visit;
  await page.goto(
    `${visit.url}inspect.html#text=${encodeURIComponent("A dog ran to the house. ")}&at=1&changed=99.mlp.1*0`,
  );
  // Another model is chosen during loading.
  await button(page, "Look inside").click();
  await page.getByText(/^Model:/).click();
  const other = `${world.server.origin}/oracle/fixtures/head64-q4/`;
  await page.getByLabel("Other model").fill(other);
  await page.getByRole("button", { name: "Choose", exact: true }).click();
  await button(page, "Look inside").and(page.locator(":enabled")).waitFor();
  assert.equal(await page.locator("#inside").isHidden(), true);
  await button(page, "Look inside").click();
  await page.getByText(/has no tokenizer\.json/).waitFor();
  await page.getByRole("radio", { name: /Stories/ }).check();
  await button(page, "Look inside").click();
  await page.getByRole("heading", { name: "What wrote “dog”" }).waitFor();
  assert.equal(await page.locator("#without").isHidden(), true, "there is no layer 99");
  // A trailing space belongs to the word that follows.
  await button(page, "Continue").click();
  await page.locator("#progress-words", { hasText: /tokens, .* a second|The text has ended/ }).waitFor();
  assert.doesNotMatch(await page.getByLabel("Text to look into").inputValue(), /house\. {2}/);
  await page.getByLabel("Text to look into").fill("");
  await button(page, "Continue").click();
  await page.locator("#progress-words", { hasText: "Write a few words first" }).waitFor();
  assert.equal(await page.locator("#inside").isHidden(), true);
  assert.equal(await page.locator("#errors").textContent(), "");
  assert.deepEqual(page.problems, []);
});

test("a story's word leads there, without another download", async (t) => {
  const visit = await visitor(world, { width: 1280 });
  t.after(() => visit.close());
  const { page, requests } = visit;
  await page.evaluate(() => document.querySelector("token-former").setAttribute("max-tokens", "6"));
  await page.getByRole("textbox").fill("Once upon a time there was a little girl");
  await written(page, () => page.getByRole("textbox").press("Control+Enter"));
  await button(page, "Tokens").click();
  await page.locator("token-former [part=token]", { hasText: "girl" }).click();
  requests.length = 0;
  await page.getByRole("link", { name: "Why this word?" }).click();
  await page.getByRole("heading", { name: "What wrote “girl”" }).waitFor();
  assert.deepEqual(
    requests.filter((path) => LOADS.test(path)),
    [],
  );
});
