// examples/extension: the engine in a side panel, under the policy of its manifest. If a complete Chromium is found (BROWSER
// or `chromium`; the headless shell loads no extensions) it runs as an extension, otherwise its page runs as a site with that policy.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { serve } from "../../scripts/static-server.mjs";
import { open, OUTPUT, start } from "./harness.mjs";

const run = promisify(execFile);
const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const FOLDER = `${OUTPUT}extension`;
const read = (name) => readFileSync(`${FOLDER}/${name}`, "utf8");

let manifest;
before(async () => {
  await run(process.execPath, [path("examples/extension/build.mjs"), path("dist"), FOLDER]);
  manifest = JSON.parse(read("manifest.json"));
});

/** A Chromium that loads extensions, or null. */
async function wholeChromium() {
  for (const program of [process.env.BROWSER, "chromium"].filter(Boolean)) {
    const isThere = await run(program, ["--version"]).then(
      () => true,
      () => false,
    );
    if (isThere) return program === "chromium" ? (await run("which", [program])).stdout.trim() : program;
  }
  return null;
}

/** Makes the panel write, and returns in which thread it did. */
async function assertWrites(page) {
  const thread = await page.evaluate(async () => {
    const writer = document.querySelector("token-former");
    writer.setAttribute("max-tokens", "5");
    const { tokenIds } = await writer.generate();
    return [tokenIds.length, writer.model.info.thread];
  });
  assert.deepEqual(thread, [5, "worker"]);
}

test("the extension is whole, and nothing in it is of another host", () => {
  const { background, side_panel: panel, content_security_policy: policy } = manifest;
  for (const name of [background.service_worker, panel.default_path]) assert.ok(existsSync(`${FOLDER}/${name}`), name);
  for (const [, address] of read("panel.html").matchAll(/(?:src|href)="([^"]+)"/g))
    assert.ok(existsSync(`${FOLDER}/${address}`), address);
  assert.doesNotMatch(policy.extension_pages, /https?:|unsafe-inline|'unsafe-eval'|blob:/);
  for (const name of readdirSync(FOLDER).filter((name) => /\.(js|html|css)$/.test(name)))
    assert.doesNotMatch(read(name), /https?:/, name);
});

test("its panel writes in a worker, under the policy of the manifest", async (t) => {
  const executablePath = await wholeChromium();
  if (executablePath) {
    const profile = mkdtempSync(join(tmpdir(), "extension-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      ignoreDefaultArgs: ["--disable-extensions"],
      args: ["--no-sandbox", "--no-first-run", `--disable-extensions-except=${FOLDER}`, `--load-extension=${FOLDER}`],
    });
    after(() => rmSync(profile, { recursive: true, force: true }));
    const [worker = await context.waitForEvent("serviceworker")] = context.serviceWorkers();
    const page = await context.newPage();
    await page.goto(new URL(manifest.side_panel.default_path, worker.url()).href);
    await assertWrites(page);
    // The text that the menu passes is continued.
    await worker.evaluate(() => chrome.storage.session.set({ beginning: "The king" }));
    await page.waitForFunction(() => document.querySelector("token-former").text.startsWith("The king "));
    await context.close();
    t.diagnostic("as an extension");
    return;
  }
  const world = await start({ webgpu: false });
  const site = await serve({ "/": FOLDER });
  const context = await world.browser.newContext();
  const policy = { "Content-Security-Policy": manifest.content_security_policy.extension_pages };
  await context.route("**/*", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), ...policy } });
  });
  const page = await open(world, `${site.origin}/${manifest.side_panel.default_path}`, { context });
  await assertWrites(page);
  assert.deepEqual(page.problems, []);
  await Promise.all([world.close(), site.close()]);
  t.diagnostic("as a site: no Chromium that loads extensions was found");
});
