// The page's side of its service worker.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { isControlled, keepShell, serviceWorkers } from "../../www/page/offline.js";

const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
function setNavigator(value) {
  Object.defineProperty(globalThis, "navigator", { value, configurable: true });
}
globalThis.document = { baseURI: "https://site.example/app/" };
afterEach(() => {
  if (before) Object.defineProperty(globalThis, "navigator", before);
  else delete globalThis.navigator;
});

/** Service workers, one of them active; it does not control this page until it is told to. */
function activeWorkers({ controller = null } = {}) {
  const workers = new EventTarget();
  const active = {
    messages: [],
    postMessage: (message) => {
      active.messages.push(message);
      if (message.type !== "claim") return;
      workers.controller = active;
      workers.dispatchEvent(new Event("controllerchange"));
    },
  };
  const registration = Object.assign(new EventTarget(), { active });
  return Object.assign(workers, {
    active,
    registration,
    controller: controller && active,
    ready: Promise.resolve(registration),
    register: async () => {},
  });
}

const soon = () => new Promise(setImmediate);

test("a page that the active worker has not taken over asks it to, once", async () => {
  const workers = activeWorkers();
  setNavigator({ serviceWorker: workers });
  keepShell(new EventTarget());
  await soon();
  assert.deepEqual(workers.active.messages, [{ type: "claim" }]);
  const taken = activeWorkers({ controller: true });
  setNavigator({ serviceWorker: taken });
  keepShell(new EventTarget());
  await soon();
  assert.deepEqual(taken.active.messages, []);
});

test("the worker is told once a model was loaded, and the next one, too", async () => {
  const workers = activeWorkers({ controller: true });
  setNavigator({ serviceWorker: workers });
  const writer = new EventTarget();
  keepShell(writer);
  workers.dispatchEvent(new Event("controllerchange"));
  await soon();
  assert.deepEqual(workers.active.messages, []);
  writer.dispatchEvent(new Event("load"));
  await soon();
  workers.dispatchEvent(new Event("controllerchange"));
  await soon();
  assert.deepEqual(workers.active.messages, [{ type: "keep engine" }, { type: "keep engine" }]);
});

test("a worker that waits for the pages of the build before to be closed is told, too", async () => {
  const workers = activeWorkers({ controller: true });
  setNavigator({ serviceWorker: workers });
  const writer = new EventTarget();
  keepShell(writer);
  writer.dispatchEvent(new Event("load"));
  await soon();
  const { registration } = workers;
  const next = Object.assign(new EventTarget(), {
    messages: [],
    postMessage: (message) => next.messages.push(message),
  });
  registration.installing = next;
  registration.dispatchEvent(new Event("updatefound"));
  await soon();
  assert.deepEqual(next.messages, [], "not before it has everything else");
  Object.assign(registration, { installing: null, waiting: next });
  next.dispatchEvent(new Event("statechange"));
  await soon();
  assert.deepEqual(next.messages, [{ type: "keep engine" }]);
});

test("a model that the visitor waits for comes before the copy of the page", async () => {
  const idle = () => new Promise((resolve) => setTimeout(resolve));
  await idle(); // for the tests before
  for (const end of ["load", "error"]) {
    const workers = activeWorkers();
    let registered = 0;
    workers.register = async () => (registered += 1);
    setNavigator({ serviceWorker: workers });
    const writer = Object.assign(new EventTarget(), { state: "idle" });
    keepShell(writer);
    writer.state = "loading";
    await idle();
    assert.equal(registered, 0);
    writer.state = "idle";
    writer.dispatchEvent(new Event(end));
    assert.equal(registered, 1, end);
    keepShell(writer);
    await idle();
    assert.equal(registered, 2, "at once, where nothing is loading");
  }
});

test("who needs a controller asks for it", async () => {
  const workers = activeWorkers();
  let registered = 0;
  workers.register = async () => (registered += 1);
  setNavigator({ serviceWorker: workers });
  assert.equal(await isControlled(), true);
  assert.equal(registered, 1);
});

test("a page without service workers, or in a sandbox where asking for them throws, does without", async () => {
  const sandboxed = {
    get serviceWorker() {
      throw new DOMException("The operation is insecure.", "SecurityError");
    },
  };
  for (const navigator of [{}, sandboxed]) {
    setNavigator(navigator);
    keepShell(new EventTarget());
    assert.deepEqual([serviceWorkers(), await isControlled()], [null, false]);
  }
});
