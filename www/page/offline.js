// The page's service worker: it keeps the page itself for times without a network. Models are kept by the module.

/** What the engine fetches when the first model is loaded. */
const ENGINE = ["tokenformer-web.js", "tokenformer-web_bg.wasm"];
/** A worker that was installed takes the page over within moments. */
const CONTROL_MS = 5000;

/** The browser's service workers, or null: a page that is not secure has none, and in a sandboxed frame asking throws. */
export function serviceWorkers() {
  try {
    return navigator.serviceWorker ?? null;
  } catch {
    return null;
  }
}

export function keepShell(writer) {
  const workers = serviceWorkers();
  if (!workers) return;
  // It may be forbidden, in private windows for example: the page works without it.
  workers.register(new URL("service-worker.js", document.baseURI), { updateViaCache: "none" }).catch(() => {});
  askForControl(workers);
  // The engine may have been fetched before the worker was there to see it.
  writer.addEventListener("load", async () =>
    (await workers.ready).active?.postMessage({ type: "keep", paths: ENGINE }),
  );
}

/**
 * A worker takes over the pages that are open when it becomes active. One that was on its way to its address just then,
 * or that was reloaded with Shift, is left out for as long as it is open, unless it asks.
 */
async function askForControl(workers) {
  const { active } = await workers.ready;
  if (!workers.controller) active?.postMessage({ type: "claim" });
}

/** Whether the service worker answers this page's requests; waits for it for a moment. */
export async function isControlled() {
  const workers = serviceWorkers();
  if (!workers) return false;
  if (!workers.controller) {
    await new Promise((resolve) => {
      workers.addEventListener("controllerchange", resolve, { once: true });
      setTimeout(resolve, CONTROL_MS);
      askForControl(workers);
    });
  }
  return Boolean(workers.controller);
}
