// The worker in which the engine runs. The page's side of it is port.js.

import * as glue from "../../tokenformer-web.js";
import { BUILD } from "../build.js";
import { tellWasmAddresses } from "../locations.js";
import { EngineModule } from "./module.js";
import { EngineService } from "./service.js";
import { enginesOf } from "./engines-of.js";

// A stopped instance takes its worker with it, so there are no restarts here.
/** @type {ConstructorParameters<typeof EngineService>[0]} */
const port = { postMessage: (message, transfer) => globalThis.postMessage(message, { transfer }) };
const service = new EngineService(port, enginesOf(new EngineModule(async () => glue)));
globalThis.onmessage = (/** @type {MessageEvent} */ { data }) =>
  data.type === "files" ? tellWasmAddresses(data.wasm) : service.receive(data);
globalThis.postMessage({ type: "ready", build: BUILD, hasGpu: Boolean(globalThis.navigator?.gpu) });
