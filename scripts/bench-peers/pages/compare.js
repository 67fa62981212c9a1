// What the pages of all engines share: the prompts, the clock and the report. Nothing here draws: a headless browser may
// have no fonts, and drawing takes GPU time.
//
// Query: prompt=512, tokens=129, runs=4 measured ones after one to warm up, cache=0 to keep no model in the browser's
// storage, report=ADDRESS and log=ADDRESS to post to.

export const query = new URLSearchParams(location.search);
const number = (name, fallback) => Number(query.get(name) ?? fallback);
export const promptTokens = number("prompt", 512);
export const newTokens = number("tokens", 129);
export const keep = query.get("cache") !== "0";
const runs = number("runs", 4);

const report = {
  page: location.pathname + location.search,
  browser: navigator.userAgent,
  isolated: globalThis.crossOriginIsolated,
};
export const post = (name, value) =>
  query.has(name) && fetch(query.get(name), { method: "POST", body: JSON.stringify(value) });
const log = (value) => post("log", value)?.catch(() => {});

addEventListener("error", (event) => log({ error: event.message }));
addEventListener("unhandledrejection", (event) => log({ error: String(event.reason?.stack ?? event.reason) }));

/** A text of the letters a to p and spaces, new for each run: the random tokenizers make one token of each byte. */
function promptText(run) {
  let text = "";
  for (let state = 12345 + run * 7919; text.length < promptTokens;) {
    state = (state * 48271) % 2147483647;
    text += text.length % 6 === 5 ? " " : String.fromCharCode(97 + ((state >> 8) % 16));
  }
  return text;
}

/** Ids for engines that take ids: the same number, spread a little over the beginning of the vocabulary. */
const promptIds = (text) => Array.from(text, (letter) => letter.charCodeAt(0) - 31);

function median(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted.length ? (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2 : null;
}

async function measure(write, run) {
  const text = promptText(run);
  const arrivals = [];
  const start = performance.now();
  const extra = await write({ text, ids: promptIds(text) }, () => arrivals.push(performance.now()));
  const toFirst = arrivals[0] - start;
  const result = {
    tokens: arrivals.length,
    decodeTokensPerSecond: ((arrivals.length - 1) / (arrivals.at(-1) - arrivals[0])) * 1e3,
    prefillTokensPerSecond: (promptTokens / toFirst) * 1e3,
    timeToFirstTokenMs: toFirst,
    totalMs: performance.now() - start,
    ...extra,
  };
  if (arrivals.length !== newTokens)
    throw new Error(`${arrivals.length} tokens came instead of ${newTokens}: ${JSON.stringify(result)}`);
  return { result, first: arrivals[0] };
}

/**
 * Loads an engine, has it generate, and reports. All times are the page's own, taken the same way for every engine;
 * `loadMs` and `firstTokenMs` count from the navigation.
 * @param {string} engine its name
 * @param {() => Promise<(prompt: { text: string, ids: number[] }, onToken: () => void) => Promise<object | void>>} load
 *   resolves to what writes `newTokens` greedy tokens, whatever they are; what that returns is added to the run's result
 */
export async function compare(engine, load) {
  Object.assign(report, { engine, runs: [] });
  try {
    const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
    const info = adapter?.info;
    report.adapter = info ? [info.vendor, info.architecture, info.description].filter(Boolean).join(" ") : null;
    report.features = adapter ? [...adapter.features].filter((name) => /f16|subgroup/.test(name)) : [];
    const write = await load(report);
    report.loadMs = performance.now();
    for (let run = 0; run <= runs; run++) {
      const { result, first } = await measure(write, run);
      report.firstTokenMs ??= first;
      if (run > 0) report.runs.push(result);
      log({ run, ...result });
    }
    const names = Object.keys(report.runs[0] ?? {}).filter((name) => typeof report.runs[0][name] === "number");
    report.median = Object.fromEntries(names.map((name) => [name, median(report.runs.map((run) => run[name]))]));
  } catch (error) {
    report.error = String(error?.stack ?? error).slice(0, 3000);
    if (error?.code) report.error = `${error.code}: ${error.message} ${error.cause ?? ""}`;
  }
  await post("report", report);
}
