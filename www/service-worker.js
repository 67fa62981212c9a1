// Serves the page offline, and local files as a model's folder.
//
// Only the page registers it; pages that embed the element do not use it. It does not handle models: the module stores
// them in IndexedDB, verified. Requests to other origins, the hub's above all, are not touched.
//
// It caches one build, all or nothing. A page is fetched from the network first, so that an update is never delayed;
// its files name their build in their address (?build=…), and a cached copy under that name answers at once. So all
// files of a page come from one build, wherever it comes from, and a temporary failure of the host cannot replace the
// cached copy.

import { passRequests } from "./lib/http/pass.js"; // scripts/name-build.mjs puts the file in its place

/** @typedef {{ type: "local-file", folder: string, path: string, range: string | null }} Question for a file of a visitor's folder */
/** @typedef {{ status: number, blob?: Blob, range?: string }} Answer */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
/** The folder of the page. */
const SCOPE = new URL("./", worker.location.href);

// scripts/name-build.mjs fills these in. "dev": not built, so nothing is cached.
const BUILD = "dev";
/** Everything but the engine. @type {string[]} */
const SHELL = [];
/** What is cached once a model was loaded; page/offline.js sends the message. @type {string[]} */
const ENGINE = [];

/** Other builds, and other versions of the page on the same origin, have other names. */
const NAMES = /^tokenformer-web-shell-\d+ (?:[0-9a-z]+ )?(\/.*)$/;
/** @param {string} build */
const cacheOf = (build) => `tokenformer-web-shell-3 ${build} ${SCOPE.pathname}`;
const CACHE = cacheOf(BUILD);

/** All files that are ever cached: anything else below the page's address, models above all, would fill the storage. */
const KEPT = new Set([...SHELL, ...ENGINE]);

/** Network timeout for cached files. */
const TIMEOUT_MS = 3_000;
/** Timeout for a page to answer a request for one of its files. */
const ANSWER_MS = 20_000;
/** Parameters in the page's address for text shared by another program: app.webmanifest and page/share-target.js. */
const SHARED = ["title", "text", "url"];
/** A file in a visitor's folder: page/local-folder.js makes these addresses. A host may have a folder local/ of its own. */
const LOCAL = /^(local\/~[0-9a-z]+~[^/]*\/)(.*)$/;

// Before the listener below: it answers requests to a model.
passRequests();

worker.addEventListener("install", (event) => event.waitUntil(install()));

worker.addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([forgetOthers(), worker.clients.claim()]));
});

// The sender may be a page of another build: these messages, and localFile's question, must never change.
worker.addEventListener("message", (event) => {
  if (event.data?.type === "keep engine")
    event.waitUntil(keep(ENGINE).catch(() => {})); // the next load asks again
  // A page that was navigating when this worker became active is uncontrolled until it asks.
  else if (event.data?.type === "claim") event.waitUntil(worker.clients.claim());
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(SCOPE.href)) return;
  const { path, build } = fileOf(request);
  const [, folder, rest] = LOCAL.exec(path) ?? [];
  if (folder) event.respondWith(localFile(request, folder, rest));
  // The engine sends no-store with all its reads.
  else if (request.cache === "no-store" || request.headers.has("range")) return;
  else if (build) event.respondWith(keptFirst(event, path, build));
  else if (KEPT.has(path)) event.respondWith(networkFirst(request, path));
});

/** The file that a request is for, below the scope, and its build; the page itself under a single name. @param {{ url: string }} request */
function fileOf({ url }) {
  const { pathname, searchParams } = new URL(url);
  const path = pathname.slice(SCOPE.pathname.length);
  return { path: path === "" || path === "index.html" ? "./" : path, build: searchParams.get("build") };
}

/** Where a file of this build is fetched from. Pages have one address for all builds. @param {string} path */
function addressOf(path, build = BUILD) {
  return new URL(isPage(path) ? path : `${path}?build=${build}`, SCOPE).href;
}

/** @param {string} path */
function isPage(path) {
  return path === "./" || path.endsWith(".html");
}

/** A file that names its build never changes. @param {FetchEvent} event @param {string} path @param {string} build */
async function keptFirst(event, path, build) {
  const copy = await kept(path, build);
  if (copy) return copy;
  // One missing file breaks the whole page. A server may close a connection just as a request arrives, and a browser's
  // cache may fail while a worker that is being installed requests the same file.
  const response = await fetch(event.request).catch(() => fetch(event.request, { cache: "no-store" }));
  // Not awaited: full or slow storage must not delay the page.
  if (build === BUILD && KEPT.has(path)) event.waitUntil(put(path, response.clone()).catch(() => {}));
  return response;
}

/** Uses the cached copy if the network has nothing, nothing usable, or nothing in time. @param {Request} request @param {string} path */
async function networkFirst(request, path) {
  const copy = kept(path);
  const fetched = (isShared(request, path) ? fetch(SCOPE.href, { redirect: "manual" }) : fetch(request)).then(
    async (response) => (isOfUse(response, path) ? response : ((await copy) ?? response)),
    async (error) => (await copy) ?? Promise.reject(error),
  );
  let timer = 0;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, TIMEOUT_MS)));
  try {
    return await Promise.race([fetched, late.then(async () => (await copy) ?? fetched)]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the page is requested with a private text: then only the page itself is requested from the host. @param {Request} request @param {string} path */
function isShared({ url }, path) {
  const { searchParams } = new URL(url);
  return path === "./" && SHARED.some((name) => searchParams.has(name));
}

/**
 * Whether the visitor should see an answer although there is a cached copy: a login, say, or that the page is gone for
 * good.
 * @param {Response} response
 * @param {string} path
 */
function isOfUse(response, path) {
  const { status } = response;
  if (status === 408 || status === 429 || status >= 500) return false;
  return !response.ok || isPage(path) || !isHtml(response);
}

/** @param {Response} response */
function isHtml({ headers }) {
  return /^text\/html/i.test(headers.get("Content-Type") ?? "");
}

/** On a storage failure, acts as if nothing were cached: the network may still answer. @param {string} path */
async function kept(path, build = BUILD) {
  try {
    if (!(await caches.has(cacheOf(build)))) return undefined;
    return await (await caches.open(cacheOf(build))).match(addressOf(path, build), { ignoreVary: true });
  } catch {
    return undefined;
  }
}

/**
 * All or nothing: if a file is not available, the current worker stays, with its cache.
 *
 * It takes over only when no page of the previous worker is open (no `skipWaiting`). Chromium stops a worker that is
 * replaced immediately even while it answers a page, which then never opens; and it is not needed sooner, since a page
 * comes from the network, and every worker answers for the files of every cached build.
 */
async function install() {
  const isNew = !(await caches.has(CACHE));
  try {
    // A visitor who has the engine offline must not lose it by an update.
    await keep((await hasEngine()) ? [...SHELL, ...ENGINE] : SHELL);
  } catch (error) {
    if (isNew) await caches.delete(CACHE);
    throw error;
  }
}

/** The caches of this page, older ones first. */
async function ownCaches() {
  return (await caches.keys()).filter((name) => NAMES.exec(name)?.[1] === SCOPE.pathname);
}

async function hasEngine() {
  for (const name of await ownCaches()) {
    const keys = await (await caches.open(name)).keys();
    if (keys.some(({ url }) => ENGINE.includes(fileOf({ url }).path))) return true;
  }
  return false;
}

/** @param {string[]} paths */
async function keep(paths) {
  // All requests have settled before an incomplete cache is deleted.
  const ends = await Promise.allSettled(
    paths.map(async (path) => {
      if (await kept(path)) return;
      // A file that names its build may come from the browser's cache; a page there may be outdated.
      await put(path, await fetch(addressOf(path), { cache: isPage(path) ? "no-cache" : "default" }));
    }),
  );
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/** Rejects if an answer is not the file of this build. @param {string} path @param {Response} response */
async function put(path, response) {
  const isWhole = response.ok && response.type === "basic" && !response.redirected && isPage(path) === isHtml(response);
  // Every file contains the name of its build; a WebAssembly file is mostly binary, but its name is text.
  if (!isWhole || !(await response.clone().text()).includes(BUILD))
    throw new Error(`${path} is not what this build has there.`);
  await (await caches.open(CACHE)).put(addressOf(path), response);
}

/** The last build before this one stays: tabs that were opened with it still need it. */
async function forgetOthers() {
  const others = (await ownCaches()).filter((name) => name !== CACHE);
  const last = others.findLast((name) => name.startsWith("tokenformer-web-shell-3 "));
  await Promise.all(others.filter((name) => name !== last).map((name) => caches.delete(name)));
}

/** A file in a visitor's folder, provided by one of the open pages. @param {Request} request @param {string} folder @param {string} path */
async function localFile(request, folder, path) {
  /** @type {Question} */
  const question = {
    type: "local-file",
    folder: new URL(folder, SCOPE).href,
    path: decodeURIComponent(path),
    range: request.headers.get("range"),
  };
  const answer = (await isAtHand(question.folder)) ? await askPages(question) : null;
  // No page has it, and retrying would not help: the engine uses its stored copy.
  if (!answer) return new Response(null, { status: 424 });
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes" };
  if (answer.range) headers["Content-Range"] = answer.range;
  return new Response(answer.blob ?? null, { status: answer.status, headers });
}

/** Whether an open page has a folder. The pages cannot be asked: one that does not listen would never answer. @param {string} folder */
async function isAtHand(folder) {
  if (!worker.navigator?.locks) return true;
  const { held = [] } = await worker.navigator.locks.query();
  return held.some(({ name }) => name === `tokenformer-web local ${folder}`);
}

/** @param {Question} question */
async function askPages(question) {
  const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const ours = pages.filter(({ url }) => url.startsWith(SCOPE.href));
  return Promise.any(ours.map((page) => ask(page, question))).catch(() => null);
}

/** Rejects if the page does not have the folder. @param {Client} page @param {Question} question @returns {Promise<Answer>} */
function ask(page, question) {
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    const timer = setTimeout(() => reject(new Error("no answer")), ANSWER_MS);
    port1.onmessage = ({ data }) => {
      clearTimeout(timer);
      if (data) resolve(data);
      else reject(new Error("not here"));
    };
    page.postMessage(question, [port2]);
  });
}
