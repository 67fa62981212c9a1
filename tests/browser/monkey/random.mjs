// Numbers that a seed determines: the same seed, the same choices.

/** mulberry32: `next()` is from 0, below 1. */
export function seeded(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n) => Math.floor(next() * n);
  return {
    next,
    below,
    chance: (share) => next() < share,
    pick: (list) => list[below(list.length)],
    /** One of `[weight, value]`. */
    weighted(list) {
      let at = next() * list.reduce((sum, [weight]) => sum + weight, 0);
      return (list.find(([weight]) => (at -= weight) < 0) ?? list.at(-1))[1];
    },
  };
}
