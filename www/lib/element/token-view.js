// The text as tokens: each shaded by how unlikely it was, with the alternatives that it was chosen from.

import { make } from "./dom.js";
import { cardOf } from "./token-card.js";
import { itemOf } from "./text-tokens.js";
import { percent, spoken, surprise } from "./token-words.js";

/** @typedef {import("./manuscript.js").Piece} Piece */
/** @typedef {import("./text-tokens.js").Item} Item */
/** A token to continue with. @typedef {import("../../tokenformer.js").Chunk} Alternative */

/** How many tokens the arrow keys move by. @type {Record<string, number>} */
const STEPS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };
/** Gap between a token and its card. */
const CARD_GAP = 2;
/** Window sizes in which the card is a sheet. */
const SMALL = "(max-width: 600px)";

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
    "How unlikely each token was for the model: expected ",
    ...[0, 1, 2, 3, 4].map(shadeOfLegend),
    " surprising. Yours have this ink, ",
    make("span", { className: "written", text: "the model’s this one" }),
    ". Choose one to see what else was likely.",
  );
  #rows = make("div", { className: "card-rows" });
  #close = make("button", { type: "button", className: "close", ariaLabel: "Close", text: "×" });
  // A press on the card beside its buttons keeps the focus in it.
  #card = make(
    "div",
    { part: "card", className: "card", id: "card", hidden: true, tabIndex: -1 },
    this.#close,
    this.#rows,
  );
  #note = make("p", {
    className: "tokens-note",
    hidden: true,
    text: "Text without lines between its tokens waits to be read by the model, which must be loaded for that.",
  });
  #none = make("p", {
    className: "tokens-none",
    hidden: true,
    text: "Tokens are the pieces in which the model reads and writes. They appear once it is loaded, in your text, too, each shaded by how unlikely it was.",
  });
  #node = make("div", { className: "token-view" }, this.#list, this.#none, this.#legend, this.#note, this.#card);
  /** @type {readonly Item[]} */
  #items = [];
  #chosen = -1;
  /** Where the arrow keys start from. */
  #at = -1;
  /** The focus returns to a token whose card must not open again. */
  #isLeaving = false;
  #onChoose;
  #onLook;
  #linkTo;

  /**
   * @param {object} actions
   * @param {(item: Item, alternative: Alternative) => void} actions.onChoose continues with another token instead of that one
   * @param {(index: number) => void} [actions.onLook] called for a token whose alternatives are unknown
   * @param {(at: number) => { href: string | URL, label: string } | null} [actions.linkTo] a page that explains the word at a text position
   */
  constructor({ onChoose, onLook = () => {}, linkTo = () => null }) {
    this.#onChoose = onChoose;
    this.#onLook = onLook;
    this.#linkTo = linkTo;
    this.#close.addEventListener("click", () => this.#leaveCard());
    // Not pointerover, which also fires when a closing card uncovers a token under a resting mouse.
    this.#list.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.#open(event.target));
    this.#list.addEventListener("click", (event) => this.#open(event.target));
    this.#list.addEventListener("focusin", (event) => this.#open(event.target));
    this.#node.addEventListener("pointerleave", () => this.#node.contains(activeIn(this.#node)) || this.close());
    this.#node.addEventListener(
      "focusout",
      (event) => this.#node.contains(/** @type {Node | null} */ (event.relatedTarget)) || this.close(),
    );
    this.#list.addEventListener("scroll", () => this.#isSheet || this.close(), { passive: true });
    // The card must not stay outside a window that was narrowed or rotated.
    if (globalThis.ResizeObserver) new ResizeObserver(() => this.#placeAgain()).observe(this.#node);
    this.#node.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (event.key === "Escape" && !this.#card.hidden) this.#leaveCard();
      else if (step && !this.#card.contains(/** @type {Node | null} */ (event.target))) this.#move(step);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  get node() {
    return this.#node;
  }

  /** Focuses the token that the arrow keys start from; false if there is none. @param {FocusOptions} [options] */
  focus(options) {
    const token = /** @type {HTMLElement | null} */ (this.#list.querySelector('[tabindex="0"]'));
    token?.focus(options);
    return Boolean(token);
  }

  /** The selected token, as an index of the items; -1: none. */
  get chosen() {
    return this.#chosen;
  }

  /** Shows another text. @param {readonly Piece[]} pieces */
  show(pieces) {
    this.#showAnew(pieces.map(itemOf));
  }

  /** The same text with more of its tokens. Tokens that are already shown stay, and so does the focus. @param {readonly Item[]} items */
  showItems(items) {
    const before = this.#items;
    const spans = Array.from(this.#list.children);
    const focused = activeIn(this.#node);
    const isFocused = focused !== null && this.#list.contains(focused);
    const kept = alike(before, items);
    const chosen = this.#chosen < 0 ? -1 : kept.indexOf(this.#chosen);
    if (chosen < 0) this.close();
    this.#items = items;
    this.#chosen = chosen;
    if (this.#at >= 0) this.#at = kept.indexOf(this.#at);
    let next = 0;
    for (const [index, item] of items.entries()) {
      const old = kept[index];
      if (old < 0) {
        this.#list.insertBefore(tokenSpan(item, index), spans[next] ?? null);
        continue;
      }
      while (next < old) spans[next++].remove();
      spans[next++].setAttribute("data-index", String(index));
      this.update(index);
    }
    while (next < spans.length) spans[next++].remove();
    if (!this.#list.querySelector('[tabindex="0"]'))
      this.#list.children[items.findIndex(({ token }) => token)]?.setAttribute("tabindex", "0");
    this.#explain();
    if (isFocused && activeIn(this.#node) !== focused) this.#list.focus({ preventScroll: true });
  }

  /** @param {readonly Item[]} items */
  #showAnew(items) {
    // The keyboard focus stays, although all tokens are new.
    const focused = activeIn(this.#node);
    const isFocused = focused !== null && this.#node.contains(focused);
    this.close();
    this.#items = items;
    this.#list.replaceChildren(...items.map(tokenSpan));
    this.#list.children[items.findIndex(({ token }) => token)]?.setAttribute("tabindex", "0");
    this.#explain();
    if (isFocused) this.#list.focus({ preventScroll: true });
  }

  /** More is known about a token. @param {number} index */
  update(index) {
    const span = /** @type {HTMLElement | undefined} */ (this.#list.children[index]);
    if (!span || !this.#items[index]?.token) return;
    shade(span, this.#items[index]);
    if (index === this.#chosen) this.#fill(span);
  }

  /** Explains the shades, or what will appear here if nothing does yet. */
  #explain() {
    const hasTokens = this.#items.some(({ token }) => token);
    this.#legend.hidden = !hasTokens;
    this.#none.hidden = hasTokens;
    this.#note.hidden = !hasTokens || this.#items.every(({ token, text }) => token || text.trim() === "");
  }

  /** Adds a token that was just generated. @param {Piece} piece @param {number} index among the text's pieces */
  append(piece, index) {
    const first = !this.#items.some(({ token }) => token);
    const item = itemOf(piece, index);
    this.#items = [...this.#items, item];
    const span = tokenSpan(item, this.#items.length - 1);
    if (first) span.setAttribute("tabindex", "0");
    this.#list.append(span);
    if (first) this.#explain();
  }

  close() {
    if (this.#isSheet) this.#card.removeAttribute("popover");
    this.#card.hidden = true;
    this.#list.children[this.#chosen]?.removeAttribute("aria-describedby");
    this.#chosen = -1;
  }

  /** Returns the focus to the token. */
  #leaveCard() {
    const token = /** @type {HTMLElement | undefined} */ (this.#list.children[this.#chosen]);
    this.close();
    this.#isLeaving = true;
    token?.focus();
    this.#isLeaving = false;
  }

  /** On a small screen the card is a sheet at the lower edge, on top of everything else. */
  get #isSheet() {
    return this.#card.hasAttribute("popover");
  }

  /** Moves to the next token in a direction, skipping the visitor's text. @param {number} step */
  #move(step) {
    const direction = Math.sign(step);
    let index = this.#chosen < 0 ? this.#at : this.#chosen;
    for (let left = Math.abs(step); left > 0; left--) {
      let next = index + direction;
      while (this.#items[next] && !this.#items[next].token) next += direction;
      if (!this.#items[next]) break;
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
    if (this.#isLeaving || !this.#items[index]?.token || index === this.#chosen) return;
    this.close();
    this.#chosen = this.#at = index;
    if (globalThis.matchMedia?.(SMALL).matches) this.#card.setAttribute("popover", "manual");
    this.#card.hidden = false;
    if (this.#isSheet) this.#card.showPopover?.();
    target.setAttribute("aria-describedby", "card");
    this.#fill(target);
  }

  /** Opens the card of the selected token. @param {HTMLElement} target */
  #fill(target) {
    const index = this.#chosen;
    const item = this.#items[index];
    const active = activeIn(this.#node);
    const wasIn = active !== null && this.#rows.contains(active);
    const at = this.#items.slice(0, index).reduce((sum, { text }) => sum + text.length, 0);
    const link = at > 0 ? this.#linkTo(at) : null; // nothing stands before the first, so nothing explains it
    this.#rows.replaceChildren(...cardOf(item, (alternative) => this.#onChoose(this.#items[index], alternative), link));
    if (wasIn) this.#card.focus({ preventScroll: true });
    this.#card.setAttribute("role", this.#isSheet ? "dialog" : "group");
    this.#card.setAttribute("aria-label", "What else was likely here");
    if (item.token?.logprob !== null && !item.token?.topLogprobs) this.#onLook(index);
    this.#place(target);
  }

  #placeAgain() {
    const target = /** @type {HTMLElement | undefined} */ (this.#list.children[this.#chosen]);
    if (target && !this.#card.hidden && !this.#isSheet) this.#place(target);
  }

  /** Places the card under the token, within the view's width, or above it if it does not fit in the window below. @param {HTMLElement} target */
  #place(target) {
    const at = target.getClientRects()[0];
    const frame = this.#node.getBoundingClientRect();
    if (!at) return;
    const { offsetWidth: width, offsetHeight: height, style } = this.#card;
    if (this.#isSheet) {
      style.left = style.top = "";
      // The sheet must not cover its token.
      const lowest = innerHeight - height - 2 * at.height;
      if (at.top < 0 || at.bottom > lowest) scrollBy({ top: at.bottom - lowest, behavior: "instant" });
      return;
    }
    style.left = `${Math.max(0, Math.min(at.left - frame.left, frame.width - width))}px`;
    const fitsBelow = at.bottom + height + CARD_GAP <= innerHeight;
    const fitsAbove = at.top - height - CARD_GAP >= 0;
    const top = fitsBelow || !fitsAbove ? at.bottom + CARD_GAP : at.top - height - CARD_GAP;
    style.top = `${top - frame.top}px`;
    if (!fitsBelow && !fitsAbove) this.#card.scrollIntoView?.({ block: "nearest", behavior: "instant" });
  }
}

/**
 * For each item the index of the unchanged item at the same text position before; -1: none.
 * @param {readonly Item[]} before @param {readonly Item[]} items @returns {number[]}
 */
function alike(before, items) {
  let [old, oldAt, at] = [0, 0, 0];
  return items.map(({ text, token }) => {
    while (old < before.length && (oldAt < at || (oldAt === at && before[old].text === "" && text !== "")))
      oldAt += before[old++].text.length;
    const one = before[old];
    const isAlike = one && oldAt === at && one.text === text && !one.token === !token;
    at += text.length;
    if (!isAlike) return -1;
    oldAt += text.length;
    return old++;
  });
}

/** @param {Item} item @param {number} index */
function tokenSpan(item, index) {
  const { text, isTyped, token } = item;
  const ink = isTyped ? "own" : "written";
  if (!token) return make("span", { className: ink, text });
  const span = make("span", {
    part: "token",
    className: `token ${ink}`,
    text: text === "" ? "·" : text.replace(/\n/g, "⏎\n"),
    role: "button",
  });
  span.setAttribute("tabindex", "-1");
  span.setAttribute("data-index", String(index));
  shade(span, item);
  return span;
}

/** @param {HTMLElement} span @param {Item} item */
function shade(span, { text, token }) {
  const logprob = token?.logprob ?? undefined;
  span.setAttribute("data-surprise", String(surprise(logprob)));
  span.setAttribute("aria-label", logprob === undefined ? spoken(text) : `${spoken(text)}, ${percent(logprob)}`);
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
