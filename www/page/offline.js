// The page's service worker: it caches the page itself for offline use. The module stores the models. The worker may be
// of another build than this page: their few messages must never change.

/** The first worker that is installed takes the page over within moments. */
const CONTROL_MS = 5000;
/** How long a page that is never idle puts off registering it. */
const IDLE_MS = 2000;

/** The browser's service workers, or null: an insecure page has none, and in a sandboxed frame the access throws. */
export function serviceWorkers() {
  try {
    return navigator.serviceWorker ?? null;
  } catch {
    return null;
  }
}

/** Registers the worker. This may be forbidden, in private windows for example: the page works without it. */
export function registerWorker() {
  serviceWorkers()
    ?.register(new URL("service-worker.js", document.baseURI), { updateViaCache: "none" })
    .catch(() => {});
}

/**
 * Registers the worker once the page is idle: a visitor who pressed the button at once waits for a model, and all that
 * the worker fetches for later would delay it.
 * @param {import("../tokenformer.js").TokenFormerElement} writer
 */
function registerWhenIdle(writer) {
  const register = () => {
    if (writer.state !== "loading") return registerWorker();
    for (const type of ["load", "error"]) writer.addEventListener(type, register, { once: true });
  };
  if ("requestIdleCallback" in globalThis) requestIdleCallback(register, { timeout: IDLE_MS });
  else setTimeout(register);
}

/** Caches the page, and, once a model was loaded, the engine. @param {import("../tokenformer.js").TokenFormerElement} writer */
export function keepShell(writer) {
  const workers = serviceWorkers();
  if (!workers) return;
  registerWhenIdle(writer);
  askForControl();
  // A visitor who never loads a model need not download the engine. After an update another worker must be told, one
  // that waits for the pages of the previous build to be closed.
  let isLoaded = false;
  const tell = async () => {
    if (!isLoaded) return;
    const { active, waiting } = await workers.ready;
    for (const worker of [active, waiting]) worker?.postMessage({ type: "keep engine" });
  };
  writer.addEventListener("load", () => {
    isLoaded = true;
    tell();
  });
  workers.addEventListener("controllerchange", tell);
  workers.ready.then((registration) =>
    registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", tell)),
  );
}

/**
 * A worker takes control of the open pages when it becomes active. A page that was navigating just then, or that was
 * reloaded with Shift, stays uncontrolled for as long as it is open, unless it asks.
 */
export async function askForControl() {
  const workers = serviceWorkers();
  const active = (await workers?.ready)?.active;
  if (!workers?.controller) active?.postMessage({ type: "claim" });
}

/** Whether the service worker answers this page's requests; waits for it briefly. */
export async function isControlled() {
  const workers = serviceWorkers();
  if (!workers) return false;
  if (!workers.controller) {
    registerWorker(); // it may wait for a model that is loading
    await new Promise((resolve) => {
      workers.addEventListener("controllerchange", resolve, { once: true });
      setTimeout(resolve, CONTROL_MS);
      askForControl();
    });
  }
  return Boolean(workers.controller);
}
