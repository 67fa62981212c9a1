// What <token-former> does with a real document: focus, selection, the caret, styles, another document. On the CPU engine.

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

/** Puts markup into the page; `$` finds parts of its first element. */
async function show(markup) {
  await page.evaluate((markup) => {
    document.body.innerHTML = markup;
    globalThis.writer = document.querySelector("token-former");
    globalThis.$ = (part) => writer.shadowRoot.querySelector(`[part~=${part}]`);
  }, markup);
}

/** Drags the mouse over a whole element; returns what is selected then. */
async function drag(locator) {
  const box = await locator.boundingBox();
  await page.mouse.move(box.x + 1, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 1, box.y + box.height / 2, { steps: 3 });
  await page.mouse.up();
  return page.evaluate(() => [String(getSelection()), document.activeElement?.localName]);
}

test("words in and around it can be selected without the keyboard coming up", async () => {
  await show(
    `<token-former temperature="-1" prompt="x"><p style="inline-size: fit-content">Words of the host</p></token-former>`,
  );
  assert.deepEqual(await drag(page.getByText("Words of the host")), ["Words of the host", "body"]);
  await page.evaluate(() => writer.generate().catch(() => {}));
  const [selected, focused] = await drag(page.locator("[part=error] .code"));
  assert.deepEqual([selected.trim(), focused], ["invalid-argument", "body"]);
  await page.evaluate(() => writer.focus({ preventScroll: true }));
  assert.equal(await page.evaluate(() => writer.shadowRoot.activeElement?.localName), "textarea");
});

test("no attribute has the name of a property that would swallow it", async () => {
  await show("<token-former></token-former>");
  const lost = await page.evaluate(() =>
    writer.constructor.observedAttributes.filter((name) => {
      if (!(name in writer)) return false;
      writer[name] = "x";
      return writer.getAttribute(name) !== "x";
    }),
  );
  assert.deepEqual(lost, []);
});

test("field and mirror set the same text alike, whatever the host inherits to them", async () => {
  const inherited = {
    "text-transform": "uppercase",
    "text-shadow": "rgb(1, 2, 3) 1px 1px 0px",
    "text-rendering": "optimizelegibility",
    "text-align": "center",
    "text-align-last": "right",
    "text-indent": "2em",
    "text-wrap": "balance",
    "text-autospace": "normal",
    "letter-spacing": "1.5px",
    "word-spacing": "4px",
    "word-break": "break-all",
    "line-break": "anywhere",
    "line-height": "30px",
    "font-kerning": "none",
    "font-variant-caps": "small-caps",
    "font-feature-settings": '"liga" 0',
    "font-stretch": "condensed",
    hyphens: "auto",
    "tab-size": "3",
    "white-space": "nowrap",
    "overflow-wrap": "break-word",
    direction: "rtl",
  };
  await show(`<div style="inline-size: 300px"><token-former></token-former></div>`);
  const differing = await page.evaluate((inherited) => {
    for (const [name, value] of Object.entries(inherited)) writer.parentNode.style.setProperty(name, value);
    writer.text =
      "Hello there World, a fairly long sentence\twith a tab and AV To kerning, which takes some lines.\nAnother. ".repeat(
        3,
      );
    const [mirror, field] = [getComputedStyle($("output")), getComputedStyle($("prompt"))];
    return [...Object.keys(inherited), "font"]
      .filter((name) => mirror.getPropertyValue(name) !== field.getPropertyValue(name))
      .map((name) => `${name}: ${mirror.getPropertyValue(name)} and ${field.getPropertyValue(name)}`);
  }, inherited);
  assert.deepEqual(differing, []);
  // The mirror's height is that of its lines; so is the field's scroll height.
  const heights = await page.evaluate(() => {
    const field = $("prompt");
    field.style.blockSize = "0";
    return [$("output").scrollHeight, field.scrollHeight];
  });
  assert.ok(Math.abs(heights[0] - heights[1]) < 2, `${heights}`);
});

test("moved into another document it keeps its styles, and what it holds", async () => {
  await show(`<token-former prompt="Once"></token-former><iframe></iframe>`);
  const before = await page.evaluate(() => getComputedStyle($("generate")).minBlockSize);
  const moved = await page.evaluate(() => {
    const { contentDocument, contentWindow } = document.querySelector("iframe");
    contentDocument.body.append(writer);
    const { display } = contentWindow.getComputedStyle(writer);
    return [display, contentWindow.getComputedStyle($("generate")).minBlockSize, writer.text];
  });
  assert.deepEqual(moved, ["block", before, "Once"]);
  const back = await page.evaluate(() => {
    document.body.append(writer);
    return [getComputedStyle(writer).display, getComputedStyle($("generate")).minBlockSize];
  });
  assert.deepEqual(back, ["block", before]);
});

test("a letter typed behind line ends of Windows leaves who wrote what", async () => {
  await show("<token-former></token-former>");
  await page.evaluate(() => {
    writer.passages = [
      { text: "One\r\nTwo\r\n", written: false },
      { text: "Three\r\nfour", written: true },
    ];
    writer.focus();
  });
  await page.keyboard.press("Control+End");
  await page.keyboard.type("!");
  assert.deepEqual(await page.evaluate(() => writer.passages), [
    { text: "One\nTwo\n", written: false },
    { text: "Three\nfour", written: true },
    { text: "!", written: false },
  ]);
});

test("two write in turns: after a space the model goes on, and what is typed next stands behind it", async () => {
  await show(`<token-former max-tokens="6" temperature="0" backend="cpu" no-cache></token-former>`);
  await page.evaluate(() => writer.focus());
  await page.keyboard.type("The old man looked at the sea and ");
  const done = page.evaluate(() => new Promise((resolve) => writer.addEventListener("done", resolve, { once: true })));
  await page.keyboard.press("Control+Enter");
  await done;
  const written = await page.evaluate(() => writer.text);
  // The same as after the text without its space: what the model would write there, starting with a word.
  const { text, tokens } = await page.evaluate(async () => {
    const { tokenIds } = await writer.model.complete("The old man looked at the sea and ", {
      maxTokens: 6,
      temperature: 0,
    });
    return { text: writer.text, tokens: await writer.model.decode(tokenIds) };
  });
  assert.equal(text, `The old man looked at the sea and${tokens}`);
  assert.match(written, /sea and \S/);
  await page.evaluate(() => $("generate").focus());
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.type("Y");
  assert.equal(await page.evaluate(() => writer.text), `${written}Y`);
  assert.deepEqual(page.problems, []);
});
