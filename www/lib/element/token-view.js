// The text as tokens: each shaded by how unlikely it was, with the alternatives that it was chosen from.

import { make } from "./dom.js";

/** @typedef {import("./manuscript.js").Piece} Piece */
/** A token to write on with. @typedef {import("../../tokenformer.js").Chunk} Alternative */

/** "37 %", "0.4 %", "< 0.1 %". @param {number} logprob */
export function percent(logprob) {
  const value = Math.exp(logprob) * 100;
  if (value < 0.1) return "< 0.1 %";
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** A token's text with what cannot be seen made visible. @param {string} text */
export function visible(text) {
  return text === ""
    ? "(part of a character)"
    : text
        .replace(/\n/g, "⏎")
        .replace(/\t/g, "⇥")
        .replace(/^ +| +$/g, (s) => "␣".repeat(s.length));
}

/** A token's text as a screen reader shall say it: not the signs for what cannot be seen. @param {string} text */
export function spoken(text) {
  if (text === "") return "part of a character";
  if (text.trim() !== "") return text.trim();
  /** @type {Record<string, string>} */
  const words = { "\n": "new line", "\t": "tab" };
  return words[text[0]] ?? (text.length > 1 ? `${text.length} spaces` : "space");
}

/** Shade of a token, 0 (expected) to 4 (a surprise). @param {number | undefined} logprob */
export function surprise(logprob) {
  return logprob === undefined ? 0 : Math.max(0, Math.min(4, Math.floor(-logprob / Math.log(4))));
}

/** How many tokens the arrow keys go on. @type {Record<string, number>} */
const STEPS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };
/** Between a token and its card. */
const CARD_GAP = 2;

export class TokenView {
  #list = make("div", {
    part: "tokens",
    className: "tokens",
    role: "group",
    dir: "auto",
    tabIndex: -1,
    ariaLabel: "Tokens: arrow keys move from one to the next",
  });
  #legend = make(
    "p",
    { className: "legend", hidden: true },
    "How unlikely each token was: expected ",
    ...[0, 1, 2, 3, 4].map(shadeOfLegend),
    " surprising. Choose one to see its alternatives.",
  );
  #card = make("div", { part: "card", className: "card", id: "card", hidden: true });
  #note = make("p", {
    className: "tokens-note",
    hidden: true,
    text: "Passages that were kept from an earlier visit, or edited, are shown without their tokens.",
  });
  #none = make("p", {
    className: "tokens-none",
    hidden: true,
    text: "Tokens are the pieces in which the model writes. There are none yet: what it writes from now on shows them, each shaded by how unlikely it was, with its alternatives.",
  });
  #node = make("div", { className: "token-view" }, this.#list, this.#none, this.#legend, this.#note, this.#card);
  /** @type {readonly Piece[]} */
  #pieces = [];
  #chosen = -1;
  /** Where the arrow keys go on from. */
  #at = -1;
  #onChoose;

  /** @param {{ onChoose: (index: number, alternative: Alternative) => void }} actions `onChoose`: write on with another token */
  constructor({ onChoose }) {
    this.#onChoose = onChoose;
    // Not pointerover, which also comes when a card that closes uncovers a token under a mouse at rest.
    this.#list.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.#open(event.target));
    this.#list.addEventListener("click", (event) => this.#open(event.target));
    this.#list.addEventListener("focusin", (event) => this.#open(event.target));
    this.#node.addEventListener("pointerleave", () => this.#node.contains(activeIn(this.#node)) || this.close());
    this.#node.addEventListener(
      "focusout",
      (event) => this.#node.contains(/** @type {Node | null} */ (event.relatedTarget)) || this.close(),
    );
    this.#list.addEventListener("scroll", () => this.close(), { passive: true });
    this.#node.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (event.key === "Escape" && !this.#card.hidden) {
        /** @type {HTMLElement | undefined} */ (this.#list.children[this.#chosen])?.focus();
        this.close();
      } else if (step && !this.#card.contains(/** @type {Node | null} */ (event.target))) this.#move(step);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  get node() {
    return this.#node;
  }

  /** Puts the keyboard on the token that the arrow keys begin at; false without one. @param {FocusOptions} [options] */
  focus(options) {
    const token = /** @type {HTMLElement | null} */ (this.#list.querySelector('[tabindex="0"]'));
    token?.focus(options);
    return Boolean(token);
  }

  /** @param {Piece[]} pieces */
  show(pieces) {
    // Who works with the keyboard stays where they are, though everything is new.
    const focused = activeIn(this.#node);
    const isFocused = focused !== null && this.#node.contains(focused);
    this.close();
    this.#pieces = pieces;
    this.#list.replaceChildren(...pieces.map((piece, index) => tokenSpan(piece, index)));
    this.#note.hidden = !pieces.some(({ run, token }) => run > 0 && !token);
    this.#list.children[pieces.findIndex((piece) => piece.token)]?.setAttribute("tabindex", "0");
    this.#explain();
    if (isFocused) this.#list.focus({ preventScroll: true });
  }

  /** What the shades mean, or what will be here where nothing is yet. */
  #explain() {
    const hasTokens = this.#pieces.some(({ token }) => token);
    this.#legend.hidden = !hasTokens;
    this.#none.hidden = hasTokens || !this.#note.hidden;
  }

  /** A token that was just written. @param {Piece} piece */
  append(piece) {
    const first = !this.#pieces.some(({ token }) => token);
    this.#pieces = [...this.#pieces, piece];
    const span = tokenSpan(piece, this.#pieces.length - 1);
    if (first) span.setAttribute("tabindex", "0");
    this.#list.append(span);
    if (first) this.#explain();
  }

  close() {
    this.#card.hidden = true;
    this.#list.children[this.#chosen]?.removeAttribute("aria-describedby");
    this.#chosen = -1;
  }

  /** To the next token that way, over what the visitor wrote. @param {number} step */
  #move(step) {
    const direction = Math.sign(step);
    let index = this.#chosen < 0 ? this.#at : this.#chosen;
    for (let left = Math.abs(step); left > 0; left--) {
      let next = index + direction;
      while (this.#pieces[next] && !this.#pieces[next].token) next += direction;
      if (!this.#pieces[next]) break;
      index = next;
    }
    const span = /** @type {HTMLElement | undefined} */ (this.#list.children[index]);
    if (!span) return;
    for (const other of this.#list.querySelectorAll('[tabindex="0"]')) other.setAttribute("tabindex", "-1");
    span.setAttribute("tabindex", "0");
    span.focus();
  }

  /** @param {EventTarget | null} at */
  #open(at) {
    const target = /** @type {HTMLElement} */ (at);
    const index = Number(target.dataset?.index ?? -1);
    const token = this.#pieces[index]?.token;
    if (!token || index === this.#chosen) return;
    this.close();
    this.#chosen = this.#at = index;
    this.#card.replaceChildren(...this.#cardOf(this.#pieces[index].text, token, index));
    this.#card.hidden = false;
    target.setAttribute("aria-describedby", "card");
    this.#place(target);
  }

  /** @param {string} text @param {NonNullable<Piece["token"]>} token @param {number} index */
  #cardOf(text, token, index) {
    const { logprob } = token;
    if (logprob === undefined) {
      return [
        make("p", {
          className: "card-note",
          text: `${visible(text)}: written without its alternatives. What is written from now on has them.`,
        }),
      ];
    }
    const likeliest = token.topLogprobs ?? [];
    const isAmong = likeliest.some(({ tokenId }) => tokenId === token.tokenId);
    const all = isAmong ? likeliest : [...likeliest, { ...token, text, logprob }];
    const rows = all.map((alternative) => {
      const share = make("span", { className: "share" });
      share.style?.setProperty("--share", String(Math.exp(alternative.logprob)));
      const row = make(
        "button",
        { type: "button", className: "alternative", title: "Write on from here with this token" },
        make("span", { className: "token-text", text: visible(alternative.text), ariaHidden: "true" }),
        make("span", { className: "unseen", text: spoken(alternative.text) }),
        share,
        make("span", { text: percent(alternative.logprob) }),
      );
      if (alternative.tokenId === token.tokenId) row.setAttribute("aria-current", "true");
      row.addEventListener("click", () => this.#onChoose(index, { ...alternative, topLogprobs: likeliest }));
      return make("li", {}, row);
    });
    return [make("ol", { ariaLabel: "Likeliest tokens here" }, ...rows)];
  }

  /** Under the token, inside the view's width; above it where the window ends before the card does. @param {HTMLElement} target */
  #place(target) {
    const at = target.getClientRects()[0];
    const frame = this.#node.getBoundingClientRect();
    if (!at) return;
    const { offsetWidth: width, offsetHeight: height, style } = this.#card;
    style.left = `${Math.max(0, Math.min(at.left - frame.left, frame.width - width))}px`;
    const fitsBelow = at.bottom + height + CARD_GAP <= innerHeight;
    const fitsAbove = at.top - height - CARD_GAP >= 0;
    const top = fitsBelow || !fitsAbove ? at.bottom + CARD_GAP : at.top - height - CARD_GAP;
    style.top = `${top - frame.top}px`;
    if (!fitsBelow && !fitsAbove) this.#card.scrollIntoView?.({ block: "nearest", behavior: "instant" });
  }
}

/** @param {Piece} piece @param {number} index */
function tokenSpan({ text, run, token }, index) {
  if (!token) return make("span", { className: run > 0 ? "written" : "own", text });
  const { logprob } = token;
  const span = make("span", {
    part: "token",
    className: "token",
    text: text === "" ? "·" : text.replace(/\n/g, "⏎\n"),
    role: "button",
  });
  span.setAttribute("tabindex", "-1");
  span.setAttribute("data-index", String(index));
  span.setAttribute("data-surprise", String(surprise(token.logprob)));
  span.setAttribute("aria-label", logprob === undefined ? spoken(text) : `${spoken(text)}, ${percent(logprob)}`);
  return span;
}

/** @param {number} shade */
function shadeOfLegend(shade) {
  const swatch = make("span", { className: "shade", ariaHidden: "true" });
  swatch.setAttribute("data-surprise", String(shade));
  return swatch;
}

/** @param {Node} node */
function activeIn(node) {
  return /** @type {Partial<ShadowRoot>} */ (node.getRootNode()).activeElement ?? null;
}
