// Faults around the page: storage, hosts, hubs, the network, and deployments.

import { field, remember, type } from "./typing.mjs";

const FAULTS = [
  { kind: "status", status: 503, times: 2 },
  { kind: "status", status: 429, times: 1 },
  { kind: "status", status: 404 },
  { kind: "status", status: 401 },
  { kind: "cut", after: 1000, times: 2 },
  { kind: "stall", after: 100_000 },
  { kind: "corrupt", at: 150_000 },
  { kind: "short", less: 10 },
  { kind: "long" },
  { kind: "html" },
  { kind: "no-range" },
  { kind: "wrong-range" },
];

async function fill(stage, tab) {
  tab.isFull = true;
  await tab.do(() => (globalThis.isFull = true));
  // The visitor continues, and gets a message.
  await (await field(tab)).press("ControlOrMeta+End");
  await tab.page.keyboard.insertText("!");
  await remember(stage, tab);
  await tab.page.locator("#unkept").waitFor();
}

/** Space is available again, and the visitor continues: that is saved. */
async function makeRoom(stage, tab, random) {
  tab.isFull = false;
  await tab.do(() => (globalThis.isFull = false));
  await type(stage, tab, random);
  await tab.page.locator("#unkept").waitFor({ state: "hidden" });
}

/** Storage that is full, for the text or for models, or that gets cleared. */
export async function storageFault(stage, tab, random) {
  const kind = random.pick(["text full", "text full", "models full", "models gone", "caches gone"]);
  if (kind === "text full") {
    if (!tab.isFull) await fill(stage, tab);
    else await makeRoom(stage, tab, random);
    return `${kind}: ${tab.isFull}`;
  }
  if (kind === "models full") {
    const full = (times) => {
      const { put } = IDBObjectStore.prototype;
      IDBObjectStore.prototype.put = function (...args) {
        if (times-- > 0) throw new DOMException("full on purpose", "QuotaExceededError");
        return put.apply(this, args);
      };
    };
    for (const worker of tab.page.workers()) await worker.evaluate(full, 1 + random.below(5)).catch(() => {}); // it may end
  } else if (kind === "models gone") {
    await tab.do(async () => {
      const names = (await indexedDB.databases()).map(({ name }) => name);
      // Not the visitor's stories: deleted ones would be gone.
      for (const name of names) if (name.startsWith("tokenformer-web")) indexedDB.deleteDatabase(name);
    });
  } else {
    await tab.do(async () => {
      for (const key of await caches.keys()) await caches.delete(key);
    });
  }
  return kind;
}

/** Another build. When the browser looks for it, and what becomes of the old service worker, depends on timing. */
export async function deploy(stage, tab, random) {
  stage.build = 1 - stage.build;
  stage.mounts[new URL(stage.url).pathname] = stage.builds[stage.build].folder;
  const isLooked = random.chance(0.8);
  if (isLooked)
    await tab.do(
      () => void navigator.serviceWorker.ready.then((registration) => registration.update().catch(() => {})),
    );
  return `${stage.builds[stage.build].name}${isLooked ? ", seen" : ""}`;
}

export async function hubFault(stage, tab, random) {
  const name = random.pick(Object.keys(stage.hubs));
  const fault = { ...random.pick(FAULTS), server: random.pick(["hub", "cdn"]) };
  stage.hubs[name].faults.push(fault);
  return `${name} ${JSON.stringify(fault)}`;
}

/** The page's host is out of order for a few requests, or for all until the next navigation. */
export async function hostFault(stage, tab, random) {
  const kind = random.pick(["503", "cut", "silence", "html"]);
  let left = 1 + random.below(4);
  stage.fault = (request, response) => {
    if (left-- <= 0) return false;
    if (kind === "503") response.writeHead(503).end();
    else if (kind === "cut") response.destroy();
    else if (kind === "silence") stage.silent.push(response);
    else response.writeHead(200, { "Content-Type": "text/html" }).end("<p>Down</p>");
    return true;
  };
  return `${kind} ${left + 1}`;
}

export async function offline(stage, tab, random) {
  const isOff = random.chance(0.5);
  await stage.context.setOffline(isOff);
  return String(isOff);
}

export async function calm(stage, tab, random) {
  await stage.calm();
  if (tab.isFull) await makeRoom(stage, tab, random);
}
