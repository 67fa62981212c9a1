// The cards of several continuations: a button with a number, and the text in the model's colour. One is chosen by its
// button, by a press anywhere on it, or by a swipe to either side.

import { make } from "../lib/element/dom.js";

/** How far a card must be swiped to be chosen, as a fraction of its width. */
const SWIPED = 0.3;
/** A movement beyond this many pixels is not a press. */
const STILL_PX = 10;

/** @typedef {{ index: number, node: HTMLLIElement, text: HTMLElement, button: HTMLButtonElement, shown: string }} Card */

export class Cards {
  #list;
  /** In the order of their numbers. @type {Card[]} */
  #cards = [];
  #onTake;
  #frame = 0;

  /** @param {HTMLElement} list @param {(index: number, event: Event) => void} onTake */
  constructor(list, onTake) {
    this.#list = list;
    this.#onTake = onTake;
  }

  /** @param {number} n */
  open(n) {
    this.#cards = Array.from({ length: n }, (_, i) => this.#card(i));
    this.#list.replaceChildren(...this.#cards.map(({ node }) => node));
    this.#number();
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#cards = [];
    this.#list.replaceChildren();
  }

  /** The index of the card with a number, from 1; -1 if there is none. @param {number} number */
  at(number) {
    return this.#cards[number - 1]?.index ?? -1;
  }

  /** Shows the texts in the next frame. @param {readonly string[]} texts */
  show(texts) {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      for (const card of this.#cards) {
        const text = texts[card.index].replace(/^ +/, "");
        if (text === card.shown) continue;
        if (text.startsWith(card.shown)) card.text.append(text.slice(card.shown.length));
        else card.text.textContent = text;
        card.shown = text;
        card.button.disabled = false;
      }
    });
  }

  /** Reorders the cards and marks the first. @param {readonly number[]} order @param {string} best label for the first */
  sort(order, best) {
    const focused = this.#cards.find(({ button }) => button === document.activeElement);
    this.#cards.sort((a, b) => order.indexOf(a.index) - order.indexOf(b.index));
    this.#list.append(...this.#cards.map(({ node }) => node));
    this.#number();
    this.#cards[0]?.button.after(make("span", { className: "way-best", text: best }));
    focused?.button.focus({ preventScroll: true });
  }

  #number() {
    this.#cards.forEach(({ button }, i) => {
      button.textContent = `Take ${i + 1}`;
    });
  }

  /** @param {number} index @returns {Card} */
  #card(index) {
    const text = make("p", { className: "way-text", dir: "auto", id: `way-${index}` });
    const button = make("button", { type: "button", className: "plain", disabled: true });
    button.setAttribute("aria-describedby", text.id);
    const head = make("div", { className: "way-head" }, button);
    const node = make("li", { className: "way" }, head, text);
    // Selecting text must not choose the card.
    node.addEventListener("click", (event) => {
      if (!button.disabled && (getSelection()?.isCollapsed ?? true)) this.#onTake(index, event);
    });
    this.#takeBySwipe(
      node,
      () => !button.disabled,
      (event) => this.#onTake(index, event),
    );
    return { index, node, text, button, shown: "" };
  }

  /** @param {HTMLElement} node @param {() => boolean} isThere @param {(event: Event) => void} take */
  #takeBySwipe(node, isThere, take) {
    let startX = 0;
    let isDrawn = false;
    const end = () => {
      isDrawn = false;
      node.style.translate = node.style.opacity = "";
    };
    node.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" || !isThere()) return;
      startX = event.clientX;
      isDrawn = true;
    });
    node.addEventListener("pointermove", (event) => {
      const by = event.clientX - startX;
      if (!isDrawn || Math.abs(by) < STILL_PX) return;
      node.style.translate = `${by}px`;
      node.style.opacity = String(1 - Math.min(0.6, Math.abs(by) / node.offsetWidth));
    });
    node.addEventListener("pointerup", (event) => {
      const isTaken = isDrawn && Math.abs(event.clientX - startX) > SWIPED * node.offsetWidth;
      end();
      if (isTaken) take(event);
    });
    node.addEventListener("pointercancel", end);
  }
}
