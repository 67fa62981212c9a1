// The service worker stores one build, complete or not at all, and answers with it if the network has nothing useful.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runInNewContext } from "node:vm";
import { withoutShared } from "../../www/page/share-target.js";
import { finishedBuild, removeBuilds } from "./build-folder.mjs";

const SCOPE = "https://site.example/app/";
const ENGINE = ["tokenformer-web.js", "tokenformer-web_bg.wasm"];
const PAGE = "<p>Down for maintenance</p>";

/** Two builds, one after the other. */
let first;
let second;
before(async () => {
  first = await finishedBuild();
  second = await finishedBuild({ "lib/engine/lock.js": "export class Lock {}\n" });
});
after(removeBuilds);

/** A browser: `worker(build)` is a build's service worker in it, `host` its network. */
function browser(scope = SCOPE) {
  /** Caches, by name: Responses by address. */
  const stored = new Map();
  const it = { stored, host: down, asked: [], pages: [], locks: [], timers: [] };

  const caches = {
    keys: async () => [...stored.keys()],
    has: async (name) => stored.has(name),
    delete: async (name) => stored.delete(name),
    open: async (name) => {
      if (!stored.has(name)) stored.set(name, new Map());
      const cache = stored.get(name);
      return {
        keys: async () => [...cache.keys()].map((url) => ({ url })),
        put: async (key, response) => void cache.set(String(key), response),
        match: async (key) => cache.get(String(key))?.clone(),
      };
    },
  };
  it.caches = caches;
  const fetch = async (asked, { cache } = {}) => {
    const url = new URL(asked.url ?? asked);
    it.asked.push(url.href);
    return it.host({ url, path: url.pathname.slice(new URL(scope).pathname.length) || "index.html", cache });
  };

  it.worker = ({ folder }) => {
    const listeners = {};
    const worker = { claims: 0 };
    const self = {
      location: { href: `${scope}service-worker.js` },
      navigator: { locks: { query: async () => ({ held: it.locks.map((name) => ({ name })) }) } },
      addEventListener: (type, listener) => (listeners[type] = listener),
      skipWaiting: async () => assert.fail("a page that is on its way would never open"),
      clients: { claim: async () => (worker.claims += 1), matchAll: async () => it.pages },
    };
    runInNewContext(readFileSync(join(folder, "service-worker.js"), "utf8"), {
      self,
      caches,
      fetch,
      URL,
      Response,
      Error,
      MessageChannel,
      setTimeout: (act, ms, ...args) => it.timers.push({ act: () => act(...args), ms }) && it.timers.at(-1),
      clearTimeout: (timer) => (it.timers = it.timers.filter((other) => other !== timer)),
    });
    worker.tell = async (type, more = {}) => {
      let promise;
      worker.work = [];
      const waitUntil = (work) => worker.work.push(work);
      listeners[type]({ ...more, waitUntil, respondWith: (answer) => (promise = answer) });
      return promise ?? Promise.all(worker.work).then(() => undefined);
    };
    worker.get = (address, { range, ...more } = {}) =>
      worker.tell("fetch", {
        request: {
          url: new URL(address, scope).href,
          method: "GET",
          cache: "default",
          headers: new Headers(range ? { range } : {}),
          ...more,
        },
      });
    worker.text = async (...asked) => (await worker.get(...asked)).text();
    /** Installed, and in control. */
    worker.start = async () => {
      await worker.tell("install");
      await worker.tell("activate");
      return worker;
    };
    return worker;
  };
  /** Advances time. */
  it.pass = (most) => {
    for (const timer of it.timers.filter(({ ms }) => ms <= most)) timer.act();
  };
  return it;
}

function answer(body, { status = 200, type = "text/javascript", kind = "basic" } = {}) {
  const response = new Response(status === 204 ? null : body, { status, headers: { "Content-Type": type } });
  const { clone } = response;
  return Object.defineProperties(response, {
    type: { value: kind },
    clone: { value: () => Object.defineProperty(clone.call(response), "type", { value: kind }) },
  });
}
const TYPES = { html: "text/html; charset=utf-8", css: "text/css", svg: "image/svg+xml", wasm: "application/wasm" };
/** A host that has a build. */
const serves =
  (build, except = () => null) =>
  (asked) => {
    const file = join(build.folder, asked.path);
    return (
      except(asked) ??
      (existsSync(file)
        ? answer(readFileSync(file), { type: TYPES[asked.path.split(".").at(-1)] })
        : answer("", { status: 404 }))
    );
  };
const down = () => Promise.reject(new TypeError("Failed to fetch"));
const silent = () => new Promise(() => {});
const maintenance = () => answer(PAGE, { type: "text/html" });
const unavailable = () => answer("", { status: 503 });

const named = (path, { name }) => `${path}?build=${name}`;
const nameIn = (text) => /tokenformer-web build (\w+)/.exec(text)?.[1];
/** Names of the stored builds, and how many files there are of each. */
const kept = ({ stored }) => [...stored].map(([name, files]) => [name.split(" ")[1], files.size]);
const soon = () => new Promise(setImmediate);

test("it keeps all of the page, the engine once a model was loaded, and nothing else", async () => {
  const it = browser();
  it.host = serves(first);
  const worker = await it.worker(first).start();
  const [[name, shell]] = kept(it);
  assert.equal(name, first.name);
  assert.ok(shell > 20, `${shell} files`);
  for (const other of ["models/m/config.json", "x.json?1", "other/model.safetensors", "https://hub.example/app/a.js"])
    assert.equal(await worker.get(other), undefined, other);
  for (const more of [{ cache: "no-store" }, { range: "bytes=0-1" }, { method: "POST" }])
    assert.equal(await worker.get("tokenformer.js", more), undefined);
  await worker.tell("message", { data: { type: "keep engine" } });
  assert.deepEqual(kept(it), [[first.name, shell + 2]]);
  await worker.tell("message", { data: { type: "of another build" } });
  it.host = down;
  for (const path of ["", "index.html?x", "bench.html?run=1", "evaluate.html?model=a/b", "tokenformer.js"])
    assert.equal(nameIn(await worker.text(path)), first.name, path);
  for (const path of ["page/page.bundle.js", "lib/engine/worker.js", "page/evaluate/evaluate.css", ...ENGINE])
    assert.ok((await worker.text(named(path, first))).includes(first.name), path);
});

test("what another program shares with the page is not passed on to the host", async () => {
  const it = browser();
  it.host = serves(first);
  const worker = await it.worker(first).start();
  it.asked.length = 0;
  for (const query of ["?text=My+diary", "?title=Mine", "?url=https%3A%2F%2Fmine.example", "index.html?text=x&a=b"])
    assert.equal(nameIn(await worker.text(query)), first.name, query);
  assert.deepEqual(it.asked, Array(4).fill(SCOPE));
  // Other queries, which are not the visitor's text, are requested as they are.
  await worker.text("?fresh");
  await worker.text("evaluate.html?text=a");
  assert.deepEqual(it.asked.slice(4), [`${SCOPE}?fresh`, `${SCOPE}evaluate.html?text=a`]);
  it.host = down;
  assert.equal(nameIn(await worker.text("?text=Offline")), first.name);
  // The manifest, the page and the worker have the same names for it.
  const { params } = JSON.parse(
    readFileSync(new URL("../../www/app.webmanifest", import.meta.url), "utf8"),
  ).share_target;
  for (const name of Object.values(params)) {
    it.asked.length = 0;
    await worker.text(`?${name}=x`);
    assert.deepEqual([it.asked, withoutShared(`${SCOPE}?${name}=x#a`)], [[SCOPE], `${SCOPE}#a`]);
  }
});

test("the engine is kept as it passes by, too", async () => {
  const it = browser();
  it.host = serves(first);
  const worker = await it.worker(first).start();
  const [[, shell]] = kept(it);
  for (const path of ENGINE) {
    assert.ok((await worker.text(named(path, first))).includes(first.name));
    await Promise.all(worker.work);
  }
  assert.deepEqual(kept(it), [[first.name, shell + 2]]);
  // Not another build's file of that name, or a page that says that there is nothing.
  const other = browser();
  other.host = serves(first);
  const careful = await other.worker(first).start();
  for (const host of [serves(second), maintenance, unavailable]) {
    other.host = host;
    await careful.get(named(ENGINE[1], first));
    await Promise.all(careful.work);
    assert.deepEqual(kept(other), [[first.name, shell]]);
  }
});

test("it takes pages over when it becomes active, and those that ask", async () => {
  const worker = browser().worker(first);
  await worker.tell("activate");
  assert.equal(worker.claims, 1);
  await worker.tell("message", { data: { type: "claim" } });
  assert.equal(worker.claims, 2);
});

test("a page comes from the network, where that has one; what names its build is answered at once", async () => {
  const it = browser();
  it.host = serves(first);
  const worker = await it.worker(first).start();
  it.host = serves(second);
  it.asked.length = 0;
  assert.equal(nameIn(await worker.text("")), second.name);
  assert.equal(nameIn(await worker.text(named("page/page.bundle.js", second))), second.name);
  assert.equal(it.asked.length, 2);
  assert.equal(nameIn(await worker.text(named("page/page.bundle.js", first))), first.name);
  assert.equal(it.asked.length, 2, "nobody is asked for what is there");
  // Files that were passed through are not added to the copy: without a network it is all from one build.
  it.host = down;
  assert.equal(nameIn(await worker.text("")), first.name);
  await assert.rejects(worker.get(named("page/page.bundle.js", second)), TypeError);
});

test("after a deployment old tabs go on with their files, and the engine is kept of the new build, too", async () => {
  const it = browser();
  it.host = serves(first);
  const old = await it.worker(first).start();
  await old.tell("message", { data: { type: "keep engine" } });
  it.host = serves(second);
  const worker = await it.worker(second).start();
  const [[, all], [name, more]] = kept(it);
  assert.deepEqual([name, more], [second.name, all]);
  it.host = down;
  for (const build of [first, second]) {
    for (const path of ["lib/engine/worker.js", ...ENGINE])
      assert.ok((await worker.text(named(path, build))).includes(build.name), path);
  }
  assert.equal(nameIn(await worker.text("")), second.name);
  // Only one older build is kept, and other caches are left alone.
  const third = await finishedBuild({ "lib/engine/lock.js": "export class Lock { third = 3 }\n" });
  for (const name of ["tokenformer-web-shell-2 /app/", "tokenformer-web-shell-3 0 /app/next/", "another"])
    it.stored.set(name, new Map());
  it.host = serves(third);
  await it.worker(third).start();
  assert.deepEqual([...it.stored.keys()].toSorted(), [
    "another",
    "tokenformer-web-shell-3 0 /app/next/",
    ...[second, third].map(({ name }) => `tokenformer-web-shell-3 ${name} /app/`).toSorted(),
  ]);
});

test("a build that does not come whole is not installed, and the good copy stays", async () => {
  const it = browser();
  it.host = serves(first);
  const worker = await it.worker(first).start();
  const before = kept(it);
  const isScript = ({ path }) => path === "page/page.bundle.js";
  for (const [what, host] of [
    ["a file is unavailable", serves(second, (asked) => (isScript(asked) ? unavailable() : null))],
    ["a file is a page", serves(second, (asked) => (isScript(asked) ? maintenance() : null))],
    ["all files are a page", maintenance],
    [
      "a file is the build's page",
      serves(second, (asked) => (isScript(asked) ? serves(second)({ path: "index.html" }) : null)),
    ],
    ["a file is the last build's", serves(second, (asked) => (isScript(asked) ? serves(first)(asked) : null))],
    [
      "the page is the last build's",
      serves(second, ({ path }) => (path === "index.html" ? serves(first)({ path }) : null)),
    ],
    ["nothing comes", down],
  ]) {
    it.host = host;
    await assert.rejects(it.worker(second).tell("install"), Error, what);
    assert.deepEqual(kept(it), before, what);
  }
  it.host = down;
  assert.equal(nameIn(await worker.text("")), first.name);
});

test("pages are asked of the host for the copy, whatever the browser's own cache has", async () => {
  const it = browser();
  const seen = new Map();
  it.host = (asked) => {
    seen.set(asked.path, asked.cache);
    return serves(first)(asked);
  };
  await it.worker(first).start();
  assert.deepEqual(
    [seen.get("index.html"), seen.get("bench.html"), seen.get("page/page.bundle.js")],
    ["no-cache", "no-cache", "default"],
  );
});

test("a host that is out of order, or never answers, costs nobody the copy", async () => {
  const it = browser();
  it.host = serves(first);
  const worker = await it.worker(first).start();
  for (const status of [500, 502, 503, 429, 408]) {
    it.host = () => answer("", { status });
    assert.equal(nameIn(await worker.text("")), first.name, status);
    assert.equal(nameIn(await worker.text("tokenformer.js")), first.name, status);
  }
  it.host = maintenance;
  assert.equal(await worker.text(""), PAGE, "a page is shown");
  assert.equal(nameIn(await worker.text("tokenformer.js")), first.name, "but is no script");
  it.host = silent;
  let isThere = false;
  const waiting = worker.text("").then((text) => ((isThere = true), text));
  await soon();
  it.pass(2_900);
  await soon();
  assert.equal(isThere, false);
  it.pass(3_000);
  assert.equal(nameIn(await waiting), first.name);
  // A page that is gone, or needs a login, is reported.
  for (const status of [404, 410, 401, 403]) {
    it.host = () => answer("", { status });
    assert.equal((await worker.get("")).status, status);
  }
});

test("without a copy the network is waited for, and what it says is told", async () => {
  const it = browser();
  const worker = it.worker(first);
  it.host = unavailable;
  assert.equal((await worker.get("")).status, 503);
  it.host = down;
  await assert.rejects(worker.get(""), TypeError);
  let answerNow;
  it.host = () => new Promise((resolve) => (answerNow = resolve));
  const waiting = worker.text("");
  await soon();
  it.pass(3_000);
  await soon();
  answerNow(answer("late", { type: "text/html" }));
  assert.equal(await waiting, "late");
});

const MINE = "local/~1a~my%20model/";

test("files of this computer come from the page that has them, though the engine says no-store", async () => {
  const it = browser();
  const worker = it.worker(first);
  const get = () => worker.get(`${MINE}a%20b.json`, { cache: "no-store", range: "bytes=0-1" });
  const questions = [];
  const postMessage = (question, [port]) => {
    questions.push(question);
    port.postMessage({ status: 206, blob: new Blob(["{}"]), range: "bytes 0-1/2" });
    port.close();
  };
  it.locks = [`tokenformer-web local ${SCOPE}${MINE}`];
  it.pages = [{ url: `${SCOPE}index.html`, postMessage }];
  const response = await get();
  assert.deepEqual(
    [response.status, await response.text(), response.headers.get("content-range")],
    [206, "{}", "bytes 0-1/2"],
  );
  assert.deepEqual(
    { ...questions[0] },
    { type: "local-file", folder: SCOPE + MINE, path: "a b.json", range: "bytes=0-1" },
  );
  assert.deepEqual(it.timers, []);
});

test("a folder that nobody has at hand is told at once, however many pages are open that do not listen", async () => {
  const it = browser();
  const worker = it.worker(first);
  const deaf = { url: `${SCOPE}bench.html`, postMessage: () => assert.fail("it is not asked") };
  it.pages = [deaf, { ...deaf, url: "https://site.example/another/" }];
  // A status that the loader treats as an unreachable host, and does not retry.
  assert.equal((await worker.get(`${MINE}config.json`, { cache: "no-store" })).status, 424);
});

test("a folder of the host that is called local/ is the host's", async () => {
  const worker = browser().worker(first);
  for (const path of [
    "local/model/config.json",
    "local/config.json",
    "local/~1a/config.json",
    "local/~1A~x/config.json",
  ])
    assert.equal(await worker.get(path, { cache: "no-store" }), undefined, path);
});

test("a storage that fails, and a connection that breaks once, do not stop a page", async () => {
  const it = browser();
  it.host = serves(first);
  const worker = await it.worker(first).start();
  const path = named("page/page.bundle.js", first);
  it.caches.has = it.caches.open = () => Promise.reject(new DOMException("Unexpected internal error.", "UnknownError"));
  assert.equal(nameIn(await worker.text(path)), first.name);
  let times = 0;
  it.host = (asked) => (times++ === 0 ? down() : serves(first)(asked));
  assert.equal(nameIn(await worker.text(path)), first.name);
  assert.equal(times, 2);
  it.host = down;
  await assert.rejects(worker.get(path), TypeError);
});
