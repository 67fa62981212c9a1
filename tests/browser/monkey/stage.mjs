// Where the monkey plays: a host with two builds of the page and folders of small models, two hubs, a visitor with two tabs.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { serve } from "../../../scripts/static-server.mjs";
import { ERROR_CODES } from "../../../www/lib/errors.js";
import { makeBuilds } from "../builds.mjs";
import { SUB_PATH } from "../harness.mjs";
import { startHub } from "../hub-simulator.mjs";
import { withTokenizer } from "../small-models.mjs";
import { arrive, beforePage, snapshot } from "./in-page.mjs";

const root = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** The fixture behind each folder of the host. Links have one of their own. */
const FOLDERS = { mine: "head64-q4", second: "head80-q8", linked: "head96-q4" };
export const TOKENS = { home: "hf_home_secret", other: "hf_other_secret" };
/** Values set by a link and by a visitor: no value is in both, and none is the page's own. */
export const LINKED = {
  temperature: ["0.31", "0.33"],
  seed: ["1001", "1003"],
  "max-tokens": ["11", "13"],
  "top-k": ["7", "9"],
  model: ["/models/linked/"],
  "context-length": ["77"],
};
export const CHOSEN = {
  temperature: ["0.5", "1.2"],
  seed: ["2", "4"],
  "max-tokens": ["8", "24", "60"],
  "top-k": ["20", "40"],
  model: ["/models/mine/", "/models/second/"],
};
/** What a link may not set. */
export const FORBIDDEN = {
  endpoint: "https://evil.example",
  token: "hf_evil",
  backend: "webgpu",
  config: "{}",
  "no-cache": "",
};

/** `hasEmbedded`: whether the embedded model, which takes seconds, is loaded now and then. */
export async function openStage(world, { hasEmbedded }) {
  const folder = mkdtempSync(join(tmpdir(), "tokenformer-monkey-"));
  const builds = await makeBuilds(folder);
  const models = join(folder, "models");
  const files = (fixture) => {
    const path = join(models, fixture);
    withTokenizer(root(`target/oracle/fixtures/${fixture}`), ["config.json", "model.safetensors"], 512, path);
    return Object.fromEntries(["config.json", "model.safetensors", "tokenizer.json"].map((n) => [n, join(path, n)]));
  };
  const mounts = { [SUB_PATH]: builds[0].folder, [`${SUB_PATH}models/`]: root("dist/models") };
  for (const [name, fixture] of Object.entries(FOLDERS)) {
    files(fixture);
    mounts[`/models/${name}/`] = join(models, fixture);
  }
  const repositories = (token) => ({
    "o/public": { files: files("head64-q8") },
    "o/private": { files: files("head64-f16"), token },
  });
  const hubs = { home: await startHub(repositories(TOKENS.home)), other: await startHub(repositories(TOKENS.other)) };
  /** What is out of order: `host(request, response)` answers instead of the host. */
  // `brought`: openings that are not the visitor's, but the page's or a link's.
  const stage = {
    mounts,
    builds,
    hubs,
    tabs: [],
    violations: [],
    fault: null,
    /** Requests that the host has not finished answering. */
    open: new Set(),
    silent: [],
    build: 0,
    brought: new Set(),
    /** How many actions may have set a text aside: each may push out the oldest of those that are kept. */
    replacements: 0,
  };
  const server = await serve(mounts, {
    onRequest(request, response) {
      stage.open.add(request.url);
      response.on("close", () => stage.open.delete(request.url));
      if (request.headers.authorization) stage.violations.push(`a token was sent to the page's host: ${request.url}`);
      return stage.fault?.(request, response);
    },
  });
  const context = await world.browser.newContext();
  await context.addInitScript(() => delete globalThis[Symbol.for("tokenformer.softwareGpu")]);
  await context.addInitScript(beforePage);
  context.on("request", (request) => {
    const { origin, href } = new URL(request.url());
    for (const [name, token] of Object.entries(TOKENS)) {
      if (href.includes(token)) stage.violations.push(`a token stands in ${href}`);
      const isSent = request.headers().authorization?.includes(token) && !request.redirectedFrom();
      if (isSent && origin !== hubs[name].endpoint) stage.violations.push(`the token of ${name} was sent to ${origin}`);
    }
  });
  Object.assign(stage, { server, context, url: `${server.origin}${SUB_PATH}` });
  /** Everything that can be loaded: `{ name, options }`. */
  stage.sources = [
    ...Object.keys(FOLDERS).map((name) => ({ name: `${server.origin}/models/${name}/`, options: {} })),
    ...Object.entries(hubs).flatMap(([hub, { endpoint }]) => [
      { name: "o/public", options: { endpoint } },
      { name: "o/private", options: { endpoint, token: TOKENS[hub] } },
    ]),
  ];
  stage.embedded = hasEmbedded ? { name: null, options: {} } : null;
  /** Repairs everything. */
  stage.calm = async () => {
    stage.fault = null;
    // A browser has few connections to one host.
    for (const response of stage.silent.splice(0)) response.destroy();
    for (const hub of Object.values(hubs)) hub.faults.length = 0;
    await context.setOffline(false);
  };
  stage.close = async () => {
    await context.close();
    await Promise.all([server.close(), ...Object.values(hubs).map((hub) => hub.close())]);
    rmSync(folder, { recursive: true, force: true });
  };
  return stage;
}

/** A tab of the visitor. */
export class Tab {
  #stage;
  page = null;
  /** The last text that the visitor had here; null before there was one. */
  own = null;
  /** How many actions had set a text aside by then. */
  ownSince = 0;
  /** Attributes as the visitor set them. */
  set = {};
  /** Whether `set` was saved. */
  isSetKept = true;
  /** Whether the browser has no space for its text. */
  isFull = false;
  /** Requests that failed since the last navigation. @type {string[]} */
  #failed = [];
  /** Since when the loading message has been the same. */
  waits = { words: "", since: 0 };

  constructor(stage, name) {
    this.#stage = stage;
    this.name = name;
  }

  /** A visit in a new page of the browser. */
  async open(address = this.#stage.url) {
    this.page = await this.#stage.context.newPage();
    this.page.setDefaultTimeout(20_000);
    this.page.on("requestfailed", (request) => this.#failed.push(`${request.failure()?.errorText} ${request.url()}`));
    this.page.on("pageerror", (error) => this.#stage.violations.push(`${this.name}: ${error.stack ?? error}`));
    await this.go(() => this.page.goto(address));
  }

  /** `navigate`, with everything in order, and with the monkey's helpers in every page. */
  async go(navigate) {
    await this.#stage.calm();
    this.#failed.length = 0;
    const isThere = () => this.page.waitForFunction(() => customElements.get("token-former"));
    await navigate()
      .then(isThere)
      .catch((error) => this.#reload(error).then(isThere))
      .catch(async (error) => {
        throw new Error(`${this.name} does not get there: ${error.message}: ${await this.#standing()}`);
      });
    // A page with full storage said that it saves nothing.
    if (this.isFull) {
      this.own = null;
      this.isSetKept = false;
    }
    this.isFull = false;
    await this.page.evaluate(arrive, ERROR_CODES);
  }

  /** A connection may break, and then the page does not start: it asks to be reloaded, and one reload is enough. @param {Error} error */
  async #reload(error) {
    if (!(await this.page.locator(".unstarted").isVisible())) throw error;
    console.log(`${this.name} did not start, and was reloaded: ${await this.#standing()}`);
    await this.page.reload();
  }

  /** What a navigation may wait for: the service worker's states, as another tab sees them, and open requests. */
  async #standing() {
    const { tabs, open } = this.#stage;
    const own = this.do(() => [
      location.href,
      document.readyState,
      navigator.serviceWorker.controller?.state,
      performance
        .getEntriesByType("resource")
        .map(({ name, responseStatus, transferSize }) =>
          [name.split("?")[0].split("/").at(-1), responseStatus, transferSize].join(" "),
        ),
    ]).catch(String);
    const seen = tabs
      .find((tab) => tab !== this)
      .do(async () => {
        const registration = await navigator.serviceWorker.getRegistration();
        const states = ["installing", "waiting", "active"].map((name) => `${name}: ${registration?.[name]?.state}`);
        return `${states.join(", ")}; ${JSON.stringify(await navigator.locks.query())}`;
      });
    const late = new Promise((done) => setTimeout(done, 5000, "no answer"));
    const told = await Promise.all([own, seen].map((one) => Promise.race([one, late])));
    return `${JSON.stringify(told)}; failed: ${this.#failed.join(" ")}; open requests: ${[...open].join(" ")}`;
  }

  /** Does `call` in the page. */
  do(call, argument) {
    return this.page.evaluate(call, argument);
  }

  look() {
    return this.page.evaluate(snapshot);
  }

  text() {
    return this.page.evaluate(() => monkey.element.text);
  }

  /** Waits until nothing is loading or being written; stops what takes longer than `ms`. */
  async idle(ms = 3000) {
    const isIdle = () => monkey.element.state === "idle";
    const wait = (timeout) => this.page.waitForFunction(isIdle, null, { timeout, polling: 20 });
    await wait(ms).catch(() => this.stop());
  }

  /** The effect of Escape has an end. */
  async stop() {
    await this.page.evaluate(() => monkey.element.stop());
    await this.page
      .waitForFunction(() => monkey.element.state === "idle", null, { timeout: 5000, polling: 20 })
      .catch(async () => {
        const { state, status } = await this.look();
        throw new Error(`${this.name}: 5 s after stop() it is ${state}: ${JSON.stringify(status)}`);
      });
  }
}
