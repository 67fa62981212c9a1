// The plot of every token's surprisal. Drawn as SVG, with classes, so that the page's colours and dark mode apply.
// Where several tokens share a column of pixels, a shade covers the range from minimum to maximum.

import { make } from "../../lib/element/dom.js";
import { byId } from "../elements.js";
import { axes, bands, dots, Frame, HEIGHT, runningMean, scaleOf, setAttributes, svg } from "./plot-shapes.js";
import { bitsInWords, meanWidth, mostSurprising, startOf, sums, textBefore, visible } from "./series.js";

/** @typedef {import("./series.js").Layout} Layout */

/** Pixels per token from which each token has its own dot. */
const DOT_PX = 1;
const FEWEST_SHOWN = 8;
const CHARACTERS_BEFORE = 160;
/** A pointer that moves less than this is not dragging. */
const DRAG_PX = 6;

export class Plot {
  #node;
  /** @type {Layout} */
  #layout = { length: 0, texts: [], starts: [], series: [] };
  /** What is drawn: the series, or their differences from one of them. @type {import("./plot-shapes.js").Drawn[]} */
  #drawn = [];
  #isDifference = false;
  #range = { from: 0, to: 0 };
  #at = 0;
  #width = 0;
  #scale = { least: 0, greatest: 1, step: 1 };
  #cursor = svg("line", { class: "cursor" });
  #selection = svg("rect", { class: "selection" });
  /** Where a drag began; null if there is none. @type {number | null} */
  #dragFrom = null;

  /** @param {HTMLElement} node */
  constructor(node) {
    this.#node = node;
    new ResizeObserver(([{ contentRect }]) => {
      if (Math.round(contentRect.width) === this.#width) return;
      this.#width = Math.round(contentRect.width);
      this.#draw();
    }).observe(node);
    node.addEventListener("keydown", (event) => this.#onKey(event));
    node.addEventListener("pointerdown", (event) => this.#onDown(event));
    node.addEventListener("pointermove", (event) => this.#onMove(event));
    node.addEventListener("pointerup", (event) => this.#onUp(event));
    node.addEventListener("pointercancel", () => this.#endDrag());
    byId("zoom-in").addEventListener("click", () => this.#zoom(0.25));
    byId("zoom-out").addEventListener("click", () => this.#zoom(4));
    byId("zoom-all").addEventListener("click", () => this.#show(0, this.#layout.length));
  }

  /**
   * `reference`: index of the series that the others are compared with, or null to show the bits themselves.
   * @param {Layout} layout
   * @param {number | null} reference
   */
  show(layout, reference = null) {
    this.#isDifference = reference !== null;
    const isOther = layout.length !== this.#layout.length;
    this.#layout = layout;
    const base = reference === null ? null : layout.series[reference].bits;
    this.#drawn = layout.series.map(({ bits }, i) => {
      const values = base ? bits.map((value, k) => value - base[k]) : bits;
      return { values, sums: sums(values), isHidden: i === reference };
    });
    this.#scale = scaleOf(this.#drawn);
    if (isOther) {
      this.#range = { from: 0, to: layout.length };
      this.#at = mostSurprising(layout, 1)[0] ?? 0;
    }
    this.#draw();
    this.#moveTo(this.#at);
  }

  /** Selects a token, and scrolls to it if it lies outside. @param {number} index */
  goTo(index) {
    this.#moveTo(index);
    this.#node.focus();
  }

  get #frame() {
    return new Frame(this.#range, this.#scale, this.#width);
  }

  #draw() {
    const { from, to } = this.#range;
    const { length } = this.#layout;
    if (this.#width === 0 || length === 0) return;
    const frame = this.#frame;
    const hasDots = frame.perToken >= DOT_PX;
    const width = meanWidth(to - from);
    const shown = this.#drawn.map((drawn, i) => ({ ...drawn, i })).filter(({ isHidden }) => !isHidden);
    const shapes = hasDots
      ? shown.map((drawn) => dots(frame, drawn, this.#drawn.length))
      : bands(frame, shown, this.#isDifference);
    const means = shown.map((drawn) => runningMean(frame, drawn, width));
    this.#node.replaceChildren(
      svg(
        "svg",
        {
          width: this.#width,
          height: HEIGHT,
          viewBox: `0 0 ${this.#width} ${HEIGHT}`,
          "aria-hidden": "true",
          focusable: "false",
        },
        ...axes(frame, this.#layout.starts),
        ...shapes,
        ...means,
        this.#selection,
        this.#cursor,
      ),
    );
    setAttributes(this.#selection, { width: 0 });
    this.#placeCursor();
    byId("zoom-in", HTMLButtonElement).disabled = to - from <= FEWEST_SHOWN;
    for (const id of ["zoom-out", "zoom-all"]) byId(id, HTMLButtonElement).disabled = to - from >= length;
    byId("plot-range").textContent =
      `Tokens ${(from + 1).toLocaleString("en")} to ${to.toLocaleString("en")}${to - from < length ? ` of ${length.toLocaleString("en")}` : ""}`;
    byId("plot-note").textContent =
      `Lines: mean of the ${width} tokens around. ${hasDots ? "Dots: single tokens." : "Shades: from the least to the greatest token of each column."}`;
  }

  /** Zooms by a factor; the token stays where it is. @param {number} by */
  #zoom(by) {
    const { from, to } = this.#range;
    const shown = Math.min(this.#layout.length, Math.max(FEWEST_SHOWN, Math.round((to - from) * by)));
    const share = (this.#at - from) / (to - from);
    this.#show(Math.round(this.#at - share * shown), shown);
  }

  /** @param {number} from @param {number} shown how many */
  #show(from, shown) {
    const begin = Math.max(0, Math.min(from, this.#layout.length - shown));
    this.#range = { from: begin, to: begin + shown };
    this.#at = Math.max(begin, Math.min(this.#at, begin + shown - 1));
    this.#draw();
    this.#moveTo(this.#at);
  }

  /** @param {number} index */
  #moveTo(index) {
    const { length } = this.#layout;
    if (length === 0) return;
    this.#at = Math.max(0, Math.min(index, length - 1));
    const { from, to } = this.#range;
    if (this.#at < from || this.#at >= to) {
      const shown = to - from;
      const begin = Math.max(0, Math.min(this.#at - (shown >> 1), length - shown));
      this.#range = { from: begin, to: begin + shown };
      this.#draw();
    }
    this.#placeCursor();
    this.#tell();
  }

  #placeCursor() {
    const frame = this.#frame;
    const x = frame.x(this.#at);
    setAttributes(this.#cursor, { x1: x, x2: x, y1: frame.top, y2: frame.bottom });
  }

  #tell() {
    const layout = this.#layout;
    const text = visible(layout.texts[this.#at]);
    const place = `Token ${(this.#at + 1).toLocaleString("en")} of ${layout.length.toLocaleString("en")}`;
    const told = layout.series.map(({ label, bits }) => [label, bitsInWords(bits[this.#at])]);
    setAttributes(this.#node, {
      "aria-valuemin": 1,
      "aria-valuemax": layout.length,
      "aria-valuenow": this.#at + 1,
      "aria-valuetext": `${place}: “${text.trim()}”, ${told.map(([label, words]) => `${label} ${words}`).join(", ")}`,
    });
    const { label } = startOf(layout, this.#at);
    byId("token-card").replaceChildren(
      make("p", { className: "small", text: label ? `${place} · ${label}` : place }),
      make("p", { className: "passage" }, textBefore(layout, this.#at, CHARACTERS_BEFORE), make("mark", { text })),
      make(
        "dl",
        {},
        ...told.map(([label, words], i) =>
          make("div", {}, make("dt", { className: `key series-${i}`, text: label }), make("dd", { text: words })),
        ),
      ),
    );
  }

  /** The token at a position; if several share a column, the most surprising one. @param {number} x */
  #indexAt(x) {
    const { from, to } = this.#range;
    const frame = this.#frame;
    const perPixel = 1 / frame.perToken;
    const at = from + (x - frame.left) * perPixel;
    const [first, last] = perPixel <= 1 ? [at, at] : [at - perPixel / 2, at + perPixel / 2];
    let best = Math.max(from, Math.min(to - 1, Math.floor(first)));
    const values = this.#drawn.find(({ isHidden }) => !isHidden)?.values ?? [];
    for (let i = best; i <= Math.min(to - 1, Math.floor(last)); i++) if (!(values[best] >= values[i])) best = i;
    return best;
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const leap = Math.max(1, Math.round((this.#range.to - this.#range.from) / 10));
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowLeft: () => this.#moveTo(this.#at - 1),
      ArrowDown: () => this.#moveTo(this.#at - 1),
      ArrowRight: () => this.#moveTo(this.#at + 1),
      ArrowUp: () => this.#moveTo(this.#at + 1),
      PageDown: () => this.#moveTo(this.#at - leap),
      PageUp: () => this.#moveTo(this.#at + leap),
      Home: () => this.#moveTo(0),
      End: () => this.#moveTo(this.#layout.length - 1),
      "+": () => this.#zoom(0.25),
      "=": () => this.#zoom(0.25),
      "-": () => this.#zoom(4),
      "−": () => this.#zoom(4),
      0: () => this.#show(0, this.#layout.length),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  }

  /** @param {PointerEvent} event */
  #onDown(event) {
    if (event.button !== 0) return;
    this.#dragFrom = this.#xOf(event);
    if (event.pointerType === "mouse") this.#node.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #onMove(event) {
    const x = this.#xOf(event);
    if (this.#dragFrom === null) {
      if (event.pointerType === "mouse") this.#moveTo(this.#indexAt(x));
      return;
    }
    if (Math.abs(x - this.#dragFrom) < DRAG_PX) return;
    const frame = this.#frame;
    const [left, right] = [this.#dragFrom, x].sort((a, b) => a - b).map((at) => frame.inside(at));
    setAttributes(this.#selection, { x: left, y: frame.top, width: right - left, height: frame.height });
  }

  /** @param {PointerEvent} event */
  #onUp(event) {
    if (this.#dragFrom === null) return;
    const x = this.#xOf(event);
    const [left, right] = [this.#dragFrom, x].sort((a, b) => a - b);
    this.#endDrag();
    if (right - left < DRAG_PX) return this.#moveTo(this.#indexAt(x));
    const frame = this.#frame;
    const [first, end] = [frame.boundaryAt(left), frame.boundaryAt(right)];
    this.#show(first, Math.min(this.#layout.length, Math.max(FEWEST_SHOWN, end - first)));
  }

  #endDrag() {
    this.#dragFrom = null;
    setAttributes(this.#selection, { width: 0 });
  }

  /** @param {PointerEvent} event */
  #xOf(event) {
    return event.clientX - this.#node.getBoundingClientRect().left;
  }
}
