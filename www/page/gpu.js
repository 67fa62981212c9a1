// Whether large models can run here, before anybody downloads one.

/** @type {Promise<boolean> | null} */
let asked = null;

/** Whether the browser gives a GPU; asked for once, when somebody wants to know, since it takes a while. */
export function hasGpu() {
  asked ??= navigator.gpu ? navigator.gpu.requestAdapter().then(Boolean, () => false) : Promise.resolve(false);
  return asked;
}
