// An end that comes from several sides.

/**
 * A controller that `signal` aborts as well. `unlink` lets go of the signal, which may live longer.
 * @param {AbortSignal | null | undefined} signal
 */
export function linkedTo(signal) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort, { once: true });
  return { controller, unlink: () => signal?.removeEventListener("abort", abort) };
}
