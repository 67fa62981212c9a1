// The texts that scripts/embed-model writes.

export { parametersOf } from "../../www/lib/api/shape.js";

/** Each precision in words. */
export const PRECISIONS = {
  q4: "4-bit tables with an 8-bit embedding",
  q8: "8 bits everywhere",
  f16: "half precision",
};
/** How the tables were rounded, appended to their precision. */
export const howCalibrated = (calibrated) =>
  calibrated > 0 ? `, rounded by what ${calibrated.toLocaleString("en")} tokens make of the layers` : "";
const BEGIN = "<!-- scripts/embed-model writes what follows -->";
const END = "<!-- until here -->";

/** The facts in embedded.js. */
export function factsOf(text) {
  return JSON.parse(text.slice(text.indexOf("({") + 1, text.lastIndexOf("})") + 1));
}

/** embedded.js with these facts instead of those in `text`. */
export function withFacts(text, facts) {
  return `${text.slice(0, text.indexOf("({") + 1)}${JSON.stringify(facts, null, 2)}${text.slice(text.lastIndexOf("})") + 1)}`;
}

/**
 * The difference between two measurements of the same windows: `{ part, error }`, by which fraction the second
 * perplexity is higher than the first, and its standard error, paired over windows.
 */
export function difference(first, second) {
  const pairs = first.windows.map(([nats, tokens], i) => ({ more: second.windows[i][0] - nats, tokens }));
  const tokens = pairs.reduce((sum, pair) => sum + pair.tokens, 0);
  const mean = pairs.reduce((sum, { more }) => sum + more, 0) / tokens;
  const squares = pairs.reduce((sum, pair) => sum + (pair.more - mean * pair.tokens) ** 2, 0);
  const error = Math.sqrt((squares * pairs.length) / Math.max(1, pairs.length - 1)) / tokens;
  return { part: Math.expm1(mean), error: error * Math.exp(mean) };
}

/** `rows`: `{ name, exact, shipped }`, each as printed by the example `perplexity`. */
export function table(quantization, rows) {
  const bits = ({ windows, bytes }) => windows.reduce((sum, [nats]) => sum + nats, 0) / Math.LN2 / bytes;
  const lines = rows.map(({ name, exact, shipped }) => {
    const { part, error } = difference(exact, shipped);
    const sign = part < 0 ? "−" : "+";
    const told = `${sign}${Math.abs(part * 100).toFixed(2)} ± ${(error * 100).toFixed(2)} %`;
    const perplexities = [exact, shipped].map(({ perplexity }) => perplexity.toFixed(3));
    const cells = [name, exact.tokensScored.toLocaleString("en"), ...perplexities, told];
    return `| ${[...cells, bits(exact).toFixed(4), bits(shipped).toFixed(4)].join(" | ")} |`;
  });
  return [
    `| text | tokens | float32 | ${quantization}, as it ships | difference | bits per byte, float32 | ${quantization} |`,
    "|---|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** The model card in the folder: the original card, and what was done to the model here. */
export function card(own, facts, rows) {
  const { quantization, calibrated, weightBytes, downloadBytes, contextLength } = facts;
  const how = howCalibrated(calibrated);
  return `${own.trimEnd()}

## In this build

\`scripts/embed-model\` made this folder of the checkpoint: \`${quantization}\` (${PRECISIONS[quantization]})${how}; ${megabytes(weightBytes)} of weights, ${megabytes(downloadBytes)} to
download, a context of ${contextLength.toLocaleString("en")} tokens. Perplexity per token by the CPU reference, in windows of 512 tokens, each scored alone from its second token on:

${table(quantization, rows)}
`;
}

/** docs/evaluation.md with another table. */
export function evaluation(text, facts, rows) {
  const [before, rest] = cut(text, BEGIN);
  const [, after] = cut(rest, END);
  const { name, quantization, weightBytes } = facts;
  const lead = `The embedded model, \`${name}\`, ships as \`${quantization}\`: ${megabytes(weightBytes)} of weights.`;
  return `${before}${BEGIN}\n\n${lead}\n\n${table(quantization, rows)}\n\n${END}${after}`;
}

/** README.md with the name of the current model. */
export function readme(text, from, { name }) {
  return text.replaceAll(`www/models/${from}/`, `www/models/${name}/`);
}

function cut(text, mark) {
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`docs/evaluation.md lacks the line ${mark}.`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

/** A page, or text about one: the initial settings of its <token-former>, and the model's name. */
export function withSettings(text, { name, sampling, label }) {
  return text
    .replace(/(\btemperature=)"[\d.]+"/g, `$1"${sampling.temperature}"`)
    .replace(/(\btop-p=)"[\d.]+"/g, `$1"${sampling.topP}"`)
    .replace(/(\brepetition-penalty=)"[\d.]+"/g, `$1"${sampling.repetitionPenalty}"`)
    .replace(/(topP: )[\d.]+(, repetitionPenalty: )[\d.]+/g, `$1${sampling.topP}$2${sampling.repetitionPenalty}`)
    .replace(/(<span id="model-name">)[^<]*/g, `$1${label}`)
    .replace(/(href="models\/)[^/"]+/g, `$1${name}`);
}
