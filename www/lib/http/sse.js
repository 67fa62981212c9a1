// Server-sent events, as far as OpenAI's streams use them: each event is one line of JSON.

const encoder = new TextEncoder();
/** The last event of a complete stream. */
const DONE = "data: [DONE]\n\n";

/**
 * A response body with an event for every value. It is filled as values arrive, whether or not anyone reads it: an
 * abandoned body does not block others.
 *
 * @param {unknown} first
 * @param {AsyncIterator<unknown>} rest
 * @param {object} reader
 * @param {Request} reader.request the abort of its signal errors the body
 * @param {(reason: unknown) => void} reader.cancel ends the values; called when the body is cancelled
 * @param {(error: unknown) => unknown} reader.describe the value that reports a failure, as the last event
 * @returns {ReadableStream<Uint8Array<ArrayBuffer>>}
 */
export function eventStream(first, rest, { request, cancel, describe }) {
  let isOpen = true;
  const { signal } = request;
  return new ReadableStream({
    start(body) {
      /** @param {Uint8Array<ArrayBuffer>} bytes */
      const tell = (bytes) => isOpen && body.enqueue(bytes);
      const fail = () => {
        // Through the request: in some runtimes a signal's source is garbage-collected with its request.
        if (isOpen) body.error(request.signal.reason);
        isOpen = false;
      };
      signal.addEventListener("abort", fail, { once: true });
      const fill = async () => {
        try {
          tell(encodeEvent(first));
          for (;;) {
            const { done, value } = await rest.next();
            if (done) break;
            tell(encodeEvent(value));
          }
          tell(encoder.encode(DONE));
        } catch (error) {
          tell(encodeEvent(describe(error)));
        }
        signal.removeEventListener("abort", fail);
        if (isOpen) body.close();
        isOpen = false;
      };
      fill();
    },
    cancel(reason) {
      isOpen = false;
      cancel(reason);
    },
  });
}

/** JSON has no line breaks, and escapes lone surrogates: it is one line, and valid UTF-8. @param {unknown} value */
export function encodeEvent(value) {
  return encoder.encode(`data: ${JSON.stringify(value)}\n\n`);
}
