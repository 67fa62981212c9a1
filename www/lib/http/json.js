// A JSON response. `Response.json` is newer than some browsers that this module supports.

/** @param {unknown} value @param {{ status?: number, headers?: Record<string, string> }} [init] */
export function json(value, { status = 200, headers = {} } = {}) {
  return new Response(JSON.stringify(value), { status, headers: { ...headers, "Content-Type": "application/json" } });
}
