// For service workers: passes requests to a page that holds a model, so that every page of the site reaches the model
// over HTTP. The page's side is serve.js.
//
// This file imports nothing: scripts/name-build.mjs inlines it into a service worker that is not a module.
//
// A worker can be stopped and restarted at any time, so it keeps no state. Locks show which pages hold a model; the
// page that answers is chosen again for every request. A page that closes releases its lock, which ends the wait for
// it; a page that is silent, since it may be frozen, is pinged.

/** A page that holds a model, with the port to it. @typedef {{ port: MessagePort, client: string, model: string, lock: string, waiting: number, since: number }} Page */
/** @typedef {import("./messages.js").Asked} Asked */
/** @typedef {import("./messages.js").Told} Told */

/** How long pages have to report that they hold a model. */
const OFFER_MS = 10_000;
/** How long the others have after the first one. */
const OTHERS_MS = 300;
/** A page that has been silent for this long is pinged, */
const PING_MS = 15_000;
/** and after this many pings without an answer it is given up. */
const MOST_PINGS = 4;

/**
 * Adds a listener to this service worker that has a page answer requests to the prefix. Call it before adding other
 * listeners for `fetch`: they do not see these requests.
 *
 * @param {object} [options]
 * @param {string | readonly string[]} [options.prefix] what addresses begin with, relative to the worker's scope
 * @throws TypeError for a prefix of another origin
 */
export function passRequests({ prefix = ["/v1/", "v1/"] } = {}) {
  const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
  const base = worker.registration?.scope ?? worker.location.href;
  const prefixes = [prefix].flat().map((text) => new URL(text, base));
  const { origin } = new URL(base);
  for (const { href, origin: other } of prefixes)
    if (other !== origin) throw new TypeError(`The prefix ${href} is not of ${origin}, whose requests come by here.`);

  worker.addEventListener("fetch", (event) => {
    const { request, clientId } = event;
    // Any site can send a visitor here by a link or a form: only requests from scripts of this site are answered.
    if (request.mode === "navigate" || !prefixes.some(({ href }) => request.url.startsWith(href))) return;
    event.stopImmediatePropagation();
    let end = () => {};
    event.waitUntil(new Promise((resolve) => (end = () => resolve(undefined))));
    event.respondWith(
      answer(worker, request, clientId, end).catch((error) => {
        end();
        return refusal(500, "internal", `The request could not be passed to a page: ${error?.message ?? error}.`);
      }),
    );
  });
}

/** @param {ServiceWorkerGlobalScope} worker @param {Request} request @param {string} clientId the requesting client @param {() => void} end called once nothing more will be sent */
async function answer(worker, request, clientId, end) {
  const { url, method, headers } = request;
  const hasBody = method !== "GET" && method !== "HEAD";
  /** @type {Asked} */
  const asked = { url, method, headers: [...headers], body: hasBody ? await request.arrayBuffer() : null };
  const [page, ...others] = ordered(await pagesWithModel(worker), clientId, modelIn(asked.body));
  for (const { port } of others) dismiss(port);
  if (page) return converse(worker, page, asked, request.signal, end);
  end();
  return refusal(
    503,
    "no_model",
    "No open page of this site holds a model. Open one, let it load a model, and ask again.",
  );
}

/** The pages in this worker's scope that hold a model and report it in time. @param {ServiceWorkerGlobalScope} worker @returns {Promise<Page[]>} */
async function pagesWithModel(worker) {
  const { scope } = worker.registration;
  const { held = [] } = await worker.navigator.locks.query();
  const count = held.filter(({ name }) => name?.startsWith(`tokenformer-web serves ${scope}`)).length;
  if (count === 0) return [];
  const clients = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  /** @type {Page[]} */
  const pages = [];
  let answers = 0;
  await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
    let timer = setTimeout(resolve, OFFER_MS);
    for (const client of clients) {
      if (!client.url.startsWith(scope)) continue;
      const { port1: port, port2 } = new MessageChannel();
      port.onmessage = ({ data }) => {
        const { type, ...page } = /** @type {Extract<Told, { type: "here" }>} */ (data);
        if (type === "here") pages.push({ ...page, port, client: client.id });
        answers += 1;
        clearTimeout(timer);
        if (answers >= count) resolve();
        else timer = setTimeout(resolve, OTHERS_MS);
      };
      client.postMessage({ type: "tokenformer-web who has a model?" }, [port2]);
    }
  });
  return [...pages]; // whoever is later has waited in vain, and leaves when nobody asks it for anything
}

/** Best first: the model that is named, then the requesting page, the least busy, the newest. @param {Page[]} pages @param {string} clientId @param {unknown} model */
function ordered(pages, clientId, model) {
  const rank = (/** @type {Page} */ page) => [
    Number(page.model !== model),
    Number(page.client !== clientId),
    page.waiting,
    -page.since,
  ];
  return pages.sort((a, b) => {
    const others = rank(b);
    return (
      rank(a)
        .map((value, i) => value - others[i])
        .find((difference) => difference !== 0) ?? 0
    );
  });
}

/** The model name in a request. @param {ArrayBuffer | null} body @returns {unknown} */
function modelIn(body) {
  if (!body) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(body))?.model;
  } catch {
    return undefined; // the page says what is wrong with it
  }
}

/** @param {MessagePort} port */
function dismiss(port) {
  port.postMessage({ type: "cancel" });
  port.close();
}

/**
 * Has a page answer a request.
 * @param {ServiceWorkerGlobalScope} worker
 * @param {Page} page
 * @param {Asked} asked
 * @param {AbortSignal} signal
 * @param {() => void} end
 * @returns {Promise<Response>}
 */
function converse(worker, { port, lock }, asked, signal, end) {
  return new Promise((resolve) => {
    /** @type {ReadableStreamDefaultController<Uint8Array> | null} */
    let body = null;
    let isStream = false;
    let pings = 0;
    const over = new AbortController();

    const finish = () => {
      if (over.signal.aborted) return;
      clearInterval(timer);
      over.abort();
      port.onmessage = null;
      signal.removeEventListener("abort", leave);
      dismiss(port);
      end();
    };
    /** @param {number} status @param {string} code @param {string} message */
    const fail = (status, code, message) => {
      if (over.signal.aborted) return;
      if (!body) resolve(refusal(status, code, message));
      else if (isStream) {
        body.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(described(code, message))}\n\n`));
        body.close();
      } else body.error(new TypeError(message));
      finish();
    };
    const leave = () => {
      resolve(Response.error());
      finish();
    };
    const timer = setInterval(() => {
      if (pings++ < MOST_PINGS) port.postMessage({ type: "ping" });
      else
        fail(
          504,
          "silent_page",
          "The page that holds the model does not answer. Bring its tab to the front, and ask again.",
        );
    }, PING_MS);

    port.onmessage = ({ data }) => {
      pings = 0;
      const told = /** @type {Told} */ (data);
      if (told.type === "response") {
        const headers = new Headers(told.headers);
        isStream = headers.get("Content-Type")?.startsWith("text/event-stream") ?? false;
        const stream = new ReadableStream({ start: (controller) => void (body = controller), cancel: finish });
        resolve(new Response(stream, { status: told.status, headers }));
      } else if (told.type === "chunk") body?.enqueue(told.bytes);
      else if (told.type === "end") {
        body?.close();
        finish();
      } else if (told.type === "failed") fail(500, "internal", told.message);
    };
    // Acquiring the page's lock means that the page is gone, or no longer holds the model.
    worker.navigator.locks
      .request(lock, { signal: over.signal }, () =>
        fail(503, "page_closed", "The page that held the model was closed before its answer was whole. Ask again."),
      )
      .catch(() => {}); // it was not needed any more
    signal.addEventListener("abort", leave);
    port.postMessage({ type: "request", ...asked });
    if (signal.aborted) leave();
  });
}

/** @param {string} code @param {string} message */
function described(code, message) {
  return { error: { message, type: "server_error", param: null, code } };
}

/** @param {number} status @param {string} code @param {string} message */
function refusal(status, code, message) {
  const headers = { "Content-Type": "application/json", "x-should-retry": "false" };
  return new Response(JSON.stringify(described(code, message)), { status, headers });
}
