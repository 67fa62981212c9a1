// The service worker keeps what the page consists of, no less and no more.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { runInNewContext } from "node:vm";

const path = (relative) => new URL(`../../${relative}`, import.meta.url);

const source = readFileSync(path("www/service-worker.js"), "utf8");
const listed = (name) =>
  JSON.parse(new RegExp(`const ${name} = (\\[[^\\]]*\\])`).exec(source)[1].replace(/,\s*\]/, "]"));

test("its list is that of the folders", () => {
  const list = listed("SHELL");
  const others = ["bench", "evaluate"].flatMap((page) => {
    const files = readdirSync(path("www/page")).filter((name) => name.startsWith(page));
    assert.deepEqual(
      listed(page.toUpperCase()).toSorted(),
      [`${page}.html`, ...files.map((name) => `page/${name}`)].toSorted(),
    );
    return files;
  });
  const wanted = [
    "./",
    "tokenformer.js",
    ...["lib", "page"].flatMap((folder) =>
      readdirSync(path(`www/${folder}`))
        .filter((name) => !others.includes(name))
        .map((name) => `${folder}/${name}`),
    ),
  ];
  assert.deepEqual(list.toSorted(), wanted.toSorted());
});

/** The worker of `scope` in a browser with these `caches`: Maps of bodies by address, by name. */
function worker(scope, stored = new Map()) {
  const listeners = {};
  const it = { online: true, fetched: [], pages: [], claims: 0 };
  const caches = {
    keys: async () => [...stored.keys()],
    delete: async (name) => stored.delete(name),
    open: async (name) => {
      if (!stored.has(name)) stored.set(name, new Map());
      const cache = stored.get(name);
      return {
        add: async (url) => cache.set(String(url), `installed ${url}`),
        put: async (key, response) => cache.set(key.url ?? String(key), response.body),
        match: async (key) =>
          cache.has(key.url ?? String(key)) ? { body: cache.get(key.url ?? String(key)) } : undefined,
      };
    },
  };
  const self = {
    location: { href: `${scope}service-worker.js` },
    addEventListener: (type, listener) => (listeners[type] = listener),
    skipWaiting() {},
    clients: { claim: async () => (it.claims += 1), matchAll: async () => it.pages },
  };
  const fetch = async ({ url }) => {
    it.fetched.push(url);
    if (!it.online) throw new TypeError("Failed to fetch");
    return {
      ok: true,
      type: "basic",
      redirected: false,
      body: `fetched ${url}`,
      clone() {
        return this;
      },
    };
  };
  runInNewContext(source, { self, caches, fetch, URL, Response, MessageChannel, setTimeout });
  it.tell = async (type, more = {}) => {
    let promise;
    listeners[type]({ ...more, waitUntil: (work) => (promise = work), respondWith: (work) => (promise = work) });
    return promise;
  };
  it.get = (address, { range, ...more } = {}) =>
    it.tell("fetch", {
      request: {
        url: new URL(address, scope).href,
        method: "GET",
        cache: "default",
        headers: new Headers(range ? { range } : {}),
        ...more,
      },
    });
  it.kept = () =>
    [...stored.entries()].flatMap(([name, cache]) =>
      name.endsWith(` ${new URL(scope).pathname}`) ? [...cache.keys()] : [],
    );
  return it;
}

test("it keeps the page's own files, by their paths, and nothing else", async () => {
  const scope = "https://site.example/app/";
  const it = worker(scope);
  const own = [
    "",
    "index.html",
    "?fresh",
    "tokenformer.js?1",
    "tokenformer-web_bg.wasm",
    "bench.html?run=1",
    "page/bench.js",
    "evaluate.html?model=a/b",
  ];
  for (const address of own) assert.match((await it.get(address)).body, /^fetched/, address);
  assert.deepEqual(
    it.kept().toSorted(),
    ["", "bench.html", "evaluate.html", "page/bench.js", "tokenformer-web_bg.wasm", "tokenformer.js"].map(
      (path) => scope + path,
    ),
  );
  const passed = [
    ["models/a/config.json"],
    ["other/model.safetensors"],
    ["x.json?1"],
    ["tokenformer.js", { cache: "no-store" }],
    ["tokenformer.js", { range: "bytes=0-1" }],
    ["tokenformer.js", { method: "POST" }],
    ["https://hub.example/app/tokenformer.js"],
    ["../tokenformer.js"],
  ];
  for (const [address, more] of passed) assert.equal(await it.get(address, more), undefined, address);
  it.online = false;
  assert.equal((await it.get("index.html?x")).body, `fetched ${scope}?fresh`);
  await assert.rejects(it.get("lib/element.js"), TypeError);
  await it.tell("message", {
    data: { type: "keep", paths: ["tokenformer-web.js", "models/a", "https://other.example/"] },
  });
  assert.deepEqual(
    it.kept().filter((address) => /web\.js|models|other/.test(address)),
    [`${scope}tokenformer-web.js`],
  );
});

test("it takes pages over when it becomes active, and those that ask", async () => {
  const it = worker("https://site.example/app/");
  await it.tell("activate");
  assert.equal(it.claims, 1);
  await it.tell("message", { data: { type: "claim" } });
  assert.equal(it.claims, 2);
});

test("it forgets its own older files, and leaves those of other versions on the same origin alone", async () => {
  const stored = new Map(
    ["tokenformer-web-shell-1 /app/", "tokenformer-web-shell-1 /app/next/", "tokenformer-web-shell-1 /", "another"].map(
      (name) => [name, new Map()],
    ),
  );
  const it = worker("https://site.example/app/", stored);
  await it.tell("install");
  await it.tell("activate");
  assert.equal(it.kept().length, listed("SHELL").length);
  assert.deepEqual([...stored.keys()].toSorted(), [
    "another",
    "tokenformer-web-shell-1 /",
    "tokenformer-web-shell-1 /app/next/",
    "tokenformer-web-shell-2 /app/",
  ]);
});

test("files of this computer come from the page that has them, though the engine says no-store", async () => {
  const it = worker("https://site.example/app/");
  const get = () => it.get("local/~1a~my%20model/a%20b.json", { cache: "no-store", range: "bytes=0-1" });
  assert.equal((await get()).type, "error", "no page has them");
  const questions = [];
  const postMessage = (question, [port]) => {
    questions.push(question);
    port.postMessage({ status: 206, blob: new Blob(["{}"]), range: "bytes 0-1/2" });
    port.close();
  };
  it.pages = [{ postMessage }];
  const response = await get();
  assert.deepEqual(
    [response.status, await response.text(), response.headers.get("content-range")],
    [206, "{}", "bytes 0-1/2"],
  );
  assert.deepEqual(
    { ...questions[0] },
    {
      type: "local-file",
      folder: "https://site.example/app/local/~1a~my%20model/",
      path: "a b.json",
      range: "bytes=0-1",
    },
  );
});
