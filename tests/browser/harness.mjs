// What the browser tests share: servers, headless Chromium with WebGPU on the CPU, pages that load the module.

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { takeSoftwareGpu } from "../../scripts/browser.mjs";
import { serve } from "../../scripts/static-server.mjs";
import { findBrowser } from "./find-browser.mjs";

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
export const OUTPUT = path("tests/out/");

/** Whether `scripts/test full` runs: every case, on a software GPU as well as on the CPU engine. */
export const FULL = process.env.TOKENFORMER_FULL === "1";

/** Where dist/ is on the first origin: never at the root, since a build must run from any path. */
export const SUB_PATH = "/some/sub/path/";

const WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];
/**
 * A browser fills workgroup memory with zeros, and a software GPU compiles for two thirds of its time
 * because of that. The native tests run the kernels without it, too: none relies on these zeros.
 */
const UNZEROED = "disable_workgroup_init";
/**
 * A browser also keeps every index within its array, for a fifth of the time that is left. No kernel may rely on that;
 * conformance.test.mjs runs each of them with it.
 */
const UNCLAMPED = "disable_robustness";
const FLAGS = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
];

/**
 * Starts the servers and a browser, with more options of playwright's `launch`; `close` stops both. Without WebGPU the
 * embedded model runs on the CPU, many times as fast as on a software GPU: for tests of what surrounds it.
 * In the full tier kernels are compiled as for visitors, with memory that is zeroed, which takes three times as long, and
 * with indices that are clamped, which `clamped` has in the short tier, too.
 */
export async function start({ webgpu = true, clamped = false, ...more } = {}) {
  const quicker = `--enable-dawn-features=${clamped ? UNZEROED : `${UNZEROED},${UNCLAMPED}`}`;
  mkdirSync(OUTPUT, { recursive: true });
  const requests = [];
  const onRequest = (request) => requests.push(`${request.method} ${request.url}`);
  const mounts = {
    [SUB_PATH]: path("dist"),
    "/oracle/": path("target/oracle"),
    "/fixtures/": path("tests/fixtures"),
    "/blank/": path("tests/browser/pages"),
    "/out/": OUTPUT,
  };
  const server = await serve(mounts, { onRequest });
  const other = await serve(mounts);
  const executablePath = await findBrowser();
  if (!executablePath) throw new Error("No headless Chromium: run scripts/setup --tests.");
  const browser = await chromium.launch({
    executablePath,
    args: [...FLAGS, ...(webgpu ? WEBGPU : ["--disable-features=WebGPU"]), ...(webgpu && !FULL ? [quicker] : [])],
    ...more,
  });
  if (webgpu) takeSoftwareGpu(browser);
  return {
    server,
    /** A second origin with no headers except Access-Control-Allow-Origin. */
    other,
    browser,
    /** Requests to the first origin, as "GET /path". */
    requests,
    async close() {
      await browser.close();
      await Promise.all([server.close(), other.close()]);
    },
  };
}

/**
 * A context with storage of its own for tests of loading, where the engine runs in the given thread. Kernels, which take seconds
 * the CPU, are never ready there until `compileKernels`; on the main thread, timers run 20 times as fast, so that waits
 * between attempts cost nothing.
 */
export async function quickContext(world, thread = "main") {
  const context = await world.browser.newContext();
  await beforeEngine(context, thread, () => {
    const compile = GPUDevice.prototype.createComputePipelineAsync;
    GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
      return globalThis.compilesKernels ? compile.call(this, descriptor) : new Promise(() => {});
    };
  });
  if (thread !== "main") return context;
  await onMainThread(context);
  await context.addInitScript(() => {
    const setTimeout = globalThis.setTimeout;
    // An adapter gets a minute to arrive; on a busy machine it needs seconds of that.
    const speed = (time) => (time === 60_000 ? 1 : 20);
    globalThis.setTimeout = (callback, time, ...rest) => setTimeout(callback, time / speed(time), ...rest);
  });
  return context;
}

/** Makes the pages of a context or page run `code` in the thread of the engine before it loads anything. */
export async function beforeEngine(target, thread, code) {
  const script = `(${code})();`;
  if (thread === "main") return target.addInitScript(script);
  return target.addInitScript((script) => {
    const { Worker } = globalThis;
    globalThis.Worker = class extends Worker {
      constructor(address, options) {
        const text = `${script}\nimport(${JSON.stringify(String(address))});`;
        super(URL.createObjectURL(new Blob([text], { type: "text/javascript" })), options);
      }
    };
  }, script);
}

/** A page with storage of its own whose engine runs in the given thread, after `code` ran there. */
export async function enginePage(world, thread, code) {
  const context = await world.browser.newContext();
  if (thread === "main") await onMainThread(context);
  if (code) await beforeEngine(context, thread, code);
  return modulePage(world, undefined, context);
}

/** Evaluates in the thread where the engine of a page runs. */
export async function evaluateInEngine(page, thread, code, argument) {
  if (thread === "main") return page.evaluate(code, argument);
  await page.evaluate(() => TokenFormer.random("nothing").catch(() => {})); // starts the worker, if there is none
  return page.workers()[0].evaluate(code, argument);
}

/** Makes a page of a `quickContext` load models to the end from now on. */
export const compileKernels = (page, thread = "main") =>
  evaluateInEngine(page, thread, () => {
    globalThis.compilesKernels = true;
  });

/** A page at `url` that records errors in `page.problems`; `before` prepares it. */
export async function open(world, url, { viewport = { width: 1280, height: 900 }, context, before } = {}) {
  const page = await (context ? context.newPage() : world.browser.newPage({ viewport }));
  page.setDefaultTimeout(180_000);
  page.problems = [];
  // Chromium's message about a computer without a GPU is no complaint about the page.
  const isOurs = (m) => ["error", "warning"].includes(m.type()) && m.text() !== "No available adapters.";
  page.on("console", (m) => isOurs(m) && page.problems.push(m.text()));
  page.on("pageerror", (e) => page.problems.push(String(e)));
  await before?.(page);
  await page.goto(url);
  return page;
}

/** Waits until an asynchronous `predicate` of the page holds: `waitForFunction` would take any promise for true. */
export async function until(page, predicate, argument) {
  const end = Date.now() + 60_000;
  while (!(await page.evaluate(predicate, argument))) {
    if (Date.now() > end) throw new Error(`It never came true: ${predicate}`);
    await page.evaluate(() => new Promise((done) => setTimeout(done, 20)));
  }
}

/** Makes the pages of a page or context run the engine on the main thread. */
export function onMainThread(target) {
  return target.addInitScript(() => (globalThis[Symbol.for("tokenformer.thread")] = "main"));
}

/** An empty page that has imported the module from `from` as `globalThis.TokenFormer`. */
export async function modulePage(world, from = world.server.origin, context = undefined) {
  const page = await open(world, `${world.server.origin}/blank/`, { context });
  return importModule(page, from);
}

/** Imports the module into a page. */
export async function importModule(page, from) {
  await page.evaluate(async (url) => {
    const module = await import(url);
    globalThis.TokenFormer = module.TokenFormer;
    /** Code and message of the error that `call` throws. */
    globalThis.failure = async (call) => {
      try {
        await call();
      } catch (e) {
        return { isOurs: e instanceof module.TokenFormerError, code: e.code, message: e.message, hint: e.hint };
      }
      return null;
    };
  }, `${from}${SUB_PATH}tokenformer.js`);
  return page;
}

/** ‖got − want‖₂ / ‖want‖₂. */
export function relativeError(got, want) {
  if (got.length !== want.length) throw new Error(`${got.length} values instead of ${want.length}`);
  const norm = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
  return norm(got.map((g, i) => g - want[i])) / norm(want);
}
