// The page's service worker: it keeps the page itself for times without a network. Models are kept by the module.
// It may be of another build than this page: the few messages between them stay as they are.

/** The first worker that is installed takes the page over within moments. */
const CONTROL_MS = 5000;

/** The browser's service workers, or null: a page that is not secure has none, and in a sandboxed frame asking throws. */
export function serviceWorkers() {
  try {
    return navigator.serviceWorker ?? null;
  } catch {
    return null;
  }
}

/** Registers the worker. It may be forbidden, in private windows for example: the page works without it. */
export function registerWorker() {
  serviceWorkers()
    ?.register(new URL("service-worker.js", document.baseURI), { updateViaCache: "none" })
    .catch(() => {});
}

export function keepShell(writer) {
  const workers = serviceWorkers();
  if (!workers) return;
  registerWorker();
  askForControl();
  // Who never loads a model need not download the engine. After an update it is another worker that shall know, and one
  // that waits for the pages of the build before to be closed.
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
 * A worker takes over the pages that are open when it becomes active. One that was on its way to its address just then,
 * or that was reloaded with Shift, is left out for as long as it is open, unless it asks.
 */
export async function askForControl() {
  const workers = serviceWorkers();
  const active = (await workers?.ready)?.active;
  if (!workers?.controller) active?.postMessage({ type: "claim" });
}

/** Whether the service worker answers this page's requests; waits for it for a moment. */
export async function isControlled() {
  const workers = serviceWorkers();
  if (!workers) return false;
  if (!workers.controller) {
    await new Promise((resolve) => {
      workers.addEventListener("controllerchange", resolve, { once: true });
      setTimeout(resolve, CONTROL_MS);
      askForControl();
    });
  }
  return Boolean(workers.controller);
}
