// An abort that can come from several sources.

/**
 * A controller that `signal` aborts as well. `unlink` detaches it from the signal, which may live longer.
 * @param {AbortSignal | null | undefined} signal
 */
export function linkedTo(signal) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort, { once: true });
  return { controller, unlink: () => signal?.removeEventListener("abort", abort) };
}
