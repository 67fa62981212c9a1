// Numbers and states in words, for the element's status line.

/** @typedef {import("../../tokenformer.js").LoadProgress} LoadProgress */

/** @type {Record<string, string>} */
const PHASES = {
  resolve: "Looking for the model",
  download: "Downloading",
  cache: "Reading from the browser's storage",
  compile: "Preparing the GPU",
  ready: "Ready",
};

/** Bytes as megabytes (10^6), with one decimal below 100: "12.3". @param {number} bytes */
export function megabytes(bytes) {
  const value = bytes / 1e6;
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** A rate with its significant digits: "3.4", "87", "1,204". @param {number} value */
export function rate(value) {
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

/** Fraction of the bytes received, 0 to 1; null if the total is unknown. @param {Pick<LoadProgress, "loadedBytes" | "totalBytes">} progress */
export function progressShare({ loadedBytes, totalBytes }) {
  return totalBytes !== null && totalBytes > 0 ? Math.min(1, loadedBytes / totalBytes) : null;
}

/**
 * "Downloading: 12.3 of 28.4 MB (43 %), 4.1 MB/s, about 4 s left". The percentage is rounded down: 100 % means all of
 * it. `isLocal`: the files are on this device. If loading waits for something, that is shown instead of the phase.
 * @param {LoadProgress} progress
 */
export function progressInWords(progress, isLocal = false) {
  const isReading = isLocal && progress.phase === "download";
  const phase = progress.waitingFor ?? (isReading ? "Reading the files" : (PHASES[progress.phase] ?? "Loading"));
  if (progress.phase === "ready" || !(progress.loadedBytes > 0)) return phase;
  const share = progressShare(progress);
  const amount =
    share === null
      ? `${megabytes(progress.loadedBytes)} MB`
      : `${megabytes(progress.loadedBytes)} of ${megabytes(progress.totalBytes ?? 0)} MB (${Math.floor(share * 100)} %)`;
  const speed =
    progress.phase === "download" && (progress.bytesPerSecond ?? 0) > 0
      ? `, ${megabytes(progress.bytesPerSecond ?? 0)} MB/s`
      : "";
  return `${phase}: ${amount}${speed}${timeLeft(progress)}`;
}

/** ", about 40 s left"; empty for the last seconds. @param {LoadProgress} progress */
function timeLeft({ phase, secondsLeft }) {
  if (phase !== "download" || secondsLeft === null || !(secondsLeft >= 3)) return "";
  return secondsLeft < 90
    ? `, about ${Math.round(secondsLeft)} s left`
    : `, about ${Math.round(secondsLeft / 60)} min left`;
}

/** "24 ms", "2.9 s". @param {number} ms */
function duration(ms) {
  return ms < 1000 ? `${rate(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/**
 * "42 tokens · 310 tokens/s · first token 24 ms": while writing. Unknown or obvious parts are left out.
 * @param {number} tokens
 * @param {number | null} tokensPerSecond
 * @param {number | null} firstAfterMs
 */
export function writingInWords(tokens, tokensPerSecond, firstAfterMs, place = "") {
  const parts = [tokens === 1 ? "1 token" : `${tokens.toLocaleString("en")} tokens`];
  if (tokensPerSecond !== null && tokensPerSecond > 0) parts.push(`${rate(tokensPerSecond)} tokens/s`);
  if (firstAfterMs !== null && firstAfterMs > 0) parts.push(`first token ${duration(firstAfterMs)}`);
  if (place) parts.push(place);
  return parts.join(" · ");
}

/** The GPU's name as far as the browser reveals it: "nvidia ampere"; "" if it reveals nothing. @param {import("../../tokenformer.js").Adapter | null | undefined} adapter */
export function adapterInWords(adapter) {
  if (!adapter) return "";
  return adapter.description || [adapter.vendor, adapter.device || adapter.architecture].filter(Boolean).join(" ");
}

/** Where a model runs, if that needs saying: nobody should mistake its speed for that of a GPU. @param {Pick<import("../../tokenformer.js").ModelInfo, "backend">} info */
export function placeInWords({ backend }) {
  return backend === "cpu" ? "on the CPU" : "";
}

/** "Ready on nvidia ampere", "Ready on the CPU". @param {Pick<import("../../tokenformer.js").ModelInfo, "backend" | "adapter">} info */
export function readyInWords(info) {
  const place = placeInWords(info) || (adapterInWords(info.adapter) && `on ${adapterInWords(info.adapter)}`);
  return place ? `Ready ${place}` : "Ready";
}

/** @type {Record<string, string>} */
const ENDINGS = { abort: "stopped", context: "the context is full", stop: "the text ended" };

/** "256 tokens · 310 tokens/s · first token 24 ms · stopped": after writing. @param {import("../../tokenformer.js").GenerateResult} result */
export function resultInWords({ usage, finishReason }, place = "") {
  const parts = [writingInWords(usage.completionTokens, usage.decodeTokensPerSecond, usage.timeToFirstTokenMs, place)];
  if (ENDINGS[finishReason]) parts.push(ENDINGS[finishReason]);
  return parts.join(" · ");
}

/** Counts tokens and measures their rate, excluding the wait for the first one. */
export class TokenMeter {
  #now;
  #begin;
  #first = 0;
  #last = 0;
  count = 0;

  constructor(now = () => performance.now()) {
    this.#now = now;
    this.#begin = now();
  }

  add() {
    this.#last = this.#now();
    if (this.count === 0) this.#first = this.#last;
    this.count += 1;
  }

  /** Time from the meter's creation to the first token; 0 before it. */
  get firstAfterMs() {
    return this.count === 0 ? 0 : this.#first - this.#begin;
  }

  get tokensPerSecond() {
    const seconds = (this.#last - this.#first) / 1000;
    return seconds > 0 ? (this.count - 1) / seconds : 0;
  }
}
