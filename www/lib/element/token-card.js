// The card of a token: the model's alternatives for it, with probabilities.

import { make } from "./dom.js";
import { percent, quoted, spoken, visible } from "./token-words.js";

/** @typedef {import("./text-tokens.js").Item} Item */
/** @typedef {import("../../tokenformer.js").TopLogprob} TopLogprob */
/** A token to continue with. @typedef {import("../../tokenformer.js").Chunk} Alternative */

/** @param {Item} item one with a token @param {(alternative: Alternative) => void} onChoose @param {{ href: string | URL, label: string } | null} [link] where more is told @returns {HTMLElement[]} */
export function cardOf(item, onChoose, link = null) {
  const { text } = item;
  const token = /** @type {NonNullable<Item["token"]>} */ (item.token);
  const { tokenId, logprob, topLogprobs = [] } = token;
  const words = wordsFor(item);
  const told = words === "" ? [] : [make("p", { className: "card-note", text: words })];
  if (link) told.push(make("p", { className: "card-note" }, make("a", { href: String(link.href), text: link.label })));
  if (typeof logprob !== "number" || topLogprobs.length === 0) return told;
  const isAmong = topLogprobs.some((one) => one.tokenId === tokenId);
  const all = isAmong ? topLogprobs : [...topLogprobs, { tokenId, text, logprob }];
  const rows = all.map((alternative) => {
    const bar = make("span", { className: "share" });
    bar.style?.setProperty("--share", String(Math.exp(alternative.logprob)));
    const row = make(
      "button",
      { type: "button", className: "alternative", title: "Continue from here with this token" },
      make("span", { className: "token-text", text: visible(alternative.text), ariaHidden: "true" }),
      make("span", { className: "unseen", text: spoken(alternative.text) }),
      bar,
      make("span", { text: percent(alternative.logprob) }),
    );
    if (alternative.tokenId === tokenId) row.setAttribute("aria-current", "true");
    row.addEventListener("click", () => onChoose({ ...alternative, topLogprobs }));
    return make("li", {}, row);
  });
  return [...told, make("ol", { ariaLabel: "Most likely tokens here" }, ...rows)];
}

/** In a sentence, where its sign must not start a line. @param {number} logprob */
const share = (logprob) => percent(logprob).replace(/ /g, "\u00a0");

/** What to say about a token, above its alternatives. @param {Item} item */
function wordsFor({ text, isTyped, token }) {
  const { tokenId, logprob, topLogprobs = [] } = /** @type {NonNullable<Item["token"]>} */ (token);
  const [likeliest] = topLogprobs;
  const [own, expected] = quoted(text, likeliest?.text ?? text);
  const who = isTyped ? "You" : "The model";
  if (logprob === null) return `The text begins here: the model expected nothing before ${own}.`;
  const wrote = `${who} wrote ${own}${logprob === undefined ? "" : ` (${share(logprob)})`}`;
  if (!likeliest) return `${wrote}. What else was likely comes in a moment.`;
  if (!isTyped) return `${wrote}.`;
  const isExpected = likeliest.tokenId === tokenId;
  return isExpected
    ? `${wrote}, as the model expected.`
    : `The model expected ${expected} (${share(likeliest.logprob)}). ${wrote}.`;
}
