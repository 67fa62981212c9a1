// A model as a server of OpenAI's API: requests that `fetch` would send over a network are answered in the page. So
// every client that accepts a `fetch` can use the model.

import { invalidArgument } from "../errors.js";
import { linkedTo } from "../linked.js";
import { describeError, errorResponse, RequestError } from "./errors.js";
import { json } from "./json.js";
import { eventStream } from "./sse.js";

/** @typedef {Record<string, unknown>} Body */
/**
 * The part of a TokenFormer that is used here.
 * @typedef {object} Model
 * @property {{ id: string }} info
 * @property {{ create: (params: Body, request: { signal: AbortSignal }) => Promise<object | AsyncGenerator<unknown>> }} completions
 * @property {(text: string) => Promise<number[]>} encode
 * @property {(ids: number[]) => Promise<string>} decode
 */
/** @typedef {{ request: Request, body: Body, rest: string | undefined, model: Model, created: number }} Call */
/** @typedef {{ method: "GET" | "POST", path: RegExp, answer: (call: Call) => Response | Promise<Response> }} Endpoint */

/** Matched by the end of the path, so that a server's address may have any prefix. @type {Endpoint[]} */
const ENDPOINTS = [
  { method: "POST", path: /\/v1\/completions$/, answer: complete },
  { method: "GET", path: /\/v1\/models(?:\/(.+))?$/, answer: models },
  { method: "POST", path: /\/tokenize$/, answer: tokenize },
  { method: "POST", path: /\/detokenize$/, answer: detokenize },
];
/** Chat endpoints, of OpenAI and of others that are also common. */
const CHAT = /\/(?:chat|chat\/completions|responses|messages)$/;

/**
 * The model's `fetch`: takes what `fetch` takes, and answers as llama.cpp's server or OpenAI's API would.
 *
 * It rejects if `fetch` would: for an invalid request, and with the signal's reason once that is aborted.
 * All other errors are responses.
 *
 * @param {Model} model
 * @param {() => void} assertUsable throws what every call would reject with
 * @returns {(input: RequestInfo | URL, init?: RequestInit) => Promise<Response>}
 */
export function fetchOf(model, assertUsable) {
  const created = Math.floor(Date.now() / 1000);
  return async (input, init) => {
    const request = new Request(input, init);
    unlessAborted(request);
    /** @type {Body} */
    let body = {};
    try {
      const { endpoint, rest } = endpointOf(request);
      assertUsable();
      if (endpoint.method === "POST") body = await readBody(request);
      unlessAborted(request); // which does not end the reading
      return await endpoint.answer({ request, body, rest, model, created });
    } catch (error) {
      unlessAborted(request);
      return errorResponse(error, body);
    }
  };
}

/** @param {Request} request */
function unlessAborted({ signal }) {
  if (signal.aborted) throw signal.reason;
}

/** @param {Request} request */
function endpointOf({ url, method }) {
  const path = new URL(url).pathname.replace(/\/+$/, "");
  for (const endpoint of ENDPOINTS) {
    const found = endpoint.path.exec(path);
    if (!found) continue;
    if (endpoint.method === method) return { endpoint, rest: found[1] };
    throw new RequestError(405, "method_not_allowed", `${path} takes ${endpoint.method}, not ${method}.`, {
      headers: { Allow: endpoint.method },
    });
  }
  if (CHAT.test(path)) {
    throw new RequestError(
      404,
      "unknown_url",
      "There is no chat here: a base model continues text and knows no messages. Send a text to /v1/completions.",
    );
  }
  throw new RequestError(
    404,
    "unknown_url",
    `There is nothing at ${path}. Paths end in /v1/completions, /v1/models, /tokenize or /detokenize.`,
  );
}

/** @param {Request} request @returns {Promise<Body>} */
async function readBody(request) {
  const text = await request.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw invalidArgument(
      `The body is not JSON: ${cause instanceof Error ? cause.message : cause}.`,
      "Send a JSON object.",
    );
  }
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw invalidArgument("The body must be a JSON object.");
  return body;
}

/** @param {Call} call */
async function complete({ request, body, model }) {
  // There is one model, whatever name a client sends: its examples name a model of the service that they were written for.
  const { model: _, ...params } = body;
  const { controller } = linkedTo(request.signal); // it ends with the request
  const end = (/** @type {unknown} */ reason) => controller.abort(reason);
  const answer = await model.completions.create(params, {
    signal: controller.signal,
  });
  if (!(Symbol.asyncIterator in answer)) return json(answer);
  // Errors that only show once the prompt is read still get their status.
  const { value } = await answer.next();
  const describe = (/** @type {unknown} */ error) => describeError(error, body);
  const events = eventStream(value, answer, { request, cancel: end, describe });
  return new Response(events, {
    headers: { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store" },
  });
}

/** @param {Call} call */
function models({ rest, model, created }) {
  const { id } = model.info;
  const entry = { id, object: "model", created, owned_by: "tokenformer-web" };
  if (rest === undefined) return json({ object: "list", data: [entry] });
  if (decoded(rest) === id) return json(entry);
  throw new RequestError(
    404,
    "model_not_found",
    `There is no model ${JSON.stringify(decoded(rest))} here, but ${id}.`,
    {
      param: "model",
    },
  );
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Same as llama.cpp's server. These tokenizers add no tokens, so `add_special` changes nothing. @param {Call} call */
async function tokenize({ body: { content, with_pieces: withPieces = false }, model }) {
  if (typeof content !== "string") throw invalidArgument("content must be a string.");
  const ids = await model.encode(content);
  if (withPieces !== true) return json({ tokens: ids });
  const pieces = await Promise.all(ids.map((id) => model.decode([id])));
  return json({ tokens: ids.map((id, i) => ({ id, piece: pieces[i] })) });
}

/** Same as llama.cpp's server. @param {Call} call */
async function detokenize({ body: { tokens }, model }) {
  if (!Array.isArray(tokens)) throw invalidArgument("tokens must be an array of token ids.");
  return json({ content: await model.decode(tokens) });
}
