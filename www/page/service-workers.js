// Service workers, where this page may have them.

/** `navigator.serviceWorker`; undefined in a page that is not secure, and in a frame without an origin, where asking for it throws. */
export function serviceWorkers() {
  try {
    return navigator.serviceWorker;
  } catch {
    return undefined;
  }
}
