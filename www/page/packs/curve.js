// The curve of a lesson: the loss at each step, on the training text and on the held-out text.

/** @typedef {{ step: number, loss: number | null, validation: number | null }} Point */
/** @typedef {{ training: string, validation: { x: number, y: number }[], most: number, least: number }} Shape */

/**
 * Lines for a picture of this size; null with fewer than two points.
 * @param {readonly Point[]} points
 * @param {number} steps
 * @param {{ width: number, height: number }} size
 * @returns {Shape | null}
 */
export function curveOf(points, steps, { width, height }) {
  if (points.length < 2) return null;
  const kept = changes(points);
  const read = points.flatMap(({ step, loss }) => (loss !== null && Number.isFinite(loss) ? [{ step, loss }] : []));
  const values = [...read.map(({ loss }) => loss), ...kept.map(({ value }) => value)];
  if (values.length === 0) return null;
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const x = (/** @type {number} */ step) => round((width * step) / Math.max(steps, 1));
  const y = (/** @type {number} */ value) => round(height * (most > least ? (most - value) / (most - least) : 0.5));
  const training = read.map(({ step, loss }, i) => `${i === 0 ? "M" : "L"}${x(step)} ${y(loss)}`).join("");
  return { training, validation: kept.map(({ step, value }) => ({ x: x(step), y: y(value) })), most, least };
}

/** The points at which the held-out loss was measured. @param {readonly Point[]} points */
function changes(points) {
  /** @type {{ step: number, value: number }[]} */
  const found = [];
  for (const { step, validation } of points)
    if (validation !== null && Number.isFinite(validation) && found.at(-1)?.value !== validation)
      found.push({ step, value: validation });
  return found;
}

/** The curve in words, for those who do not see it. @param {readonly Point[]} points */
export function curveInWords(points) {
  const losses = points.flatMap(({ loss }) => (loss === null ? [] : [loss]));
  const [first, last] = [losses[0], losses.at(-1)];
  if (first === undefined || last === undefined) return "Nothing was measured yet.";
  const kept = changes(points);
  const told = `Surprise at what it reads: ${first.toFixed(2)} at first, ${last.toFixed(2)} now.`;
  if (kept.length === 0) return told;
  return `${told} At the part that is kept back: ${kept.map(({ value }) => value.toFixed(2)).join(", then ")}.`;
}

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;
