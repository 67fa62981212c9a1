// The map on its canvas: what fires lights up and fades while a text is written or read; or one word's places stay lit.

import { Shades, slotsOf } from "./shades.js";

/** @typedef {import("../../tokenformer.js").Inspected} Inspected */
/** @typedef {import("../../tokenformer.js").ModelInfo} ModelInfo */
/** @typedef {import("./shades.js").Colour} Colour */

/** The fraction of a light that is left after a second. */
const LEFT = 0.02;
/** At most this many words wait to be shown, so that the map does not lag behind the text. */
const MOST_WAITING = 64;

export class FiringMap {
  #canvas;
  #context;
  /** @type {Shades | null} */
  #shades = null;
  /** @type {ImageData | null} */
  #image = null;
  /** Positions that are still to be lit, each its places. @type {Inspected[][]} */
  #waiting = [];
  /** The word whose places stay lit; null if none is selected. @type {readonly Inspected[] | null} */
  #held = null;
  #frame = 0;
  #last = 0;
  /** Waiting positions that are shown per millisecond. */
  #rate = 0;
  #due = 0;

  /** @param {HTMLCanvasElement} canvas @param {(at: NonNullable<ReturnType<Shades["at"]>>) => void} onPick */
  constructor(canvas, onPick) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    canvas.addEventListener("click", ({ offsetX, offsetY }) => {
      const at = this.#shades?.at(offsetX / canvas.clientWidth, offsetY / canvas.clientHeight);
      if (at) onPick(at);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener?.("change", () => this.#draw());
  }

  /** Another model. @param {ModelInfo["config"]} config */
  shape(config) {
    const shades = new Shades(config.num_layers, slotsOf(config));
    this.#shades = shades;
    [this.#canvas.width, this.#canvas.height] = [shades.width, shades.height];
    this.#canvas.style.setProperty("--layers", String(config.num_layers));
    this.#image = this.#context.createImageData(shades.width, shades.height);
    this.#waiting = [];
    this.#held = null;
    this.#draw();
  }

  /** Keeps only this word's places lit. @param {readonly Inspected[]} places */
  hold(places) {
    this.#waiting = [];
    this.#held = places;
    this.#shades?.fade(0);
    this.#shades?.light(places);
    this.#draw();
  }

  /** Lights words, one after another, within about `ms` milliseconds. @param {readonly Inspected[]} places of any positions @param {number} ms */
  play(places, ms) {
    this.#held = null;
    /** @type {Map<number, Inspected[]>} */
    const positions = new Map();
    for (const one of places) positions.set(one.position, [...(positions.get(one.position) ?? []), one]);
    this.#waiting.push(...positions.values());
    this.#waiting.splice(0, Math.max(0, this.#waiting.length - MOST_WAITING));
    this.#rate = this.#waiting.length / Math.max(16, ms);
    if (this.#frame === 0) {
      this.#last = performance.now();
      this.#frame = requestAnimationFrame(() => this.#next());
    }
  }

  #next() {
    this.#frame = 0;
    if (this.#held || !this.#shades) return;
    const now = performance.now();
    const passed = now - this.#last;
    this.#last = now;
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#due += passed * this.#rate;
    const count = Math.min(this.#waiting.length, Math.floor(this.#due));
    this.#due = this.#waiting.length > count ? this.#due - count : 0;
    // With reduced motion, one word follows another without fading.
    const isLit = isStill && count === 0 ? true : this.#shades.fade(isStill ? 0 : LEFT ** (passed / 1000));
    for (const places of this.#waiting.splice(0, count)) this.#shades.light(places);
    this.#draw();
    if (this.#waiting.length > 0 || (isLit && !isStill)) this.#frame = requestAnimationFrame(() => this.#next());
  }

  #draw() {
    if (!this.#shades || !this.#image) return;
    const style = getComputedStyle(this.#canvas);
    const colour = (/** @type {string} */ name) => rgb(style.getPropertyValue(name));
    const colours = { base: colour("--base-ink"), packs: colour("--pack-ink"), dark: colour("--unlit") };
    this.#shades.paint(colours, this.#image.data);
    this.#context.putImageData(this.#image, 0, 0);
  }
}

/** @param {string} hex as the style sheet has it: #rrggbb @returns {Colour} */
function rgb(hex) {
  const number = Number.parseInt(hex.trim().slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}
