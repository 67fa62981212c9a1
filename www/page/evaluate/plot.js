// The plot of every token's surprise. Drawn as SVG, by classes, so that the page's colours and its dark half apply. Where
// several tokens share a column of pixels, a shade from the least to the greatest stands for them.

import { make } from "../../lib/element/dom.js";
import {
  bitsInWords,
  envelope,
  meanAround,
  meanWidth,
  mostSurprising,
  startOf,
  sums,
  textBefore,
  visible,
} from "./series.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 260;
const MARGIN = { top: 12, right: 10, bottom: 26, left: 40 };
/** So many pixels each token needs to have a dot of its own, and to have one that is seen well, beside those of other series. */
const DOT_PX = 1;
const LARGE_DOT_PX = 10;
const FEWEST_SHOWN = 8;
const CHARACTERS_BEFORE = 160;
/** A pointer that moves less has not dragged. */
const DRAG_PX = 6;

const byId = (id) => document.getElementById(id);

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export class Plot {
  #node;
  #layout = { length: 0, texts: [], starts: [], series: [] };
  /** What is drawn: the series, or their differences to one of them; each with its sums. */
  #drawn = [];
  #isDifference = false;
  #range = { from: 0, to: 0 };
  #at = 0;
  #width = 0;
  #scale = { least: 0, greatest: 1 };
  #cursor = svg("line", { class: "cursor" });
  #selection = svg("rect", { class: "selection" });
  #dragFrom = null;

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

  /** `reference`: index of the series whose differences to the others are shown, or null for the bits themselves. */
  show(layout, reference = null) {
    this.#isDifference = reference !== null;
    const isOther = layout.length !== this.#layout.length;
    this.#layout = layout;
    const base = layout.series[reference]?.bits;
    this.#drawn = layout.series.map(({ bits }, i) => {
      const values = base ? bits.map((value, k) => value - base[k]) : bits;
      return { values, sums: sums(values), isHidden: i === reference };
    });
    let [least, greatest] = [0, 0];
    for (const { values, isHidden } of this.#drawn) {
      if (isHidden) continue;
      for (const value of values) {
        if (value < least) least = value;
        if (value > greatest) greatest = value;
      }
    }
    const step = tickStep(greatest - least);
    this.#scale = {
      least: Math.floor(least / step) * step,
      greatest: Math.max(step, Math.ceil(greatest / step) * step),
      step,
    };
    if (isOther) {
      this.#range = { from: 0, to: layout.length };
      this.#at = mostSurprising(layout, 1)[0] ?? 0;
    }
    this.#draw();
    this.#moveTo(this.#at);
  }

  /** Shows a token, and moves what is shown if it lies outside. */
  goTo(index) {
    this.#moveTo(index);
    this.#node.focus();
  }

  get #inner() {
    return {
      width: Math.max(1, this.#width - MARGIN.left - MARGIN.right),
      height: HEIGHT - MARGIN.top - MARGIN.bottom,
    };
  }

  #x(index) {
    const { from, to } = this.#range;
    return MARGIN.left + ((index + 0.5 - from) / (to - from)) * this.#inner.width;
  }

  #y(value) {
    const { least, greatest } = this.#scale;
    return MARGIN.top + (1 - (value - least) / (greatest - least)) * this.#inner.height;
  }

  #draw() {
    const { from, to } = this.#range;
    const { length } = this.#layout;
    if (this.#width === 0 || length === 0) return;
    const hasDots = this.#inner.width / (to - from) >= DOT_PX;
    const width = meanWidth(to - from);
    const shown = this.#drawn.map((drawn, i) => ({ ...drawn, i })).filter(({ isHidden }) => !isHidden);
    const shapes = hasDots ? shown.map((drawn) => this.#dots(drawn)) : this.#bands(shown);
    const means = shown.map((drawn) => this.#mean(drawn, width));
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
        ...this.#axes(),
        ...shapes,
        ...means,
        this.#selection,
        this.#cursor,
      ),
    );
    this.#selection.setAttribute("width", 0);
    this.#placeCursor();
    byId("zoom-in").disabled = to - from <= FEWEST_SHOWN;
    byId("zoom-out").disabled = byId("zoom-all").disabled = to - from >= length;
    byId("plot-range").textContent =
      `Tokens ${(from + 1).toLocaleString("en")} to ${to.toLocaleString("en")}${to - from < length ? ` of ${length.toLocaleString("en")}` : ""}`;
    byId("plot-note").textContent =
      `Lines: mean of the ${width} tokens around. ${hasDots ? "Dots: single tokens." : "Shades: from the least to the greatest token of each column."}`;
  }

  #axes() {
    const { from, to } = this.#range;
    const { least, greatest, step } = this.#scale;
    const right = MARGIN.left + this.#inner.width;
    const lines = [];
    for (let tick = least; tick <= greatest + step / 2; tick += step) {
      const value = Math.round(tick / step) * step;
      const y = this.#y(value);
      lines.push(
        svg("line", { class: value === 0 ? "axis" : "grid", x1: MARGIN.left, x2: right, y1: y, y2: y }),
        svg(
          "text",
          { class: "tick", x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" },
          String(Number(value.toFixed(6))).replace("-", "−"),
        ),
      );
    }
    lines.push(svg("text", { class: "tick", x: MARGIN.left + 4, y: MARGIN.top + 4 }, "bits"));
    const stepX = Math.max(1, tickStep(to - from, this.#inner.width / 64));
    for (let tick = Math.ceil((from + 1) / stepX) * stepX; tick <= to; tick += stepX) {
      const x = this.#x(tick - 1);
      if (x > right - 14) break;
      lines.push(svg("text", { class: "tick", x, y: HEIGHT - 8, "text-anchor": "middle" }, tick.toLocaleString("en")));
    }
    const begins = this.#layout.starts.filter(({ at }) => at > from && at < to);
    // More of them would be a hatching.
    if (begins.length <= this.#inner.width / 8) {
      const bottom = MARGIN.top + this.#inner.height;
      for (const { at } of begins)
        lines.push(
          svg("line", { class: "begin", x1: this.#x(at - 0.5), x2: this.#x(at - 0.5), y1: MARGIN.top, y2: bottom }),
        );
    }
    return lines;
  }

  #dots({ values, i }) {
    let d = "";
    const isLarge = this.#inner.width / (this.#range.to - this.#range.from) >= LARGE_DOT_PX;
    const shift = isLarge ? (i - (this.#drawn.length - 1) / 2) * 3 : 0;
    for (let k = this.#range.from; k < this.#range.to; k++) {
      if (!Number.isNaN(values[k])) d += `M${(this.#x(k) + shift).toFixed(1)} ${this.#y(values[k]).toFixed(1)}h0`;
    }
    return svg("path", { class: `dots ${isLarge ? "large " : ""}series-${i}`, d });
  }

  /** Of several precisions the same tokens are surprising, and one shade stands for all; their differences are their own. */
  #bands(shown) {
    const columns = Math.round(this.#inner.width);
    const { from, to } = this.#range;
    const all = shown.map(({ values, i }) => ({ ...envelope(values, from, to, columns), name: `series-${i}` }));
    const isOne = shown.length > 1 && !this.#isDifference;
    const bands = isOne ? [{ ...all.reduce(unite), name: "all" }] : all;
    return bands.map(({ least, greatest, name }) => {
      let d = "";
      for (let x = 0; x < columns; x++) {
        if (Number.isNaN(least[x])) continue;
        const [top, bottom] = [this.#y(greatest[x]), this.#y(least[x])];
        d += `M${MARGIN.left + x + 0.5} ${top.toFixed(1)}V${Math.max(bottom, top + 1).toFixed(1)}`;
      }
      return svg("path", { class: `band ${name}`, d });
    });
  }

  #mean({ sums, i }, width) {
    const { from, to } = this.#range;
    const points = Math.min(to - from, Math.round(this.#inner.width / 2));
    let d = "";
    let isOpen = false;
    for (let k = 0; k < points; k++) {
      const index = from + Math.floor(((k + 0.5) * (to - from)) / points);
      const mean = meanAround(sums, index, width);
      if (!Number.isNaN(mean)) d += `${isOpen ? "L" : "M"}${this.#x(index).toFixed(1)} ${this.#y(mean).toFixed(1)}`;
      isOpen = !Number.isNaN(mean);
    }
    return svg("path", { class: `mean series-${i}`, d });
  }

  /** By how much is shown; the token stays where it is. */
  #zoom(by) {
    const { from, to } = this.#range;
    const shown = Math.min(this.#layout.length, Math.max(FEWEST_SHOWN, Math.round((to - from) * by)));
    const share = (this.#at - from) / (to - from);
    this.#show(Math.round(this.#at - share * shown), shown);
  }

  #show(from, shown) {
    const begin = Math.max(0, Math.min(from, this.#layout.length - shown));
    this.#range = { from: begin, to: begin + shown };
    this.#at = Math.max(begin, Math.min(this.#at, begin + shown - 1));
    this.#draw();
    this.#moveTo(this.#at);
  }

  #moveTo(index) {
    const { length } = this.#layout;
    if (length === 0) return;
    this.#at = Math.max(0, Math.min(index, length - 1));
    const { from, to } = this.#range;
    if (this.#at < from || this.#at >= to) {
      this.#range = { from, to };
      const shown = to - from;
      const begin = Math.max(0, Math.min(this.#at - (shown >> 1), length - shown));
      this.#range = { from: begin, to: begin + shown };
      this.#draw();
    }
    this.#placeCursor();
    this.#tell();
  }

  #placeCursor() {
    const x = this.#x(this.#at);
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: MARGIN.top, y2: MARGIN.top + this.#inner.height }))
      this.#cursor.setAttribute(name, value);
  }

  #tell() {
    const layout = this.#layout;
    const text = visible(layout.texts[this.#at]);
    const place = `Token ${(this.#at + 1).toLocaleString("en")} of ${layout.length.toLocaleString("en")}`;
    const told = layout.series.map(({ label, bits }) => [label, bitsInWords(bits[this.#at])]);
    const node = this.#node;
    for (const [name, value] of [
      ["valuemin", 1],
      ["valuemax", layout.length],
      ["valuenow", this.#at + 1],
    ])
      node.setAttribute(`aria-${name}`, value);
    node.setAttribute(
      "aria-valuetext",
      `${place}: “${text.trim()}”, ${told.map(([label, words]) => `${label} ${words}`).join(", ")}`,
    );
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

  /** The token at a place; where several share a column, the most surprising one of them. */
  #indexAt(x) {
    const { from, to } = this.#range;
    const perPixel = (to - from) / this.#inner.width;
    const at = from + (x - MARGIN.left) * perPixel;
    const [first, last] = perPixel <= 1 ? [at, at] : [at - perPixel / 2, at + perPixel / 2];
    let best = Math.max(from, Math.min(to - 1, Math.floor(first)));
    const values = this.#drawn.find(({ isHidden }) => !isHidden)?.values ?? [];
    for (let i = best; i <= Math.min(to - 1, Math.floor(last)); i++) if (!(values[best] >= values[i])) best = i;
    return best;
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const leap = Math.max(1, Math.round((this.#range.to - this.#range.from) / 10));
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

  #onDown(event) {
    if (event.button !== 0) return;
    this.#dragFrom = this.#xOf(event);
    if (event.pointerType === "mouse") this.#node.setPointerCapture(event.pointerId);
  }

  #onMove(event) {
    const x = this.#xOf(event);
    if (this.#dragFrom === null) {
      if (event.pointerType === "mouse") this.#moveTo(this.#indexAt(x));
      return;
    }
    if (Math.abs(x - this.#dragFrom) < DRAG_PX) return;
    const [left, right] = [this.#dragFrom, x]
      .sort((a, b) => a - b)
      .map((at) => Math.max(MARGIN.left, Math.min(at, MARGIN.left + this.#inner.width)));
    for (const [name, value] of Object.entries({
      x: left,
      y: MARGIN.top,
      width: right - left,
      height: this.#inner.height,
    }))
      this.#selection.setAttribute(name, value);
  }

  #onUp(event) {
    if (this.#dragFrom === null) return;
    const x = this.#xOf(event);
    const [left, right] = [this.#dragFrom, x].sort((a, b) => a - b);
    this.#endDrag();
    if (right - left < DRAG_PX) return this.#moveTo(this.#indexAt(x));
    const { from, to } = this.#range;
    const indexOf = (at) =>
      Math.max(from, Math.min(to, Math.round(from + ((at - MARGIN.left) / this.#inner.width) * (to - from))));
    const shown = Math.min(this.#layout.length, Math.max(FEWEST_SHOWN, indexOf(right) - indexOf(left)));
    this.#show(indexOf(left), shown);
  }

  #endDrag() {
    this.#dragFrom = null;
    this.#selection.setAttribute("width", 0);
  }

  #xOf(event) {
    return event.clientX - this.#node.getBoundingClientRect().left;
  }
}

/** The least and the greatest of both in each column. */
function unite(a, b) {
  const choose = (x, y, pick) =>
    x.map((value, k) => (Number.isNaN(value) ? y[k] : Number.isNaN(y[k]) ? value : pick(value, y[k])));
  return { least: choose(a.least, b.least, Math.min), greatest: choose(a.greatest, b.greatest, Math.max) };
}

/** A step of 1, 2 or 5 times a power of ten that makes at most so many ticks. */
function tickStep(range, ticks = 5) {
  const least = Math.max(range, 1e-6) / Math.max(1, ticks);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.999);
}
