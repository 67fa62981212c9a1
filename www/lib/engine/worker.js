// The worker in which the engine runs. The page's side of it is port.js.

import * as glue from "../../tokenformer-web.js";
import { BUILD } from "../build.js";
import { EngineModule } from "./module.js";
import { EngineService } from "./service.js";
import { enginesOf } from "./engines-of.js";

// An instance that stops takes its worker with it, so there are no restarts here.
const service = new EngineService(globalThis, enginesOf(new EngineModule(async () => glue)));
globalThis.onmessage = ({ data }) => service.receive(data);
globalThis.postMessage({ type: "ready", build: BUILD, hasGpu: Boolean(globalThis.navigator?.gpu) });
