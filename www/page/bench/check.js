// Whether what was measured is also correct: a model folder in which `oracle.json` says what the CPU reference computes
// (tools/oracle.rs writes such folders of the test fixtures).

import { TokenFormer } from "../../tokenformer.js";

/** ‖got − wanted‖ / ‖wanted‖. @param {ArrayLike<number>} got @param {ArrayLike<number>} wanted */
export function relativeError(got, wanted) {
  let [off, size] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    off += (got[i] - wanted[i]) ** 2;
    size += wanted[i] ** 2;
  }
  return Math.sqrt(off / size);
}

/**
 * Largest relative errors of the logits after prompts of several lengths: computed at once, and with the last token in
 * a separate decode step, by the kernels that every model starts with, and by those that the tuning chose.
 * @param {string} folder address, with a slash at its end
 */
export async function checkLogits(folder) {
  /** @type {{ inputIds: number[], lengths: number[], logits: number[][] }} */
  const { inputIds, lengths, logits } = await (await fetch(new URL("oracle.json", folder))).json();
  const model = await TokenFormer.load(folder, { cache: false });
  try {
    const errors = { prefill: 0, untuned: 0, decode: 0 };
    for (const decode of /** @type {const} */ (["untuned", "decode"])) {
      for (const [i, length] of lengths.entries()) {
        /** @type {(keyof typeof errors)[]} */
        const kinds = length > 1 ? ["prefill", decode] : [decode];
        for (const kind of kinds) {
          await model.reset();
          if (kind === decode && length > 1) await model.logits(inputIds.slice(0, length - 1));
          const got = await model.logits(inputIds.slice(0, length));
          errors[kind] = Math.max(errors[kind], relativeError(got, logits[i]));
        }
      }
      if (decode === "untuned") await model.benchmark({ promptTokens: 4, maxTokens: 2, runs: 1 }); // tunes
    }
    return { folder, variants: model.info.variants, ...errors };
  } finally {
    await model.dispose();
  }
}
