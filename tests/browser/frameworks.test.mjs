// <token-former> in React 19, Vue 3, Preact and Svelte 5, on the CPU engine: attributes, events, and a bound text with two writers.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { compile } from "svelte/compiler";
import { modulePage, OUTPUT, start } from "./harness.mjs";

const SOURCE = fileURLToPath(new URL("frameworks/", import.meta.url));

/** Svelte's compiler alone, without the rest of its plugin. */
const svelte = {
  name: "svelte",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => ({
      contents: compile(await readFile(path, "utf8"), { filename: path, generate: "client" }).js.code,
    })),
};

let world;
let page;
before(async () => {
  await build({
    entryPoints: [`${SOURCE}index.js`],
    outfile: `${OUTPUT}frameworks/frameworks.js`,
    bundle: true,
    format: "esm",
    plugins: [svelte],
    jsx: "automatic",
    // Vue with its template compiler.
    alias: { vue: "vue/dist/vue.esm-bundler.js" },
    define: {
      "process.env.NODE_ENV": '"production"',
      __VUE_OPTIONS_API__: "false",
      __VUE_PROD_DEVTOOLS__: "false",
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
    },
  });
  world = await start({ webgpu: false });
  page = await modulePage(world);
  await page.evaluate(
    async (address) => (globalThis.frameworks = await import(address)),
    "/out/frameworks/frameworks.js",
  );
});
after(() => world?.close());

/** A token that is made the most likely one. */
const BIAS = 300;

for (const name of ["react", "vue", "preact", "svelte"]) {
  test(`${name}: attributes, events, and a text that is bound while three passages are written`, async () => {
    await page.evaluate(
      ([name, bias]) => {
        // Beside the earlier ones, whose engine it shares.
        const target = document.createElement("main");
        document.body.append(target);
        globalThis.told = [];
        const tell = ({ type, detail }) => told.push([type, type === "done" ? detail.tokenIds : null]);
        globalThis.change = frameworks[name](target, { tell, bias, isBare: false });
      },
      [name, BIAS],
    );
    await page.waitForFunction(() => (globalThis.writer = document.querySelector("main:last-child token-former")));
    const attributes = () =>
      page.evaluate(() => Object.fromEntries([...writer.attributes].map(({ name, value }) => [name, value])));
    assert.deepEqual(await attributes(), {
      backend: "cpu",
      "max-tokens": "3",
      stop: '["\\n\\n","The end"]',
      "logit-bias": `{"${BIAS}":100}`,
      "no-cache": "",
    });
    const wanted = [];
    for (const typed of [" and", " then", " so"]) {
      await page.evaluate(() => writer.focus());
      await page.keyboard.type(typed);
      const text = await page.evaluate(async () => (await writer.generate()).text);
      assert.notEqual(text, "");
      wanted.push({ text: wanted.length === 0 ? `Once${typed}` : typed, written: false }, { text, written: true });
      // The framework has taken over the written text, and passed it back.
      await page.waitForFunction(
        (tokens) => document.querySelector("main:last-child output").textContent === `${tokens} tokens: ${writer.text}`,
        3 * (wanted.length / 2),
      );
      assert.deepEqual(await page.evaluate(() => writer.passages), wanted);
    }
    const { told, attached } = await page.evaluate(() => {
      const before = told.slice();
      // An element that shares an engine sees nothing of its loading, and nothing has failed.
      for (const type of ["progress", "error"]) writer.dispatchEvent(new CustomEvent(type));
      return { told: before, attached: told.slice(before.length) };
    });
    const count = (type) => told.filter(([other]) => other === type).length;
    assert.deepEqual([count("load"), count("token"), count("error")], [1, 9, 0]);
    assert.deepEqual(
      told.filter(([type]) => type === "done"),
      Array(3).fill(["done", [BIAS, BIAS, BIAS]]),
    );
    assert.deepEqual(attached, [
      ["progress", null],
      ["error", null],
    ]);
    await page.evaluate(() => change({ isBare: true }));
    await page.waitForFunction(() => !writer.hasAttribute("stop"));
    assert.deepEqual(await attributes(), { backend: "cpu" });
    assert.deepEqual(await page.evaluate(() => [typeof writer.stop, writer.passages.length]), ["function", 6]);
    assert.deepEqual(page.problems, []);
  });
}
