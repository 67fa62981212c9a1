// The examples, each as a newcomer tries it: in an empty folder outside of the repository, with the packed packages.

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { liveDocument } from "../../docs/.vitepress/live-document.mjs";
import { importMap } from "../../scripts/release.mjs";
import { serve } from "../../scripts/static-server.mjs";
import { blocksOf } from "../snippets.mjs";
import { FULL, open, start, SUB_PATH } from "./harness.mjs";
import { filesWithPaths, inProject, install, pack, script, unpack } from "./package-project.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));

let world;
let packed;
before(async () => {
  world = await start({ webgpu: false });
  packed = await pack();
});
after(async () => {
  await world?.close();
  if (packed) rmSync(packed.folder, { recursive: true, force: true });
});

/** A page that writes a story in a worker, without a request that fails. */
async function assertWrites(url) {
  const page = await open(world, "about:blank");
  page.on(
    "response",
    (response) => response.status() >= 400 && page.problems.push(`${response.status()} ${response.url()}`),
  );
  page.on("requestfailed", (request) => {
    // When the engine has read enough of a response, it ends it.
    const isEnded = request.failure()?.errorText === "net::ERR_ABORTED" && request.url().endsWith("/model.safetensors");
    if (!isEnded) page.problems.push(`${request.failure()?.errorText} ${request.url()}`);
  });
  await page.goto(url);
  await page.getByRole("button", { name: /^(go on|generate|continue)/i }).click();
  await page.waitForFunction(() => /^Done|[.!]$/.test(document.querySelector("#status").textContent));
  assert.equal(await page.locator("#status").textContent(), "Done, in the worker thread.");
  const text = await page.locator("#output").textContent();
  assert.ok(text.startsWith("The old lighthouse keeper") && text.length > 60, text);
  assert.deepEqual(page.problems, []);
  await page.close();
}

/** Serves a folder under a path of its own, and has its page write. */
async function assertSiteWrites(t, folder, { at = "/under/a/path/", ...more } = {}) {
  const site = await serve({ [at]: folder });
  t.after(() => site.close());
  assert.deepEqual(filesWithPaths(join(folder, more.built ?? "."), [packed.folder]), []);
  await assertWrites(`${site.origin}${at}`);
}

test("plain: one tag, from node_modules", async (t) => {
  const project = await install(packed, "plain");
  const site = await serve({ "/some/path/": project });
  t.after(() => site.close());
  const page = await open(world, `${site.origin}/some/path/`);
  await page.getByRole("button", { name: /generate/i }).click();
  await page.waitForFunction(() => document.querySelector("token-former").text.length > "Once upon a time".length);
  assert.equal(await page.evaluate(() => document.querySelector("token-former").model.info.thread), "worker");
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("cdn: one file of another origin, by an import map with its hash", async (t) => {
  const cdn = await serve({ "/npm/": join(packed.folder, "cdn") });
  t.after(() => cdn.close());
  const example = readFileSync(path("examples/cdn/index.html"), "utf8");
  const [, version] = readFileSync(path("Cargo.toml"), "utf8").match(/^version = "(.*)"$/m);
  for (const [name, tarball] of Object.entries(packed.tarballs))
    await unpack(tarball, join(packed.folder, "cdn", `${name}@${version}`));
  assert.ok(example.includes(`https://cdn.jsdelivr.net/npm/tokenformer-web@${version}/tokenformer.bundle.js`));
  const folder = join(packed.folder, "cdn-page");
  const map = JSON.stringify(importMap(path("npm"), `${cdn.origin}/npm`));
  copyExample("cdn", folder, (text) =>
    text.replace(/\{ "imports": .* \}/, map).replaceAll("https://cdn.jsdelivr.net", cdn.origin),
  );
  assert.match(readFileSync(join(folder, "index.html"), "utf8"), /"integrity":.*tokenformer\.bundle\.js":"sha384-/);
  await assertSiteWrites(t, folder);
});

/** Builds a project with Vite, and serves it with its development server. */
async function assertViteWorks(t, project) {
  assert.doesNotMatch(await script(project, "build"), /warning|doesn't exist/i);
  await assertSiteWrites(t, join(project, "dist"));
  rmSync(join(project, "public/models"), { recursive: true }); // that is for the build
  const server = await serveByVite(project);
  t.after(() => server.close());
  await assertWrites(server.resolvedUrls.local[0]);
}

/** Vite's development server, on a port of its own. */
async function serveByVite(project) {
  const { createServer } = await import(viteOf(project));
  const server = await createServer({ root: project, logLevel: "silent", server: { host: "127.0.0.1", port: 0 } });
  return server.listen();
}

/** Vite from the project, or from this repository. */
function viteOf(project) {
  const own = join(project, "node_modules/vite/dist/node/index.js");
  return existsSync(own) ? pathToFileURL(own).href : "vite";
}

test("vite: without configuration, built and as its development server has it", async (t) => {
  await assertViteWorks(t, await install(packed, "vite"));
});

test("esbuild", async (t) => {
  const project = await install(packed, "esbuild");
  await script(project, "build");
  await assertSiteWrites(t, project, { built: "dist" });
});

// What follows is downloaded, which takes minutes.

for (const version of ["7.3.8", "8.4.0"])
  test(`vite ${version}`, { skip: !FULL }, async (t) => {
    await assertViteWorks(t, await install(packed, "vite", { online: true, tools: { vite: version } }));
  });

test("vite, in a workspace that has its packages above the project", { skip: !FULL }, async (t) => {
  const project = await install(packed, "vite", { workspace: join(packed.folder, "workspace") });
  assert.ok(!existsSync(join(project, "node_modules/tokenformer-web")));
  const server = await serveByVite(project);
  t.after(() => server.close());
  await assertWrites(server.resolvedUrls.local[0]);
});

test("react", { skip: !FULL }, async (t) => {
  await assertViteWorks(t, await install(packed, "react", { online: true }));
});

test("esbuild of today, by its own", { skip: !FULL }, async (t) => {
  const project = await install(packed, "esbuild", { online: true, tools: { esbuild: "0.28.2" } });
  await script(project, "build");
  await assertSiteWrites(t, project, { built: "dist" });
});

test("webpack", { skip: !FULL }, async (t) => {
  const project = await install(packed, "webpack", { online: true });
  await script(project, "build");
  await assertSiteWrites(t, project, { built: "dist" });
});

test("next: prerendered pages, with Turbopack and with webpack", { skip: !FULL }, async (t) => {
  const project = await install(packed, "next", { online: true });
  for (const build of ["build", "build:webpack"]) {
    await script(project, build);
    assert.match(readFileSync(join(project, "out/index.html"), "utf8"), /value="The old lighthouse keeper"/);
    await assertSiteWrites(t, join(project, "out"), { at: "/" });
  }
});

test("bundlers that no example is for: Rspack and Parcel", { skip: !FULL }, async (t) => {
  const rspack = await install(packed, "webpack", {
    online: true,
    tools: { "@rspack/core": "2.3.4", "@rspack/cli": "2.2.8" },
  });
  await inProject(rspack, "rspack", "build", "-c", "webpack.config.js");
  await inProject(rspack, "tokenformer-web", "copy", "dist");
  await assertSiteWrites(t, rspack, { built: "dist" });

  const parcel = await install(packed, "webpack", { online: true, tools: { parcel: "2.16.4" } });
  const page = readFileSync(join(parcel, "index.html"), "utf8");
  writeFileSync(
    join(parcel, "index.html"),
    page.replace('defer src="dist/main.js"', 'type="module" src="src/main.js"'),
  );
  await inProject(parcel, "parcel", "build", "index.html", "--public-url", "./", "--no-cache");
  await inProject(parcel, "tokenformer-web", "copy", "dist");
  await assertSiteWrites(t, join(parcel, "dist"));
});

test("code that speaks OpenAI's completions", async (t) => {
  const site = await serve({ "/site/examples/": path("examples"), "/site/dist/": path("dist") });
  t.after(() => site.close());
  const page = await open(world, `${site.origin}/site/examples/openai-style/`);
  await page.locator("#run").click();
  await page.waitForFunction(() => document.querySelector("#output").textContent.includes("total_tokens"));
  const [text, json] = (await page.locator("#output").textContent()).split("\n\n{");
  const { likeliest, usage } = JSON.parse(`{${json}`);
  assert.ok(text.length > 40);
  assert.ok(Object.keys(likeliest).length >= 5 && Object.values(likeliest).every((logprob) => logprob <= 0));
  assert.equal(usage.completion_tokens, 1);
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("OpenAI's client, as its package is", async (t) => {
  const site = await serve({
    "/site/examples/": path("examples"),
    "/site/dist/": path("dist"),
    "/openai/": path("node_modules/openai"),
  });
  t.after(() => site.close());
  const page = await open(world, `${site.origin}/site/examples/openai-client/`, {
    before: (page) =>
      page.route("https://cdn.jsdelivr.net/npm/openai@*/+esm", (route) =>
        route.fulfill({
          contentType: "text/javascript",
          headers: { "Access-Control-Allow-Origin": "*" },
          body: `export { default } from "${site.origin}/openai/index.mjs";`,
        }),
      ),
  });
  await page.locator("#run").click();
  await page.waitForFunction(() => document.querySelector("#output").textContent.includes("\n\n[["));
  const [text, json] = (await page.locator("#output").textContent()).split("\n\n[[");
  const scored = JSON.parse(`[[${json}`);
  assert.ok(text.length > 40);
  assert.equal(scored.map(([token]) => token).join(""), "The king had three daughters.");
  assert.ok(scored.every(([, logprob], i) => (i === 0 ? logprob === null : logprob < 0)));
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("README's page, in a folder of its own beside dist/", async (t) => {
  const folder = join(packed.folder, "readme");
  mkdirSync(folder);
  const [{ code }] = blocksOf(readFileSync(path("README.md"), "utf8")).filter(({ kind }) => kind === "html");
  writeFileSync(join(folder, "index.html"), code);
  const site = await serve({ "/a/": folder, "/a/dist/": path("dist"), "/favicon.ico": path("www/page/icon.svg") });
  t.after(() => site.close());
  const page = await open(world, `${site.origin}/a/`);
  await page.getByRole("button", { name: /generate/i }).click();
  await page.waitForFunction(() => document.querySelector("token-former").text.length > 60);
  assert.deepEqual(page.problems, []);
  await page.close();
});

/** Whether an example can be run on the site, and by a browser without a GPU, which cannot train. */
const isForAll = ({ isLive, code }) => isLive && !code.includes(".train(");

/** The examples that can be run, by page and line, and README's. In the short tier only some. */
function liveExamples() {
  const all = readdirSync(path("docs"))
    .filter((name) => name.endsWith(".md"))
    .flatMap((name) => {
      const blocks = blocksOf(readFileSync(path(`docs/${name}`), "utf8")).filter(isForAll);
      return blocks.map((block) => ({ ...block, at: `docs/${name}:${block.line}` }));
    });
  const own = blocksOf(readFileSync(path("README.md"), "utf8")).filter(({ kind }) => kind === "js");
  const written = [...own.map((block) => ({ ...block, at: "README.md" })), ...all];
  assert.ok(written.length > 10, `only ${written.length} examples`);
  if (FULL) return written;
  return ["model.generate", "model.alternatives", "await fetch("].map((call) =>
    written.find(({ code }) => code.includes(call)),
  );
}

test("the documentation's examples, as the site runs them", async () => {
  const context = await world.browser.newContext(); // one download for all
  for (const { at, kind, code } of liveExamples()) {
    const page = await open(world, `${world.server.origin}/blank/`, { context });
    const end = kind === "js" ? `${code}\ndocument.documentElement.dataset.ended = "";` : code;
    await page.setContent(liveDocument(kind, end, `${world.server.origin}${SUB_PATH}tokenformer.js`));
    if (kind === "html") {
      await page.getByRole("button", { name: /generate/i }).click();
      await page.waitForFunction(() => /\S{3}.{40}$/s.test(document.querySelector("token-former").text));
    } else await page.waitForSelector("html[data-ended], .failed", { state: "attached" });
    assert.equal(await page.locator(".failed").allTextContents().then(String), "", at);
    const shown = await page.locator("body").innerText();
    if (kind === "js") assert.ok(shown.length > 3, `${at} shows only ${JSON.stringify(shown)}`);
    assert.deepEqual(page.problems, [], at);
    await page.close();
  }
  await context.close();
});

/** Copies an example that needs no installation, with a change to its page. */
function copyExample(name, folder, change) {
  cpSync(path(`examples/${name}`), folder, { recursive: true });
  const page = join(folder, "index.html");
  writeFileSync(page, change(readFileSync(page, "utf8")));
}
