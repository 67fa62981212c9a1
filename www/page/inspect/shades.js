// The map's picture as numbers: a row of pixels for each layer, and in it, for each kind, its parameter tokens from left to
// right, several to a pixel. What fires lights up, and fades.

import { KINDS } from "../../lib/api/pack-file.js";

/** @typedef {import("../../tokenformer.js").Inspected} Inspected */
/** @typedef {import("../../tokenformer.js").PackKind} Kind */
/** @typedef {[red: number, green: number, blue: number]} Colour */

/** Pixels of a kind's base tokens, of the packs' tokens beside them, and of the gap between two kinds. */
const BASE = 56;
const PACKS = 8;
const GAP = 4;
const CELL = BASE + PACKS + GAP;
/** Pixels of a layer; the last one stays dark. */
const ROWS = 4;
/** Anything dimmer is invisible. */
const DARK = 1 / 64;

export class Shades {
  #layers;
  /** @type {Record<string, number>} */
  #slots;
  /** How brightly each pixel of a layer is lit. */
  #lit;
  /** Whether a pack's token was ever lit: until then, packs take no space. */
  #hasPacks = false;
  /** The greatest contribution seen so far in each place, which scales its others. @type {Float64Array} */
  #most;

  /** @param {number} layers @param {Record<Kind, number>} slots how many tokens each kind has */
  constructor(layers, slots) {
    this.#layers = layers;
    this.#slots = slots;
    this.#lit = new Float32Array(layers * this.width);
    this.#most = new Float64Array(layers * KINDS.length);
  }

  get width() {
    return KINDS.length * CELL - GAP;
  }

  get height() {
    return this.#layers * ROWS - 1;
  }

  /** @param {readonly Inspected[]} places of one position */
  light(places) {
    for (const { layer, kind, top } of places) {
      const column = KINDS.indexOf(kind);
      const place = layer * KINDS.length + column;
      for (const { slot, pack, contribution } of top) {
        this.#hasPacks ||= pack !== undefined;
        this.#most[place] = Math.max(this.#most[place], contribution);
        const pixel =
          pack === undefined ? Math.floor((slot * BASE) / this.#slots[kind]) : BASE + 1 + (slot % (PACKS - 1)); // the pixel before them stays dark
        const at = layer * this.width + column * CELL + pixel;
        const share = this.#most[place] > 0 ? Math.sqrt(contribution / this.#most[place]) : 0;
        this.#lit[at] = Math.max(this.#lit[at], share);
      }
    }
  }

  /** Dims everything by `factor`; returns whether anything is still lit. @param {number} factor */
  fade(factor) {
    let isLit = false;
    for (let i = 0; i < this.#lit.length; i += 1) {
      const lit = this.#lit[i] * factor;
      this.#lit[i] = lit < DARK ? 0 : lit;
      isLit ||= lit >= DARK;
    }
    return isLit;
  }

  /** Draws the map as an image of `width` by `height` pixels. @param {{ base: Colour, packs: Colour, dark: Colour }} colours @param {Uint8ClampedArray} pixels */
  paint({ base, packs, dark }, pixels) {
    const { width } = this;
    for (let y = 0; y < this.height; y += 1) {
      const isBetween = y % ROWS === ROWS - 1;
      const row = Math.floor(y / ROWS) * width;
      for (let x = 0; x < width; x += 1) {
        const inCell = x % CELL;
        const at = (y * width + x) * 4;
        const isNothing = isBetween || inCell === BASE || inCell >= (this.#hasPacks ? BASE + PACKS : BASE);
        const ink = inCell < BASE ? base : packs;
        const lit = this.#lit[row + x];
        for (let i = 0; i < 3; i += 1) pixels[at + i] = dark[i] + (ink[i] - dark[i]) * lit;
        pixels[at + 3] = isNothing ? 0 : 255;
      }
    }
  }

  /**
   * What lies at a point of the picture, from 0 to 1: the layer, the kind, and the slots of its pixel as [from, to); null
   * between kinds. `slots` is null where packs are.
   * @param {number} x @param {number} y
   */
  at(x, y) {
    const pixel = Math.floor(x * this.width);
    const layer = Math.min(this.#layers - 1, Math.max(0, Math.floor((y * (this.height + 1)) / ROWS)));
    const kind = KINDS[Math.floor(pixel / CELL)];
    const inCell = pixel % CELL;
    if (kind === undefined || inCell >= BASE + PACKS) return null;
    const slotOf = (/** @type {number} */ one) => Math.ceil((one * this.#slots[kind]) / BASE);
    const slots = inCell < BASE ? /** @type {[number, number]} */ ([slotOf(inCell), slotOf(inCell + 1)]) : null;
    return { layer, kind, slots };
  }
}

/** How many parameter tokens each kind of a model has. @param {import("../../tokenformer.js").ModelInfo["config"]} config @returns {Record<Kind, number>} */
export function slotsOf({ qkv_slot_num: qkv, proj_slot_num: proj, ffn_slot_num: mlp }) {
  return { query: qkv, key: qkv, value: qkv, proj, mlp };
}
