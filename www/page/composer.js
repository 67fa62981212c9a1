// What the model reads when the page's text is continued, and where in the text that begins.

import { fitted, seenFrom, tellsAnything } from "./stories/fitted.js";

/** @typedef {import("../tokenformer.js").GenerateResult} GenerateResult */
/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */
/** @typedef {import("./stories/fitted.js").Fitted} Fitted */
/** @typedef {import("./stories/fitted.js").Told} Told */

/** Maximum length if no attribute sets it: the default of `generate`. */
const MAX_TOKENS = 256;

/**
 * Makes the writer's model read the story's memory, note and lore, and marks in the text where its context begins.
 * @param {TokenFormerElement} writer
 * @param {() => Promise<Told | null>} told of the current story
 * @param {(seen: string) => void} onSeen the text that the context held after writing
 * @returns updates that mark, for callers that generate without the event `done`
 */
export function composePrompts(writer, told, onSeen) {
  /** What was read last. @type {(Fitted & { text: string }) | null} */
  let last = null;
  const numberOf = (/** @type {string} */ name) => Number(writer.getAttribute(name));

  writer.compose = async (text, model) => {
    const own = numberOf("keep");
    /** @type {NonNullable<typeof last>} */
    const plain = { text, prompt: text, keep: own, parts: [{ kind: "story", text }], left: 0 };
    last = plain;
    const story = await told().catch(() => null); // without it, the text alone
    if (!story || !tellsAnything(story)) return null;
    const { contextLength } = model.info;
    const encode = (/** @type {string} */ some) => model.encode(some);
    const maxTokens = numberOf("max-tokens") || MAX_TOKENS;
    const read = await fitted(text, story, { encode, contextLength, maxTokens });
    // A story's own `keep` counts if nothing precedes it.
    const keep = read.keep || own;
    // A call for the token view must not overwrite the prompt of a text that was started meanwhile.
    if (last === plain) last = { text, ...read, keep };
    return { prompt: read.prompt, keep };
  };

  /** Asks the model for its context, right after it has generated. @param {Pick<GenerateResult, "text" | "usage">} result */
  async function look({ text: written, usage }) {
    const { model, text } = writer;
    const read = last;
    if (!model) return;
    try {
      // Called at once: other calls of the model come after it.
      const ids = await model.context();
      const seen = await model.decode(ids);
      const newest = usage.slides > 0 && read ? await model.decode(ids.slice(read.keep)) : null;
      onSeen(seen);
      if (!read || !text.startsWith(read.text)) return;
      // Valid if the visitor changed nothing but text after it.
      if (writer.text.startsWith(text)) writer.seenFrom = seenFrom(read, written, newest);
    } catch {
      // The model was released, or has no tokenizer: its context is unknown.
    }
  }
  writer.addEventListener("done", ({ detail }) => look(detail));
  return look;
}
