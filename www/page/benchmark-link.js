// The benchmark's address for the model that the page uses.

import { isLocal } from "./local-folder.js";

/** What of an element's attributes the address may hold besides the model's name. */
export const BENCHMARKED = Object.freeze(["quantization", "revision", "backend"]);

/**
 * The address of bench.html for a model; not of files of this device, which only this page has, nor of another hub, which
 * is nobody else's choice.
 * @param {(attribute: string) => string | null} get an element's attributes
 */
export function benchmarkAddress(get) {
  const query = new URLSearchParams();
  const name = get("model");
  const isNamed = !isLocal(name) && get("endpoint") === null;
  for (const attribute of isNamed ? ["model", ...BENCHMARKED] : []) {
    const value = get(attribute);
    if (value) query.set(attribute, value);
  }
  const text = query.toString().replaceAll("%2F", "/");
  return `bench.html${text ? `?${text}` : ""}`;
}
