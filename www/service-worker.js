// Serves the page without a network, and files of this computer as a model's folder.
//
// Only the page registers it; pages that embed the element have none of it. The network comes first, so that an update
// is never held back, and what came last is the answer where there is no network. Models are not its business: the
// module keeps them in IndexedDB, verified. Requests to other origins, the hub's above all, pass by it untouched.

/** The folder of the page. */
const SCOPE = new URL("./", self.location.href);

/** Another number makes browsers begin with an empty cache. Other versions of the page may stand on the same origin, and keep theirs. */
const NAMES = /^tokenformer-web-shell-\d+ (.*)$/;
const CACHE = `tokenformer-web-shell-2 ${SCOPE.pathname}`;

/** Everything that the page needs before a model is loaded. tests/js/service-worker.test.mjs compares it with the folders. */
const SHELL = [
  "./",
  "tokenformer.js",
  "lib/attributes.js",
  "lib/benchmark.js",
  "lib/completions.js",
  "lib/dom.js",
  "lib/element-styles.js",
  "lib/element-view.js",
  "lib/element.js",
  "lib/engine-module.js",
  "lib/engine-port.js",
  "lib/engine-service.js",
  "lib/engine-worker.js",
  "lib/engines-of.js",
  "lib/engines.js",
  "lib/errors.js",
  "lib/evaluation-input.js",
  "lib/evaluation-metrics.js",
  "lib/evaluation-windows.js",
  "lib/evaluation.js",
  "lib/inputs.js",
  "lib/locations.js",
  "lib/lock.js",
  "lib/manuscript.js",
  "lib/model.js",
  "lib/names.js",
  "lib/options.js",
  "lib/policy.js",
  "lib/port-writing.js",
  "lib/probe.js",
  "lib/shared-models.js",
  "lib/status.js",
  "lib/storage.js",
  "lib/text-surface.js",
  "lib/token-view.js",
  "lib/wire.js",
  "lib/write-ahead.js",
  "lib/writing.js",
  "page/address.js",
  "page/context-meter.js",
  "page/drawer.css",
  "page/follow.js",
  "page/gpu.js",
  "page/icon.svg",
  "page/local-folder.js",
  "page/local-model.js",
  "page/machine-panel.js",
  "page/memory.js",
  "page/model-names.js",
  "page/model-panel.js",
  "page/offline.js",
  "page/page.css",
  "page/page.js",
  "page/panels.js",
  "page/parse-address.js",
  "page/plain-text.js",
  "page/published.js",
  "page/rows.js",
  "page/service-workers.js",
  "page/setting-texts.js",
  "page/settings-panel.js",
  "page/state.js",
  "page/stored.js",
  "page/token-binding.js",
  "page/writer.css",
];

/** What the engine adds once a model is loaded; page/offline.js asks for it then. */
const ENGINE = ["tokenformer-web.js", "tokenformer-web_bg.wasm"];

/** The pages that measure, for those who opened them once. */
const BENCH = ["bench.html", "page/bench-address.js", "page/bench-check.js", "page/bench.js"];
const EVALUATE = [
  "evaluate.html",
  "page/evaluate-address.js",
  "page/evaluate-input.js",
  "page/evaluate-model.js",
  "page/evaluate-plot.css",
  "page/evaluate-plot.js",
  "page/evaluate-results.js",
  "page/evaluate-samples.js",
  "page/evaluate-series.js",
  "page/evaluate.css",
  "page/evaluate.js",
];

/** All that is ever kept: what else stands below the page's address, models above all, would fill the storage. */
const KEPT = new Set([...SHELL, ...ENGINE, ...BENCH, ...EVALUATE]);

/** How long a page has to answer a question for one of its files. */
const ANSWER_MS = 20_000;

self.addEventListener("install", (event) => {
  event.waitUntil(keep(SHELL).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([forgetOthers(), self.clients.claim()]));
});

self.addEventListener("message", (event) => {
  if (event.data?.type === "keep") event.waitUntil(keep(event.data.paths.filter((path) => KEPT.has(path))));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(SCOPE.href)) return;
  const path = pathOf(request);
  if (path.startsWith("local/")) event.respondWith(localFile(request));
  // The engine says no-store of all that it reads.
  else if (KEPT.has(path) && request.cache !== "no-store" && !request.headers.has("range"))
    event.respondWith(networkFirst(request, path));
});

/** Below the scope, as the lists have it: without a query, and the page itself by one name. */
function pathOf({ url }) {
  const path = new URL(url).pathname.slice(SCOPE.pathname.length);
  return path === "" || path === "index.html" ? "./" : path;
}

async function networkFirst(request, path) {
  const cache = await caches.open(CACHE);
  const address = new URL(path, SCOPE).href;
  try {
    const response = await fetch(request);
    // Not awaited: a storage that is full or slow must not hold back the page.
    if (response.ok && response.type === "basic" && !response.redirected)
      cache.put(address, response.clone()).catch(() => {});
    return response;
  } catch (error) {
    const kept = await cache.match(address);
    if (kept) return kept;
    throw error;
  }
}

/** One file that cannot be had must not cost the others. */
async function keep(paths) {
  const cache = await caches.open(CACHE);
  await Promise.allSettled(paths.map((path) => cache.add(new URL(path, SCOPE))));
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(
    names
      .filter((name) => NAMES.exec(name)?.[1] === SCOPE.pathname && name !== CACHE)
      .map((name) => caches.delete(name)),
  );
}

/** A file below local/: one of the open pages has it. Where none does, the network is "lost", and the engine takes what is stored. */
async function localFile(request) {
  const [, folder, path] = /^(.*\/local\/[^/]+\/)(.*)$/.exec(request.url) ?? [];
  if (!folder) return new Response(null, { status: 404 });
  const question = { type: "local-file", folder, path: decodeURIComponent(path), range: request.headers.get("range") };
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const answers = pages.map((page) => ask(page, question));
  const answer = await Promise.any(answers).catch(() => null);
  if (!answer) return Response.error();
  const headers = { "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes" };
  if (answer.range) headers["Content-Range"] = answer.range;
  return new Response(answer.blob ?? null, { status: answer.status, headers });
}

/** Rejects where the page does not have the folder. */
function ask(page, question) {
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => (data ? resolve(data) : reject(new Error("not here")));
    setTimeout(() => reject(new Error("no answer")), ANSWER_MS);
    page.postMessage(question, [port2]);
  });
}
