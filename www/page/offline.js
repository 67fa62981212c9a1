// The page's service worker: it keeps the page itself for times without a network. Models are kept by the module.

import { serviceWorkers } from "./service-workers.js";

/** What the engine fetches when the first model is loaded. */
const ENGINE = ["tokenformer-web.js", "tokenformer-web_bg.wasm"];
/** A worker that was installed takes the page over within moments. */
const CONTROL_MS = 5000;

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
  // The engine may have been fetched before the worker was there to see it.
  writer.addEventListener("load", async () =>
    (await workers.ready).active?.postMessage({ type: "keep", paths: ENGINE }),
  );
}

/** Whether the service worker answers this page's requests; waits for it for a moment. */
export async function isControlled() {
  const workers = serviceWorkers();
  if (!workers.controller) {
    await new Promise((resolve) => {
      workers.addEventListener("controllerchange", resolve, { once: true });
      setTimeout(resolve, CONTROL_MS);
    });
  }
  return Boolean(workers.controller);
}
