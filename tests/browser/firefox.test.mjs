// Firefox as installed: no driver, a page of ours reports its findings to the server. It has WebGPU wherever Vulkan is,
// on Mesa's software driver if there is no other; without WebGPU, the CPU engine runs in it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { serve } from "../../scripts/static-server.mjs";
import { FULL, OUTPUT, relativeError, SUB_PATH } from "./harness.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const firefox = ["firefox-esr", "firefox"].find((name) => {
  try {
    return /Firefox \d/.test(
      execFileSync(name, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
    );
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

/** What the page runs; the address contains the model's name and options. */
async function inPage() {
  const report = (what) => fetch("/report", { method: "POST", body: JSON.stringify(what) }).catch(() => {});
  try {
    const { script, cases, fixtures } = JSON.parse(decodeURIComponent(location.search.slice(1)));
    globalThis[Symbol.for("tokenformer.softwareGpu")] = true; // the only kind that a test machine has
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    const { TokenFormer } = await import(script);
    const model = await TokenFormer.load();
    const { backend, thread, features, notes } = model.info;
    const texts = [];
    for (const ids of cases) texts.push((await model.complete(ids, { temperature: 0, maxTokens: 24 })).tokenIds);
    await model.dispose();
    const logits = [];
    for (const { folder, ids } of fixtures) {
      const fixture = await TokenFormer.load(folder);
      logits.push(Array.from(await fixture.logits(ids), (x) => Number(x.toPrecision(7))));
      await fixture.dispose();
    }
    await report({ hasAdapter: Boolean(adapter), backend, thread, features, notes, texts, logits });
  } catch (error) {
    await report({ error: `${error.code} ${error.message} ${error.hint}` });
  }
}

/** If the reference's best two logits are closer than this, a different id is no error. */
const MARGIN = 0.02;
const oracleOf = (name) => JSON.parse(readFileSync(path(`target/oracle/fixtures/${name}/oracle.json`), "utf8"));

test(
  "Firefox writes the reference's greedy texts, and its logits are the reference's",
  { skip: firefox ? false : "no Firefox is installed", timeout: 300_000 },
  async (t) => {
    // Chromium and Node.js write some of them, too.
    const cases = JSON.parse(readFileSync(path("target/oracle/greedy.json"), "utf8")).slice(0, FULL ? undefined : 2);
    writeFileSync(
      `${OUTPUT}firefox.html`,
      `<!doctype html><meta charset="utf-8"><title>Firefox</title><script type="module">(${inPage})();</script>`,
    );
    let tell;
    const told = new Promise((resolve) => (tell = resolve));
    const onRequest = async (request) => {
      if (request.url !== "/report") return;
      let body = "";
      for await (const piece of request.setEncoding("utf8")) body += piece;
      tell(JSON.parse(body));
    };
    const mounts = { [SUB_PATH]: path("dist"), "/out/": OUTPUT, "/oracle/": path("target/oracle") };
    const server = await serve(mounts, { onRequest });
    const profile = mkdtempSync(join(tmpdir(), "tokenformer-firefox-"));
    const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${value});`);
    writeFileSync(join(profile, "user.js"), lines.join("\n"));
    const names = ["head80-q8", "uneven-slots-q4", ...(FULL ? ["head64-q4", "head96-f16"] : [])];
    const fixtures = names.map((name) => ({
      name,
      oracle: oracleOf(name),
    }));
    const asked = encodeURIComponent(
      JSON.stringify({
        script: `${server.origin}${SUB_PATH}tokenformer.js`,
        cases: cases.map(({ promptIds }) => promptIds),
        fixtures: fixtures.map(({ name, oracle }) => ({
          folder: `${server.origin}/oracle/fixtures/${name}/`,
          ids: oracle.inputIds,
        })),
      }),
    );
    const address = `${server.origin}/out/firefox.html?${asked}`;
    const browser = spawn(firefox, ["--headless", "--no-remote", "--profile", profile, address], { stdio: "ignore" });
    const ended = new Promise((resolve) => {
      browser.once("exit", (code) => resolve({ error: `Firefox ended with ${code}` }));
      browser.once("error", (error) => resolve({ error: String(error) }));
    });
    try {
      const seen = await Promise.race([told, ended]);
      assert.equal(seen.error, undefined);
      t.diagnostic(
        `WebGPU adapter: ${seen.hasAdapter}; ${seen.backend}, ${seen.thread}, ${seen.features}; ${seen.notes}`,
      );
      seen.texts.forEach((got, i) => {
        const { ids, margins } = cases[i];
        const differs = got.findIndex((id, at) => id !== ids[at]);
        assert.ok(got.length > 0 && (differs < 0 || margins[differs] < MARGIN), `text ${i}: ${got} instead of ${ids}`);
      });
      seen.logits.forEach((got, i) => {
        const error = relativeError(got, fixtures[i].oracle.logits.at(-1));
        assert.ok(error < 2e-3, `${fixtures[i].name}: ${error} from the reference`);
      });
      assert.equal(seen.backend, seen.hasAdapter ? "webgpu" : "cpu");
      if (seen.backend === "cpu") assert.deepEqual([seen.thread, seen.features], ["worker", ["simd128"]]);
    } finally {
      browser.kill();
      await ended;
      await server.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  },
);
