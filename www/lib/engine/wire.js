// Errors between threads. Error objects lose their class and fields in messages, so they are sent as plain objects.

import { TokenFormerError, toTokenFormerError } from "../errors.js";

/** @typedef {{ said: string } | { name: string, message: string, stack: string, cause?: Cause }} Cause */
/** @typedef {{ code: string, message: string, hint: string, cause?: Cause }} PackedError */

/** A plain object for anything that was thrown. @param {unknown} thrown @returns {PackedError} */
export function packError(thrown) {
  const { code, message, hint, cause } = toTokenFormerError(thrown);
  return { code, message, hint, cause: packCause(cause) };
}

/** The TokenFormerError that was passed to `packError`. @param {PackedError} packed */
export function unpackError({ code, message, hint, cause }) {
  return new TokenFormerError(code, message, { hint, cause: unpackCause(cause) });
}

/** @param {unknown} cause @returns {Cause | undefined} */
function packCause(cause) {
  if (cause === undefined) return undefined;
  const isError = cause instanceof Error || (globalThis.DOMException && cause instanceof DOMException);
  if (!isError) return { said: String(cause) };
  return {
    name: String(cause.name),
    message: String(cause.message),
    stack: String(cause.stack),
    cause: packCause(cause.cause),
  };
}

/** @param {Cause | undefined} cause @returns {unknown} */
function unpackCause(cause) {
  if (cause === undefined || "said" in cause) return cause?.said;
  /** @type {Error} */
  const error = new Error(cause.message, { cause: unpackCause(cause.cause) });
  return Object.assign(error, { name: cause.name, stack: cause.stack });
}
