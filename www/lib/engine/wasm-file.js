// The engine's WebAssembly file: finds it, compares it with the hash in these files, and compiles it.

import { buildOf, checkBuild, WASM_INTEGRITY } from "../build.js";
import { fetchAny } from "../disk.js";
import { VERSION } from "../distribution.js";
import { TokenFormerError } from "../errors.js";
import { wasmAddresses } from "../locations.js";

/**
 * The compiled file and its address. Rejects with a TokenFormerError: `network` if it is found nowhere, `integrity` if
 * the file is damaged or of another build.
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

/** The response is not the file: it may be elsewhere. */
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
 * The browser itself compares the bytes with the hash. On a mismatch it only reports that fetching failed: then the
 * bytes are inspected.
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
    // Truncated in transit, or damaged in a cache: request it once more, bypassing all caches.
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
  // Some hosts do not send the media type, which browsers require for streaming compilation.
  if (response.headers.get("Content-Type")?.startsWith("application/wasm"))
    return WebAssembly.compileStreaming(response);
  const bytes = await response.arrayBuffer();
  // Many hosts answer with a page for a missing file.
  if (new TextDecoder("latin1").decode(bytes.slice(0, 4)) !== "\0asm") throw new NotThere("it is no WebAssembly");
  return WebAssembly.compile(bytes);
}

/** The error for a file of the engine that is found nowhere. @param {string} message */
export function missing(message) {
  const copy =
    VERSION === ""
      ? "All files of a build belong into one folder of the server, next to tokenformer.js."
      : "Otherwise copy tokenformer-web_bg.wasm and tokenformer.worker.js of the package there, or set TokenFormer.assets to the address of their folder.";
  return new TokenFormerError("network", message, {
    hint: `Reload the page: the site may have been updated. ${copy}`,
  });
}
