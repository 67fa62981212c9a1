// Where engines run: in a worker shared by all models of the page, or, if no worker is available, in this thread. Both
// use the same messages.
//
// One worker, not one per model: one compiled module and one wasm memory; models mostly wait for the GPU, and a trap,
// which ends them all, is a bug that none should have to survive. The worker ends after it has been idle for a while.

import { checkBuild, otherBuild } from "../build.js";
import { localWorker } from "./local-worker.js";
import { EngineModule, scriptAddress } from "./module.js";
import { EnginePort } from "./port.js";
import { enginesOf } from "./engines-of.js";
import { TokenFormerError } from "../errors.js";
import { locate, wasmAddresses } from "../locations.js";
import { workerWays } from "./make-worker.js";

/** The engine of this thread. */
export const engineModule = new EngineModule((restarts) =>
  // The first import is written so that bundlers follow it, the second so that they leave it alone.
  restarts === 0
    ? import("../../tokenformer-web.js")
    : import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ scriptAddress(restarts)),
);
/** @type {EnginePort | null} */
let here = null;

/** For tests and debugging: `globalThis[THREAD] = "main"` before the first model prevents a worker. */
export const THREAD = Symbol.for("tokenformer.thread");

/** For tests: `globalThis[SOFTWARE_GPU] = true` lets "auto" use a software GPU. */
export const SOFTWARE_GPU = Symbol.for("tokenformer.softwareGpu");

/** The value set under one of these symbols. @param {symbol} name @returns {unknown} */
export const setting = (name) => /** @type {Record<symbol, unknown>} */ (/** @type {unknown} */ (globalThis))[name];

/** How long a worker may take to report that it is ready: it can hang without reporting an error. */
const READY_MS = 20_000;
/** How many workers in a row may fail to start before no more are tried: a network may fail once. */
const MOST_FAILURES = 2;

/** @type {Promise<EnginePort | null> | null} */
let starting = null;
let failures = 0;
/** Why the last worker could not be started. */
let lastFailure = "";
/** Whether workers have WebGPU; null until the first one says so. @type {boolean | null} */
let workersHaveGpu = null;

/** An object, so that tests can replace its methods. */
export const engines = {
  /** The engines to create the next model with. @param {string} [backend] where it shall compute */
  async get(backend) {
    const locating = locate();
    if (locating) await locating;
    // Without a document, this is a worker already.
    if (!globalThis.document || setting(THREAD) === "main") return portHere();
    if (!globalThis.Worker) return hereSince("This browser has no workers");
    // A page may have WebGPU although its workers do not. A CPU backend still runs in a worker.
    const isFasterHere = () => workersHaveGpu === false && Boolean(globalThis.navigator?.gpu) && backend !== "cpu";
    if (failures < MOST_FAILURES && !isFasterHere()) {
      starting ??= startPort();
      const port = await starting;
      if (port && !isFasterHere()) return port;
    }
    return hereSince(isFasterHere() ? "Workers have no WebGPU here, but the page has" : lastFailure);
  },
};

function portHere() {
  const retire = () => {
    here = null;
    engineModule.discard();
  };
  // Keep the instance for the next model: its memory would not be released anyway.
  const where = /** @type {const} */ ({ thread: "WorkerGlobalScope" in globalThis ? "worker" : "main", isKept: true });
  return (here ??= new EnginePort(localWorker(enginesOf(engineModule)), retire, where));
}

/** The engines of this thread. Their models give the reason in `info.notes`. @param {string} reason */
function hereSince(reason) {
  const note = `${reason}, so the engine runs on the page's main thread, which may stutter while it works.`;
  return portHere().noted(note);
}

async function startPort() {
  /** @type {string[]} */
  const reasons = [];
  for (const way of workerWays()) {
    try {
      const { worker, hasGpu } = await startWorker(way.make, way.from);
      failures = 0;
      workersHaveGpu = hasGpu;
      return new EnginePort(
        /** @type {import("./port.js").WorkerLike} */ (/** @type {unknown} */ (worker)),
        () => (starting = null),
      );
    } catch (error) {
      // A worker of another build: this thread would fetch that build's engine, too.
      if (error instanceof TokenFormerError) {
        starting = null;
        throw error;
      }
      reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
  starting = null; // the next model tries again
  failures += 1;
  lastFailure = reasons.join("; ");
  return null;
}

/** A worker that is ready, has the address of the engine's file, and has reported whether it has WebGPU; rejects if none is available, or it is of another build. @param {() => Worker | Promise<Worker>} make @param {string} [from] where its script is, in words */
export async function startWorker(make, from = "its script") {
  const made = make();
  const worker = made instanceof Promise ? await made : made; // no turn is lost: it may speak at once
  let timer;
  try {
    const hasGpu = await new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`The engine's worker does not answer (${from})`)), READY_MS);
      worker.onmessage = (/** @type {MessageEvent} */ { data }) => {
        try {
          if (data?.type !== "ready")
            throw otherBuild(`The worker's script (${from}) begins as that of another build would.`);
          checkBuild(data.build, `The worker's script (${from})`);
          resolve(data.hasGpu);
        } catch (error) {
          reject(error);
        }
      };
      worker.onerror = (event) => {
        event.preventDefault?.(); // not the page's failure: it goes on without
        reject(
          new Error(
            `The engine's worker could not be started from ${from} (the script is missing, or a policy forbids it)`,
          ),
        );
      };
    });
    worker.postMessage({ type: "files", wasm: wasmAddresses() });
    return { worker, hasGpu };
  } catch (error) {
    worker.terminate();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
