#!/usr/bin/env node
// Takes the screenshots of the page for README and docs: docs/screenshot{,-dark,-phone,-phone-dark}.png, and of the
// page that looks inside: docs/inside.png.
//
//     node scripts/screenshots.mjs [--cpu] [SEED]
//
// One text is generated, with that seed, and shown in light and dark, on a desktop and on a phone. The rate in the
// status line is that of this machine; --cpu: without a GPU. Build first: trunk build --release.

import { fileURLToPath } from "node:url";
import { withBrowser } from "./browser.mjs";

const given = process.argv.slice(2);
const cpu = given[0] === "--cpu";
const seed = given[cpu ? 1 : 0] ?? "11";
const SIZES = { "": { width: 1280, height: 730 }, "-phone": { width: 390, height: 844 } };

await withBrowser({ cpu }, async (browser, origin) => {
  const page = await browser.newPage({ viewport: SIZES[""], deviceScaleFactor: 2, reducedMotion: "reduce" });
  page.setDefaultTimeout(300_000);
  await page.goto(`${origin}/#${new URLSearchParams({ seed, "max-tokens": "96" })}`);
  // Twice: the first text after loading is slower, and the second is the same because of the seed.
  for (let times = 0; times < 2; times++) {
    await page.evaluate(async () => {
      const writer = document.querySelector("token-former");
      await writer.reset();
      await writer.generate();
      writer.blur();
    });
  }
  for (const [kind, size] of Object.entries(SIZES)) {
    await page.setViewportSize(size);
    await page.evaluate(() => scrollTo(0, 0));
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      const name = `screenshot${kind}${scheme === "dark" ? "-dark" : ""}.png`;
      await page.screenshot({ path: fileURLToPath(new URL(`../docs/${name}`, import.meta.url)) });
      console.log(`docs/${name}`);
    }
  }

  // A word of that page's initial text, and a parameter token that contributed to it (tools/oracle.rs says which).
  await page.setViewportSize({ width: 1000, height: 3600 });
  await page.goto(`${origin}/inspect.html`);
  await page.getByRole("button", { name: "Look inside" }).click();
  await page.locator("#progress-words", { hasText: "Choose a word" }).waitFor();
  await page.locator("#words").getByRole("button", { name: "small" }).click();
  await page.getByText(/Averages are those of/).waitFor();
  await page.getByRole("button", { name: /layer 9 · mlp · 1664 .*away from/ }).click();
  await page.getByText(/^It fires at/).waitFor();
  await page.evaluate(() => (document.activeElement.blur(), scrollTo(0, 0)));
  await page.emulateMedia({ colorScheme: "light" });
  const top = async (id) => (await page.locator(id).boundingBox()).y;
  const [from, to] = [await top("#words-title"), await top("#token-title")];
  const path = fileURLToPath(new URL("../docs/inside.png", import.meta.url));
  await page.screenshot({ path, clip: { x: 60, y: from - 8, width: 880, height: to - from - 24 } });
  console.log("docs/inside.png");
});
