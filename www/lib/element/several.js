// Several continuations, written side by side: what the element shows and reports meanwhile. None is inserted into the
// text.

import { placeInWords, TokenMeter, writingInWords } from "./status.js";

/** @typedef {import("../api/model.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").AlternativesOptions} AlternativesOptions */

/**
 * Resolves to the results.
 * @param {TokenFormer} model
 * @param {string | Uint32Array} input
 * @param {AlternativesOptions} options
 * @param {object} element
 * @param {import("./view.js").ElementView} element.view
 * @param {() => boolean} element.isCurrent whether the view shows this writing
 * @param {(chunk: import("../../tokenformer.js").AlternativeChunk) => void} element.onChunk
 */
export async function writeSeveral(model, input, options, { view, isCurrent, onChunk }) {
  const meter = new TokenMeter();
  const place = placeInWords(model.info);
  const inWords = () => writingInWords(meter.count, meter.tokensPerSecond, null, place);
  if (isCurrent()) view.showWriting();
  const chunks = model.alternatives(input, options);
  for (;;) {
    const { done, value } = await chunks.next();
    if (done) {
      if (isCurrent()) view.showIdle(inWords());
      return value;
    }
    meter.add();
    if (!isCurrent()) continue; // nobody looks at these any more
    view.say(inWords);
    onChunk(value);
  }
}
