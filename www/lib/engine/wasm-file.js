// The engine's WebAssembly file: found, compared with the hash that these files hold of it, compiled.

import { buildOf, checkBuild, WASM_INTEGRITY } from "../build.js";
import { fetchAny } from "../disk.js";
import { VERSION } from "../distribution.js";
import { TokenFormerError } from "../errors.js";
import { wasmAddresses } from "../locations.js";

/**
 * The compiled file and its address. Rejects with a TokenFormerError: `network` where it is nowhere, `integrity` where what
 * is there is damaged or of another build.
 * @returns {Promise<{ wasm: WebAssembly.Module, address: string }>}
 */
export async function compileWasm() {
  /** @type {string[]} */
  const failures = [];
  for (const address of wasmAddresses()) {
    const failure = await fetchWasm(address).then(
      (wasm) => ({ wasm }),
      (/** @type {unknown} */ error) => {
        if (error instanceof NotThere) return { why: error.message };
        throw error;
      },
    );
    if ("wasm" in failure) return { wasm: failure.wasm, address };
    failures.push(`${address} (${failure.why})`);
  }
  throw missing(`The engine's file cannot be fetched: ${failures.join(", ")}.`);
}

/** What was found is no such file: it may be elsewhere. */
class NotThere extends Error {}

/** @param {string} address */
async function fetchWasm(address) {
  const response = await fetchChecked(address);
  if (!response.ok) throw new NotThere(`status ${response.status}`);
  const module = await compile(response);
  checkBuild(buildOf(module), `The engine's file ${address}`);
  return module;
}

/**
 * The browser itself compares the bytes with the hash. What it says of others is no more than that the fetching failed: then
 * they are looked at.
 * @param {string} address
 */
async function fetchChecked(address) {
  if (WASM_INTEGRITY === "") return fetchAny(address).catch(notThere);
  const integrity = { integrity: WASM_INTEGRITY };
  try {
    return await fetchAny(address, integrity);
  } catch {
    const response = await fetchAny(address).catch(notThere);
    if (!response.ok) throw new NotThere(`status ${response.status}`);
    checkBuild(buildOf(await compile(response)), `The engine's file ${address}`);
    // Cut off on its way, or kept damaged: it is asked for once more, past every cache.
    return fetchAny(address, { ...integrity, cache: "reload" }).catch((cause) => {
      throw new TokenFormerError("integrity", `The engine's file ${address} is not what was built.`, {
        hint: "Upload the files of the build again, and see that the host does not change them.",
        cause,
      });
    });
  }
}

/** @param {unknown} error @returns {never} */
function notThere(error) {
  throw new NotThere(error instanceof Error ? error.message : String(error));
}

/** @param {Response} response */
async function compile(response) {
  // Some hosts do not know the type, without which a browser refuses to compile what is still coming.
  if (response.headers.get("Content-Type")?.startsWith("application/wasm"))
    return WebAssembly.compileStreaming(response);
  const bytes = await response.arrayBuffer();
  // Many hosts answer with a page where there is no file.
  if (new TextDecoder("latin1").decode(bytes.slice(0, 4)) !== "\0asm") throw new NotThere("it is no WebAssembly");
  return WebAssembly.compile(bytes);
}

/** The error of a file of the engine that is nowhere. @param {string} message */
export function missing(message) {
  const copy =
    VERSION === ""
      ? "All files of a build belong into one folder of the server, next to tokenformer.js."
      : "Otherwise copy tokenformer-web_bg.wasm and tokenformer.worker.js of the package there, or set TokenFormer.assets to the address of their folder.";
  return new TokenFormerError("network", message, {
    hint: `Reload the page: the site may have been updated. ${copy}`,
  });
}
