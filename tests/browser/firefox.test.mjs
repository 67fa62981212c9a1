// Firefox, as it is installed: no driver, a page of ours tells the server what it found. Where Firefox offers no WebGPU
// (a machine without a GPU), the CPU engine runs in it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { serve } from "../../scripts/static-server.mjs";
import { OUTPUT, SUB_PATH } from "./harness.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const firefox = ["firefox-esr", "firefox"].find((name) => {
  try {
    return /Firefox \d/.test(execFileSync(name, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    return false;
  }
});

const PREFERENCES = {
  "dom.webgpu.enabled": true,
  "gfx.webgpu.ignore-blocklist": true,
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "toolkit.telemetry.reportingpolicy.firstRun": false,
};

/** What the page runs; the model's name and options come by its address. */
async function inPage() {
  const report = (what) => fetch(`/report?${encodeURIComponent(JSON.stringify(what))}`).catch(() => {});
  try {
    const { script, prompt } = JSON.parse(decodeURIComponent(location.search.slice(1)));
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    const { TokenFormer } = await import(script);
    const model = await TokenFormer.load();
    const { backend, thread, features, notes } = model.info;
    const { tokenIds } = await model.complete(prompt, { temperature: 0, maxTokens: 12 });
    await model.dispose();
    await report({ hasAdapter: Boolean(adapter), backend, thread, features, notes, tokenIds });
  } catch (error) {
    await report({ error: `${error.code} ${error.message} ${error.hint}` });
  }
}

test("the embedded model writes in Firefox", { skip: firefox ? false : "no Firefox is installed" }, async (t) => {
  const [{ prompt, ids }] = JSON.parse(readFileSync(path("target/oracle/greedy.json"), "utf8"));
  writeFileSync(`${OUTPUT}firefox.html`, `<!doctype html><meta charset="utf-8"><title>Firefox</title><script type="module">(${inPage})();</script>`);
  let tell;
  const told = new Promise((resolve) => (tell = resolve));
  const onRequest = ({ url }) => url.startsWith("/report?") && tell(JSON.parse(decodeURIComponent(url.slice(8))));
  const server = await serve({ [SUB_PATH]: path("dist"), "/out/": OUTPUT }, { onRequest });
  const profile = mkdtempSync(join(tmpdir(), "tokenformer-firefox-"));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${value});`);
  writeFileSync(join(profile, "user.js"), lines.join("\n"));
  const asked = encodeURIComponent(JSON.stringify({ script: `${server.origin}${SUB_PATH}tokenformer.js`, prompt }));
  const address = `${server.origin}/out/firefox.html?${asked}`;
  const browser = spawn(firefox, ["--headless", "--no-remote", "--profile", profile, address], { stdio: "ignore" });
  const ended = new Promise((resolve) => browser.once("exit", (code) => resolve({ error: `Firefox ended with ${code}` })));
  try {
    const seen = await Promise.race([told, ended]);
    assert.equal(seen.error, undefined);
    t.diagnostic(`WebGPU adapter: ${seen.hasAdapter}; ${JSON.stringify(seen)}`);
    assert.deepEqual(seen.tokenIds, ids.slice(0, 12));
    assert.equal(seen.backend, seen.hasAdapter ? "webgpu" : "cpu");
    if (seen.backend === "cpu") assert.deepEqual([seen.thread, seen.features], ["worker", ["simd128"]]);
  } finally {
    browser.kill();
    await ended;
    await server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
});
