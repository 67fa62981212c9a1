// For pages that hold a model: answers the requests that the site's service worker forwards. The worker's side is
// pass.js.

import { invalidArgument } from "../errors.js";

/** @typedef {Pick<import("../../tokenformer.js").TokenFormer, "fetch">} Model */
/** @typedef {import("./messages.js").Told} Told */
/** @typedef {import("./messages.js").Said} Said */

/** A worker that has been silent for this long was stopped: otherwise it sends pings. */
const SILENCE_MS = 90_000;

/**
 * Offers a model to the pages of this site: it answers the requests that the service worker forwards. Resolves, once
 * the offer is made, to a function that ends it.
 *
 * @param {Model} model
 * @param {{ signal?: AbortSignal }} [options] its abort ends the offer, too
 * @returns {Promise<() => void>}
 * @throws `invalid-argument` if there are no service workers
 */
export async function serveRequests(model, { signal } = {}) {
  if (typeof model?.fetch !== "function") throw invalidArgument("The model must be a loaded TokenFormer.");
  const { serviceWorker: workers, locks } = navigator;
  if (!workers || !locks) {
    throw invalidArgument(
      "This page can have no service worker, so no request can come by one.",
      "Serve the page over https, or from localhost.",
    );
  }
  const since = Date.now();
  const lock = `tokenformer-web serves ${location.href} ${crypto.randomUUID()}`;
  /** @type {Set<Answer>} */
  const answers = new Set();
  const ended = new AbortController();
  const stop = () => ended.abort();

  /** @param {MessageEvent} event */
  const receive = async ({ data, ports: [port] }) => {
    if (data?.type !== "tokenformer-web who has a model?" || !port) return;
    const id = await idOf(model);
    if (id === null || ended.signal.aborted) return port.postMessage({ type: "none" });
    const answer = new Answer(model, port, () => answers.delete(answer));
    answer.tell({ type: "here", model: id, lock, waiting: answers.size, since });
    answers.add(answer);
  };
  if (signal?.aborted) return stop;
  // The lock is released with the page, however it ends.
  let release = () => {};
  const hold = () =>
    new Promise((resolve, reject) => {
      const held = new Promise((free) => (release = () => free(undefined)));
      locks.request(lock, () => (resolve(undefined), held)).catch(reject);
    });
  // A page in the back/forward cache answers no requests; holding a lock would keep it out of that cache.
  const leave = () => release();
  const comeBack = (/** @type {PageTransitionEvent} */ { persisted }) => persisted && hold();
  await hold();
  globalThis.addEventListener?.("pagehide", leave);
  globalThis.addEventListener?.("pageshow", comeBack);
  workers.addEventListener("message", receive);
  workers.startMessages();
  ended.signal.addEventListener("abort", () => {
    release();
    for (const answer of [...answers]) answer.end();
    workers.removeEventListener("message", receive);
    globalThis.removeEventListener?.("pagehide", leave);
    globalThis.removeEventListener?.("pageshow", comeBack);
  });
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop();
  return stop;
}

/** The model's id, or null if it no longer answers. @param {Model} model @returns {Promise<string | null>} */
async function idOf(model) {
  const response = await model.fetch("http://model/v1/models");
  return response.ok ? (await response.json()).data[0].id : null;
}

/** One request from the worker. */
class Answer {
  #model;
  #port;
  #onEnd;
  #controller = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Model} model @param {MessagePort} port @param {() => void} onEnd */
  constructor(model, port, onEnd) {
    this.#model = model;
    this.#port = port;
    this.#onEnd = onEnd;
    port.onmessage = ({ data }) => this.#receive(data);
    this.#wait();
  }

  /** @param {Told} told */
  tell(told) {
    this.#port.postMessage(told);
  }

  end() {
    if (this.#controller.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#controller.abort();
    this.#port.close();
    this.#onEnd();
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(), SILENCE_MS);
  }

  /** @param {Said} said */
  #receive(said) {
    this.#wait();
    if (said.type === "cancel") this.end();
    else if (said.type === "ping") this.tell({ type: "alive" });
    else if (said.type === "request") this.#answer(said);
  }

  /** @param {import("./messages.js").Asked} asked */
  async #answer({ url, ...init }) {
    const { signal } = this.#controller;
    try {
      const { status, headers, body } = await this.#model.fetch(url, { ...init, signal });
      this.tell({ type: "response", status, headers: [...headers] });
      const reader = body?.getReader();
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
        if (done || !value) break;
        this.tell({ type: "chunk", bytes: value });
      }
      this.tell({ type: "end" });
    } catch (error) {
      if (!signal.aborted)
        this.tell({ type: "failed", message: error instanceof Error ? error.message : String(error) });
    }
    this.end();
  }
}
