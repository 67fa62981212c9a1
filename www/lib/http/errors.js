// Errors in the form of OpenAI's API, with an HTTP status.

import { toTokenFormerError } from "../errors.js";
import { json } from "./json.js";

/** By the code of a TokenFormerError; codes that are not listed are the engine's fault. @type {Record<string, number>} */
const STATUS = {
  "invalid-argument": 400,
  // The model lacks something, usually a tokenizer, that another request may not need.
  "invalid-config": 400,
  // It ends the calls of all clients; a client that aborts itself gets no answer.
  aborted: 503,
  disposed: 503,
  "device-lost": 503,
  "out-of-memory": 503,
};

/** @typedef {{ message: string, type: string, param: string | null, code: string }} ApiError */

/** A request that cannot be answered, with the reason. */
export class RequestError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message readable sentences
   * @param {{ param?: string, headers?: Record<string, string> }} [details]
   */
  constructor(status, code, message, { param, headers } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param ?? null;
    this.headers = headers ?? {};
  }
}

/** The form of an error in a body or a stream. @param {unknown} error @param {object} [body] the request's @returns {{ error: ApiError }} */
export function describeError(error, body = {}) {
  const { status, code, message, param } = normalized(error, body);
  const type = status < 500 ? "invalid_request_error" : "server_error";
  return { error: { message, type, param, code } };
}

/** @param {unknown} error @param {object} [body] the request's */
export function errorResponse(error, body) {
  const { status, headers } = normalized(error, body);
  // Clients retry after a server error; here the answer would be the same.
  const retry = { "x-should-retry": "false" };
  return json(describeError(error, body), {
    status,
    headers: status < 500 ? headers : { ...headers, ...retry },
  });
}

/** @param {unknown} error @param {object} [body] */
function normalized(error, body = {}) {
  if (error instanceof RequestError) return error;
  const { code, message, hint } = toTokenFormerError(error);
  // Messages about an argument start with its name.
  const [name] = /^\w+/.exec(message) ?? [""];
  const param = code === "invalid-argument" && Object.hasOwn(body, name) ? name : null;
  return { status: STATUS[code] ?? 500, code, message: [message, hint].filter(Boolean).join(" "), param, headers: {} };
}
