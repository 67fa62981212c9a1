// The shapes of the plot: axes, a dot for each token or a shade for each column, and running means, as SVG.

import { envelope, meanAround } from "./series.js";

/** Tokens `from` up to `to`. @typedef {{ from: number, to: number }} Range */
/** Range in bits from the bottom to the top, with a tick at each `step`. @typedef {{ least: number, greatest: number, step: number }} Scale */
/**
 * A series, or its difference from another: values of the tokens, NaN if missing, and their running sums.
 * @typedef {{ values: Float64Array, sums: import("./series.js").Sums, isHidden: boolean }} Drawn
 */
/** A visible series, with its index among all. @typedef {Drawn & { i: number }} Shown */

const SVG = "http://www.w3.org/2000/svg";
export const HEIGHT = 260;
const MARGIN = { top: 12, right: 10, bottom: 26, left: 40 };
/** Pixels per token from which dots are large, beside those of other series. */
const LARGE_DOT_PX = 10;

/** @param {string} name @param {Record<string, string | number>} attributes @param {(Node | string)[]} children */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** @param {Element} element @param {Record<string, string | number>} attributes */
export function setAttributes(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
}

/** Maps tokens and bits to positions in a plot of a given size. */
export class Frame {
  left = MARGIN.left;
  top = MARGIN.top;

  /** @param {Range} range @param {Scale} scale @param {number} width with the margins */
  constructor(range, scale, width) {
    this.range = range;
    this.scale = scale;
    this.width = Math.max(1, width - MARGIN.left - MARGIN.right);
    this.height = HEIGHT - MARGIN.top - MARGIN.bottom;
    this.right = this.left + this.width;
    this.bottom = this.top + this.height;
  }

  /** @param {number} index of a token: its middle */
  x(index) {
    const { from, to } = this.range;
    return this.left + ((index + 0.5 - from) / (to - from)) * this.width;
  }

  /** @param {number} value in bits */
  y(value) {
    const { least, greatest } = this.scale;
    return this.top + (1 - (value - least) / (greatest - least)) * this.height;
  }

  get perToken() {
    return this.width / (this.range.to - this.range.from);
  }

  /** The nearest position inside the plot. @param {number} x */
  inside(x) {
    return Math.max(this.left, Math.min(x, this.right));
  }

  /** The boundary between tokens that is nearest to a position. @param {number} x */
  boundaryAt(x) {
    const { from, to } = this.range;
    return Math.max(from, Math.min(to, Math.round(from + (x - this.left) / this.perToken)));
  }
}

/** The ticks of bits and tokens, and where documents begin. @param {Frame} frame @param {import("./series.js").Start[]} starts */
export function axes(frame, starts) {
  const { from, to } = frame.range;
  const { least, greatest, step } = frame.scale;
  const { left, right, top, bottom } = frame;
  const lines = [];
  for (let tick = least; tick <= greatest + step / 2; tick += step) {
    const value = Math.round(tick / step) * step;
    const y = frame.y(value);
    lines.push(
      svg("line", { class: value === 0 ? "axis" : "grid", x1: left, x2: right, y1: y, y2: y }),
      svg(
        "text",
        { class: "tick", x: left - 6, y: y + 4, "text-anchor": "end" },
        String(Number(value.toFixed(6))).replace("-", "−"),
      ),
    );
  }
  lines.push(svg("text", { class: "tick", x: left + 4, y: top + 4 }, "bits"));
  const stepX = Math.max(1, tickStep(to - from, frame.width / 64));
  for (let tick = Math.ceil((from + 1) / stepX) * stepX; tick <= to; tick += stepX) {
    const x = frame.x(tick - 1);
    if (x > right - 14) break;
    lines.push(svg("text", { class: "tick", x, y: HEIGHT - 8, "text-anchor": "middle" }, tick.toLocaleString("en")));
  }
  const begins = starts.filter(({ at }) => at > from && at < to).map(({ at }) => frame.x(at - 0.5));
  // More of them would look like hatching.
  if (begins.length <= frame.width / 8)
    for (const x of begins) lines.push(svg("line", { class: "begin", x1: x, x2: x, y1: top, y2: bottom }));
  return lines;
}

/** @param {Frame} frame @param {Shown} drawn @param {number} count of all series, which stand beside each other */
export function dots(frame, { values, i }, count) {
  let d = "";
  const isLarge = frame.perToken >= LARGE_DOT_PX;
  const shift = isLarge ? (i - (count - 1) / 2) * 3 : 0;
  for (let k = frame.range.from; k < frame.range.to; k++) {
    if (!Number.isNaN(values[k])) d += `M${(frame.x(k) + shift).toFixed(1)} ${frame.y(values[k]).toFixed(1)}h0`;
  }
  return svg("path", { class: `dots ${isLarge ? "large " : ""}series-${i}`, d });
}

/**
 * At all precisions the same tokens are surprising, so one shade covers all series; differences get a shade each.
 * @param {Frame} frame
 * @param {Shown[]} shown
 * @param {boolean} isDifference
 */
export function bands(frame, shown, isDifference) {
  const columns = Math.round(frame.width);
  const { from, to } = frame.range;
  const all = shown.map(({ values, i }) => ({ ...envelope(values, from, to, columns), name: `series-${i}` }));
  const isOne = shown.length > 1 && !isDifference;
  const apart = isOne ? [all.reduce((a, b) => ({ ...unite(a, b), name: "all" }))] : all;
  return apart.map(({ least, greatest, name }) => {
    let d = "";
    for (let x = 0; x < columns; x++) {
      if (Number.isNaN(least[x])) continue;
      const [top, bottom] = [frame.y(greatest[x]), frame.y(least[x])];
      d += `M${frame.left + x + 0.5} ${top.toFixed(1)}V${Math.max(bottom, top + 1).toFixed(1)}`;
    }
    return svg("path", { class: `band ${name}`, d });
  });
}

/** @param {Frame} frame @param {Shown} drawn @param {number} width of the mean, in tokens */
export function runningMean(frame, { sums, i }, width) {
  const { from, to } = frame.range;
  const points = Math.min(to - from, Math.round(frame.width / 2));
  let d = "";
  let isOpen = false;
  for (let k = 0; k < points; k++) {
    const index = from + Math.floor(((k + 0.5) * (to - from)) / points);
    const mean = meanAround(sums, index, width);
    if (!Number.isNaN(mean)) d += `${isOpen ? "L" : "M"}${frame.x(index).toFixed(1)} ${frame.y(mean).toFixed(1)}`;
    isOpen = !Number.isNaN(mean);
  }
  return svg("path", { class: `mean series-${i}`, d });
}

/** The scale for the visible series: whole steps, including zero. @param {Drawn[]} drawn @returns {Scale} */
export function scaleOf(drawn) {
  let [least, greatest] = [0, 0];
  for (const { values, isHidden } of drawn) {
    if (isHidden) continue;
    for (const value of values) {
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
  }
  const step = tickStep(greatest - least);
  return {
    least: Math.floor(least / step) * step,
    greatest: Math.max(step, Math.ceil(greatest / step) * step),
    step,
  };
}

/** Minimum and maximum in each column. @typedef {ReturnType<typeof envelope>} Envelope */

/** The minimum and maximum of both in each column. @param {Envelope} a @param {Envelope} b @returns {Envelope} */
function unite(a, b) {
  /** @type {(x: Float64Array, y: Float64Array, pick: (...values: number[]) => number) => Float64Array<ArrayBuffer>} */
  const choose = (x, y, pick) =>
    x.map((value, k) => (Number.isNaN(value) ? y[k] : Number.isNaN(y[k]) ? value : pick(value, y[k])));
  return { least: choose(a.least, b.least, Math.min), greatest: choose(a.greatest, b.greatest, Math.max) };
}

/** A step of 1, 2 or 5 times a power of ten that gives at most `ticks` ticks. @param {number} range */
function tickStep(range, ticks = 5) {
  const least = Math.max(range, 1e-6) / Math.max(1, ticks);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5].map((factor) => factor * power).find((step) => step >= least * 0.999) ?? 10 * power;
}
