// Parameter tokens: how they are named in a link and in words, and which of them matter for a word.

import { KINDS } from "../../lib/api/pack-file.js";

/** @typedef {import("../../tokenformer.js").Inspected} Inspected */
/** @typedef {import("../../tokenformer.js").FiredToken} FiredToken */
/** @typedef {import("../../tokenformer.js").PackKind} Kind */
/** @typedef {{ layer: number, kind: Kind, slot: number, pack?: string }} Place a parameter token */
/** A parameter token that fired; `share`: its part of what all requested tokens of its Pattention contribute. @typedef {Place & { activation: number, contribution: number, share: number }} Strength */

const KEY = new RegExp(`^(\\d{1,5})\\.(${KINDS.join("|")})\\.(\\d{1,7})(?:\\.(.+))?$`, "s");

/** Its name in a link: "9.mlp.1664"; for a pack's token "9.mlp.3.Kettle". @param {Place} place */
export const keyOf = ({ layer, kind, slot, pack }) =>
  [layer, kind, slot, ...(pack === undefined ? [] : [pack])].join(".");

/** The inverse; null for an invalid key. @param {string} key @returns {Place | null} */
export function placeOf(key) {
  const [, layer, kind, slot, pack] = KEY.exec(key) ?? [];
  if (layer === undefined) return null;
  return {
    layer: Number(layer),
    kind: /** @type {Kind} */ (kind),
    slot: Number(slot),
    ...(pack !== undefined && { pack }),
  };
}

/** The place of a parameter token, without other properties. @param {Place} place @returns {Place} */
export const bare = ({ layer, kind, slot, pack }) => ({ layer, kind, slot, ...(pack !== undefined && { pack }) });

/** "Layer 9, mlp, token 1664". @param {Place} place */
export const inWords = ({ layer, kind, slot, pack }) =>
  `Layer ${layer}, ${kind}, token ${slot}${pack === undefined ? "" : ` of the pack “${pack}”`}`;

/** Whether a value goes into the residual stream. @param {Pick<Place, "kind">} place */
export const writesWords = ({ kind }) => kind === "proj" || kind === "mlp";

/** What fired at one position, of all places in one list. @param {readonly Inspected[]} places @returns {Strength[]} */
export function strengthsOf(places) {
  return places.flatMap(({ layer, kind, top }) => {
    const all = top.reduce((sum, { contribution }) => sum + contribution, 0);
    return top.map(({ slot, pack, activation, contribution }) => ({
      ...bare({ layer, kind, slot, pack }),
      activation,
      contribution,
      share: all > 0 ? contribution / all : 0,
    }));
  });
}

/**
 * The strongest first, or first those that are stronger here than they are on average.
 * @param {readonly Strength[]} strengths
 * @param {{ kinds: ReadonlySet<Kind>, count: number, mean?: (key: string) => number }} how `mean`: what a token contributes on average
 */
export function strongest(strengths, { kinds, count, mean = () => 0 }) {
  return strengths
    .filter(({ kind }) => kinds.has(kind))
    .map((strength) => ({ ...strength, excess: strength.contribution - mean(keyOf(strength)) }))
    .sort((a, b) => b.excess - a.excess)
    .slice(0, count);
}

/** What parameter tokens contribute on average, as far as they were among the strongest of their place. */
export class Averages {
  /** @type {Map<string, number>} */
  #sums = new Map();
  /** @type {Set<number>} */
  #positions = new Set();

  /** Positions with known places. */
  get positions() {
    return this.#positions.size;
  }

  /** @param {readonly Inspected[]} places each once */
  add(places) {
    for (const { position, layer, kind, top } of places) {
      this.#positions.add(position);
      for (const { slot, pack, contribution } of top) {
        const key = keyOf({ layer, kind, slot, pack });
        this.#sums.set(key, (this.#sums.get(key) ?? 0) + contribution);
      }
    }
  }

  /** @param {string} key */
  of(key) {
    return (this.#sums.get(key) ?? 0) / Math.max(1, this.positions);
  }
}

/** How strongly a parameter token fired at each position; 0 where it was not among the requested ones. @param {readonly Inspected[]} places @param {Place} place @param {number} length @returns {number[]} */
export function firingOf(places, { layer, kind, slot, pack }, length) {
  /** @type {number[]} */
  const firing = new Array(length).fill(0);
  for (const one of places)
    if (one.layer === layer && one.kind === kind)
      for (const fired of one.top)
        if (fired.slot === slot && fired.pack === pack) firing[one.position] = fired.activation;
  return firing;
}
