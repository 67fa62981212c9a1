// What the model reads in the place of the text, where the page has something to say to that.

/** As its users know it. @typedef {import("../../tokenformer.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").Compose} Compose */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */

/**
 * The plan of a text, and what is read for it. The text may be changed while the page composes: then that is composed anew.
 * @template {{ prompt: unknown }} P
 * @param {() => P} plan
 * @param {Compose} compose
 * @param {import("../api/model.js").TokenFormer} model
 * @returns {Promise<P & { options: GenerateOptions }>} `options`: what it says besides, of those of `generate`
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
 * The tokens that stay before every text of the model's: those of the prompt that `keep` holds. The scores of the token view
 * are read behind these alone, and not behind what a page puts between the lines, as an author's note some lines before the
 * end. A token that the model wrote has its own score, with the note where it stood then. What a visitor typed was never
 * read with the note in one place: it stands before the last lines of each prompt, so that with every line that is added
 * it would pass another one, whose scores would change though its text did not.
 * @param {string} text
 * @param {Compose | null} compose
 * @param {import("../api/model.js").TokenFormer} model
 */
export async function standingFirst(text, compose, model) {
  const composed = await compose?.(text, /** @type {TokenFormer} */ (/** @type {unknown} */ (model)));
  if (!composed || typeof composed === "string" || !composed.keep) return [];
  return (await model.encode(composed.prompt)).slice(0, composed.keep);
}
