// What the model reads instead of the text, if the page provides a `compose` function.

/** The type that users of the module know. @typedef {import("../../tokenformer.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").Compose} Compose */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */

/**
 * The plan of a text, and what the model reads for it. If the text changes while the page composes, it is composed again.
 * @template {{ prompt: unknown }} P
 * @param {() => P} plan
 * @param {Compose} compose
 * @param {import("../api/model.js").TokenFormer} model
 * @returns {Promise<P & { options: GenerateOptions }>} `options`: options of `generate` that it also returned
 */
export async function composedPlan(plan, compose, model) {
  const known = /** @type {TokenFormer} */ (/** @type {unknown} */ (model));
  for (;;) {
    const { prompt } = plan();
    const composed = typeof prompt === "string" ? await compose(prompt, known) : null;
    const planned = plan();
    if (planned.prompt !== prompt) continue;
    if (composed === null) return { ...planned, options: {} };
    const { prompt: read, ...options } = typeof composed === "string" ? { prompt: composed } : composed;
    return { ...planned, prompt: read, options };
  }
}

/**
 * The tokens that always precede the text: those of the prompt covered by `keep`. The token view scores tokens after
 * these alone, and not after what a page inserts between the lines, such as an author's note some lines before the end.
 * A token that the model wrote has its own score, with the note where it was at the time. Typed text was never read
 * with the note in a fixed place: the note comes before the last lines of each prompt, so with every added line it
 * would move past another one, whose scores would change although its text did not.
 * @param {string} text
 * @param {Compose | null} compose
 * @param {import("../api/model.js").TokenFormer} model
 */
export async function standingFirst(text, compose, model) {
  const composed = await compose?.(text, /** @type {TokenFormer} */ (/** @type {unknown} */ (model)));
  if (!composed || typeof composed === "string" || !composed.keep) return [];
  return (await model.encode(composed.prompt)).slice(0, composed.keep);
}
