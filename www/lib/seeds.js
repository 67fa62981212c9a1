// Seeds for sampling: integers from 0, below 2^53.

/** A random seed. */
export function randomSeed() {
  return Math.floor(Math.random() * 2 ** 53);
}

/** The seed of the text `steps` after the one with `seed`. After the last seed comes 0. @param {number} seed @param {number} steps */
export function seedAfter(seed, steps) {
  const left = Number.MAX_SAFE_INTEGER - seed; // 2^53 and more cannot be told apart
  return steps <= left ? seed + steps : steps - left - 1;
}
