// How the element looks in pages of other sites, in headless Chromium without WebGPU: nothing is loaded here.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { modulePage, start } from "./harness.mjs";

let world;
let page;
before(async () => {
  world = await start({ webgpu: false });
  page = await modulePage(world);
});
after(() => world?.close());

/** Puts one element into an empty page whose body has this style. */
const show = (style, attributes) =>
  page.evaluate(
    ([style, attributes]) => {
      document.body.replaceChildren();
      document.body.style.cssText = style;
      const element = document.createElement("token-former");
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      document.body.append(element);
    },
    [style, attributes],
  );

test("an error can be read on light and dark pages that do not say which they are", async () => {
  for (const style of [
    "color: #eee; background: #111",
    "color: #222; background: #fff",
    "color: #9ab; background: #123",
  ]) {
    await show(style, { temperature: "-1", prompt: "Once" });
    const ratio = await page.evaluate(async () => {
      const element = document.querySelector("token-former");
      await element.generate().catch(() => {});
      const { color, backgroundColor } = getComputedStyle(element.shadowRoot.querySelector("[part=error]"));
      const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      const luminance = (value) => {
        canvas.fillStyle = value;
        canvas.fillRect(0, 0, 1, 1);
        const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(linear);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const [a, b] = [color, backgroundColor].map(luminance).sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    });
    assert.ok(ratio >= 7, `${style}: ${ratio}`);
  }
});

test("a text runs as its own writing does, in the field, its mirror and among tokens", async () => {
  await show("", { prompt: "مرحبا بالعالم." });
  const directions = () =>
    page.evaluate(() =>
      ["textarea", ".mirror", ".tokens"].map(
        (part) => getComputedStyle(document.querySelector("token-former").shadowRoot.querySelector(part)).direction,
      ),
    );
  assert.deepEqual(await directions(), ["rtl", "rtl", "ltr"]);
  await page.evaluate(() => document.querySelector("token-former").setAttribute("token-view", ""));
  assert.equal((await directions())[2], "rtl");
  await show("", { prompt: "Hello." });
  assert.deepEqual((await directions()).slice(0, 2), ["ltr", "ltr"]);
});

test("lines of both directions stand in the field where they stand in its mirror", async () => {
  await show("margin: 0; inline-size: 320px; font: 20px/1.6 serif; color: #000; background: #fff", {});
  const sheet = page.locator(".sheet");
  for (const passages of [
    [{ text: "Hello.\nמה שלומך היום? (A)\nمرحبا 12, and", written: false }],
    [
      { text: "שלום עולם, ", written: false },
      { text: "ומה עוד?\nAnd more.", written: true },
    ],
  ]) {
    // The field's own letters, as shown while an input method composes, against the mirror's: both black.
    const pictures = [];
    for (const isField of [false, true]) {
      await page.evaluate(
        ([passages, isField]) => {
          const element = document.querySelector("token-former");
          element.passages = passages;
          element.style.setProperty("--token-former-written", "#000");
          element.shadowRoot.querySelector(".surface").toggleAttribute("data-composing", isField);
        },
        [passages, isField],
      );
      pictures.push(await sheet.screenshot());
    }
    assert.ok(pictures[0].equals(pictures[1]), passages[0].text);
  }
});

test("the button is called what stands on it, and the field's focus can be seen", async () => {
  await show("", { prompt: "Once" });
  await page.getByRole("button", { name: "Generate", exact: true }).waitFor();
  const ring = () =>
    page.evaluate(
      () =>
        getComputedStyle(document.querySelector("token-former").shadowRoot.querySelector(".sheet"), "::before")
          .borderTopWidth,
    );
  await page.getByRole("textbox").focus();
  assert.equal(await ring(), "2px");
  await page.evaluate(() => {
    document.querySelector("token-former").passages = [
      { text: "Once", written: false },
      { text: " more", written: true },
    ];
  });
  await page.getByRole("button", { name: "Continue", exact: true }).waitFor();
});

test("what is written moves nothing but itself: neither button nor status nor caret, in any font", async () => {
  for (const font of ["serif", "monospace"]) {
    await show(`margin: 0; inline-size: 320px; font: 18px/1.6 ${font}`, { prompt: "Once upon a time" });
    const places = await page.evaluate(() => {
      const root = document.querySelector("token-former").shadowRoot;
      const width = (part) => {
        const button = root.querySelector(`[part~=${part}]`);
        const { hidden } = button;
        button.hidden = false;
        const { width } = button.getBoundingClientRect();
        button.hidden = hidden;
        return width;
      };
      const [generate, status] = [root.querySelector("[part~=generate]"), root.querySelector("[part=status]")];
      const widths = ["Generate", "Continue"].map((word) => {
        generate.textContent = word;
        return width("generate");
      });
      const heights = ["", "256 tokens · 310 tokens/s · first token 24 ms"].map((words) => {
        status.textContent = words;
        return root.querySelector(".controls").getBoundingClientRect().height;
      });
      return { widths: [...widths, width("stop")], heights };
    });
    assert.equal(new Set(places.widths).size, 1, `${font}: ${places.widths}`);
    assert.equal(new Set(places.heights).size, 1, `${font}: ${places.heights}`);
  }
  assert.deepEqual(page.problems, []);
});
