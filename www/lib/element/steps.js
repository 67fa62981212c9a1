// How long the next step of work is that others may interrupt between two steps.

/**
 * As long as takes about `ms`, judged by the last step: at least half as long as that, and at most `growth` times.
 * @param {number} step the last one's length
 * @param {number} took its milliseconds
 * @param {{ ms: number, least: number, most: number, growth?: number }} limits
 */
export function nextStep(step, took, { ms, least, most, growth = 2 }) {
  const factor = Math.min(growth, Math.max(0.5, ms / Math.max(1, took)));
  return Math.round(Math.min(most, Math.max(least, step * factor)));
}
