// A response of JSON. `Response.json` is younger than browsers that this module runs in.

/** @param {unknown} value @param {{ status?: number, headers?: Record<string, string> }} [init] */
export function json(value, { status = 200, headers = {} } = {}) {
  return new Response(JSON.stringify(value), { status, headers: { ...headers, "Content-Type": "application/json" } });
}
