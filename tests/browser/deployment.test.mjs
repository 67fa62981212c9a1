// How a deployment, or an outage of the host, affects open pages and visits without a network.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { nameOf } from "../../scripts/name-build.mjs";
import { serve } from "../../scripts/static-server.mjs";
import { makeBuilds } from "./builds.mjs";
import { importModule, modulePage, open, start, SUB_PATH, until } from "./harness.mjs";

const root = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const MODEL = root("target/oracle/fixtures/head64-q4");

let world;
let folder;
/** Two builds: in the second one a message between page and worker has a different name. */
let first;
let second;
before(async () => {
  world = await start({ webgpu: false });
  folder = mkdtempSync(join(tmpdir(), "tokenformer-deployment-"));
  [first, second] = await makeBuilds(folder);
  assert.notEqual(first.name, second.name);
});
after(async () => {
  await world?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A host, and a visitor's page there that is controlled by its service worker. */
async function visit(t) {
  const host = { fault: () => false };
  const mounts = { [SUB_PATH]: first.folder, "/model/": MODEL, [`${SUB_PATH}local/model/`]: MODEL };
  const server = await serve(mounts, { onRequest: (request, response) => host.fault(request, response) });
  const context = await world.browser.newContext();
  t.after(async () => {
    await context.close();
    await server.close().catch(() => {}); // it may be closed already
  });
  const url = `${server.origin}${SUB_PATH}`;
  const controlled = (page) => page.waitForFunction(() => navigator.serviceWorker.controller);
  const tab = async (path = "") => {
    const page = await open(world, url + path, { context });
    if (path === "") await controlled(page);
    return page;
  };
  const deploy = (build) => (mounts[SUB_PATH] = build.folder);
  /** Waits until the browser has looked for a new service worker, and a build's is installed. */
  const installed = (page, { name }) =>
    page.evaluate(async (name) => {
      const registration = await navigator.serviceWorker.ready;
      await registration.update();
      const worker = registration.installing ?? registration.waiting ?? registration.active;
      while (!["installed", "activated"].includes(worker.state))
        await new Promise((done) => worker.addEventListener("statechange", done, { once: true }));
      const isKept = (await caches.keys()).some((key) => key.includes(` ${name} `));
      if (!isKept) throw new Error(`${name} is not kept`);
    }, name);
  /** Closes these, and waits until the service worker that waited for that is active. */
  const close = async (...pages) => {
    const watcher = await open(world, `${server.origin}/model/config.json`, { context });
    await Promise.all(pages.map((page) => page.close()));
    await until(
      watcher,
      async (url) => {
        const { waiting, active } = await navigator.serviceWorker.getRegistration(url);
        return !waiting && active.state === "activated";
      },
      url,
    );
    await watcher.close();
  };
  return { host, server, context, url, tab, deploy, installed, controlled, close };
}

/** Which build a page belongs to. */
const buildOf = (page) =>
  page.evaluate(() => new URL(document.querySelector("script[src]").src).searchParams.get("build"));

/** Makes the page's element load a folder and write four tokens; returns their number, or the error. */
const write = (page, model = "/model/") =>
  page.evaluate(async (model) => {
    const element = document.querySelector("token-former");
    element.setAttribute("model", model);
    try {
      const loaded = await element.load();
      const { tokenIds } = await loaded.complete([1, 2, 3], { maxTokens: 4, logitBias: { 0: -1000 } });
      return { tokens: tokenIds.length, thread: loaded.info.thread };
    } catch ({ code, message, hint }) {
      return { code, message, hint };
    }
  }, model);
const WRITES = { tokens: 4, thread: "worker" };

test("a tab that is open while another build is deployed says what to do, or goes on with its own files", async (t) => {
  const { tab, deploy, installed, server, close } = await visit(t);
  const old = await tab();
  await installed(old, first);
  deploy(second);
  // The engine, which this browser has never had, comes from the other build.
  const told = await write(old);
  assert.equal(told.code, "integrity", JSON.stringify(told));
  assert.match(told.hint, /Reload the page/);
  assert.deepEqual(await write(old).then(({ code }) => code), "integrity", "and again");
  await old.reload();
  assert.equal(await buildOf(old), second.name);
  assert.deepEqual(await write(old), WRITES);
  await installed(old, second);
  // Once the engine is stored, too, a tab needs nothing from the host.
  const another = await tab();
  assert.equal(await buildOf(another), second.name);
  await until(another, async () => Boolean(await caches.match("tokenformer-web_bg.wasm", { ignoreSearch: true })));
  deploy(first);
  const fresh = await tab();
  await installed(fresh, first);
  assert.equal(await buildOf(fresh), first.name);
  assert.deepEqual(await write(another), WRITES);
  // Once the previous build's pages are closed, the new build opens without a network, complete, although no page
  // has loaded a model with it.
  await close(old, another, fresh);
  deploy(second);
  const last = await tab();
  await installed(last, second);
  await close(last);
  await server.close();
  const offline = await tab();
  assert.equal(await buildOf(offline), second.name);
  const models = await offline.evaluate(async () => (await import("./tokenformer.js")).TokenFormer.models());
  assert.equal(models.length, 1, "the engine runs");
});

test("a module of another origin says so, too", async (t) => {
  const { server, deploy } = await visit(t);
  const page = await modulePage(world, server.origin);
  deploy(second);
  const load = (page) => page.evaluate((model) => failure(() => TokenFormer.load(model)), `${server.origin}/model/`);
  const { code, hint } = await load(page);
  assert.equal(code, "integrity");
  assert.match(hint, /Reload the page/);
  await page.reload();
  await importModule(page, server.origin);
  assert.equal(await load(page), null);
  await page.close();
});

test("a host that is out of order costs nobody the page that is kept", async (t) => {
  const { host, tab, deploy, installed, server, controlled } = await visit(t);
  const page = await tab();
  await installed(page, first);
  const opens = async (what) => {
    await page.reload();
    await page.waitForFunction(() => customElements.get("token-former"), null, { timeout: 10_000 });
    assert.equal(await buildOf(page), first.name, what);
  };
  host.fault = (_, response) => (response.writeHead(503).end(), true);
  await opens("503");
  const open = [];
  host.fault = (_, response) => open.push(response) > 0;
  await opens("silence");
  for (const response of open) response.destroy(); // a browser has few connections to one host
  // A page served in place of everything, for one visit.
  host.fault = (_, response) => (response.writeHead(200, { "Content-Type": "text/html" }).end("<p>Down</p>"), true);
  await page.reload();
  assert.equal(await page.textContent("body"), "Down");
  // Another build, which does not arrive complete.
  deploy(second);
  host.fault = ({ url }, response) => url.includes("page.bundle.js") && (response.writeHead(503).end(), true);
  await page.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    await registration.update().catch(() => {});
    const { installing } = registration;
    if (installing) await new Promise((done) => (installing.onstatechange = done));
  });
  host.fault = () => false;
  await server.close();
  await opens("no network");
  await controlled(page);
});

test("who was left out by the service worker is taken over", async (t) => {
  const { tab, context, controlled } = await visit(t);
  const page = await tab();
  const session = await context.newCDPSession(page);
  const loaded = page.waitForEvent("load");
  await session.send("Page.reload", { ignoreCache: true }); // as with Shift
  await loaded;
  await controlled(page);
});

test("a folder of this computer that nobody has at hand is told; one of the host's that is called local/ is read", async (t) => {
  const { tab } = await visit(t);
  const page = await tab();
  await tab("bench.html?report=none"); // it does not listen
  const { code } = await write(page, "./local/~1a~gone/"); // at once: tests/js/service-worker.test.mjs
  assert.equal(code, "network");
  assert.deepEqual(await write(page, "./local/model/"), WRITES);
});

test("a page that was opened from the disk says that it needs a web server", async () => {
  for (const name of ["index.html", "evaluate.html", "inspect.html", "bench.html", "conformance.html"]) {
    const page = await open(world, `file://${first.folder}/${name}`);
    const words = page.getByText(/works from a web server/);
    // After a while: a script may be on its way.
    const delays = await page.evaluate(() =>
      document.getAnimations().map((wait) => (wait.finish(), wait.effect.getTiming().delay)),
    );
    assert.deepEqual(delays, [3000]);
    assert.equal(await words.isVisible(), true, name);
    await page.close();
  }
});

test("dist/ has a name, which its package and its single file have, too", () => {
  const name = nameOf(root("dist"));
  assert.match(name, /^[0-9a-f]{12}$/);
  const holds = (file) => readFileSync(root(file), "utf8").includes(`"${name}"`);
  for (const file of ["npm/tokenformer.worker.js", "npm/tokenformer.bundle.js", "dist/tokenformer.bundle.js"])
    assert.ok(holds(file), file);
  // If entries share it.
  const chunks = readdirSync(root("npm")).filter((file) => file.startsWith("chunk-"));
  assert.equal(chunks.filter((file) => holds(`npm/${file}`)).length, 1, chunks.join(" "));
});
