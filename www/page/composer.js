// What the model reads when the page's text is written on, and where in the text that began.

import { fitted, seenFrom, tellsAnything } from "./stories/fitted.js";

/** @typedef {import("../tokenformer.js").GenerateResult} GenerateResult */
/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */
/** @typedef {import("./stories/fitted.js").Fitted} Fitted */
/** @typedef {import("./stories/fitted.js").Told} Told */

/** Most tokens that are written where no attribute says so: the default of `generate`. */
const MAX_TOKENS = 256;

/**
 * Has the writer's model read what its story is told besides the text, and marks in the text where its memory begins.
 * @param {TokenFormerElement} writer
 * @param {() => Promise<Told | null>} told of the story that is there
 * @param {(seen: string) => void} onSeen the text that the context held after writing
 * @returns what looks at that, for who writes without the event `done`
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
    // A story's own `keep` counts where nothing stands before it.
    const keep = read.keep || own;
    // Who asks for the token view, and not for writing, is overtaken by a text that is begun meanwhile.
    if (last === plain) last = { text, ...read, keep };
    return { prompt: read.prompt, keep };
  };

  /** Asks the model what it has seen, right after it has written. @param {Pick<GenerateResult, "text" | "usage">} result */
  async function look({ text: written, usage }) {
    const { model, text } = writer;
    const read = last;
    if (!model) return;
    try {
      // Asked now: whoever asks the model for something else comes after that.
      const ids = await model.context();
      const seen = await model.decode(ids);
      const newest = usage.slides > 0 && read ? await model.decode(ids.slice(read.keep)) : null;
      onSeen(seen);
      if (!read || !text.startsWith(read.text)) return;
      // What the visitor has changed meanwhile counts behind it at most.
      if (writer.text.startsWith(text)) writer.seenFrom = seenFrom(read, written, newest);
    } catch {
      // The model was given up, or has no tokenizer: nothing is known of what it saw.
    }
  }
  writer.addEventListener("done", ({ detail }) => look(detail));
  return look;
}
