// The benchmark's address for the model that the page uses.

import { modelQuery } from "./model-query.js";

/** The attributes of an element that the address may include besides the model's name. */
export const BENCHMARKED = Object.freeze(["quantization", "revision", "backend"]);

/**
 * The address of bench.html for a model. It includes neither a model folder on this device, which only this page can
 * read, nor another hub, which is this visitor's own choice.
 * @param {(attribute: string) => string | null} get an element's attributes
 */
export function benchmarkAddress(get) {
  const text = (modelQuery(get, ["model", ...BENCHMARKED]) ?? "").toString().replaceAll("%2F", "/");
  return `bench.html${text ? `?${text}` : ""}`;
}
