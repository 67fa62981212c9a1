// Converts the AI SDK's calls into this module's options, and results back into the SDK's form.

/** @typedef {import("@ai-sdk/provider").LanguageModelV4CallOptions} CallOptions */
/** @typedef {import("@ai-sdk/provider").LanguageModelV4FinishReason} FinishReason */
/** @typedef {import("@ai-sdk/provider").LanguageModelV4Usage} Usage */
/** @typedef {import("@ai-sdk/provider").SharedV4Warning} Warning */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */
/** @typedef {import("../../tokenformer.js").GenerateResult} GenerateResult */

/** The name of this provider, and of its options in `providerOptions`. */
export const PROVIDER = "tokenformer";

/** Option names here, by the SDK's names for them. @type {[keyof CallOptions, keyof GenerateOptions][]} */
const NAMES = [
  ["maxOutputTokens", "maxTokens"],
  ["temperature", "temperature"],
  ["topP", "topP"],
  ["topK", "topK"],
  ["presencePenalty", "presencePenalty"],
  ["frequencyPenalty", "frequencyPenalty"],
  ["seed", "seed"],
  ["stopSequences", "stop"],
];

/**
 * A base model takes plain text: the text parts of all messages, concatenated with nothing in between.
 * @param {CallOptions} call
 * @param {GenerateOptions} defaults
 * @returns {{ prompt: string, options: GenerateOptions, warnings: Warning[] }}
 */
export function translate(call, defaults) {
  /** @type {Warning[]} */
  const warnings = [];
  const unsupported = (/** @type {string} */ feature, /** @type {string} */ details) =>
    warnings.push({ type: "unsupported", feature, details });
  const { tools = [], responseFormat, reasoning = "provider-default" } = call;
  if (tools.length > 0) unsupported("tools", "A base model calls none; they are left out.");
  if (responseFormat?.type === "json")
    unsupported("responseFormat", "A base model continues text; nothing makes it JSON.");
  if (!["provider-default", "none"].includes(reasoning)) unsupported("reasoning", "A base model does not reason.");
  if (call.prompt.length > 1) {
    const message =
      "A base model knows no roles: the texts of all messages follow each other, with nothing between them.";
    warnings.push({ type: "other", message });
  }
  /** @type {GenerateOptions} */
  const options = { ...defaults };
  for (const [name, own] of NAMES) if (call[name] !== undefined) Object.assign(options, { [own]: call[name] });
  Object.assign(options, call.providerOptions?.[PROVIDER]);
  if (call.abortSignal) options.signal = call.abortSignal;
  return { prompt: textOf(call.prompt, unsupported), options, warnings };
}

/** @param {CallOptions["prompt"]} messages @param {(feature: string, details: string) => void} unsupported */
function textOf(messages, unsupported) {
  const others = new Set();
  let text = "";
  for (const { content } of messages) {
    for (const part of typeof content === "string"
      ? [{ type: /** @type {const} */ ("text"), text: content }]
      : content) {
      if (part.type === "text") text += part.text;
      else others.add(part.type);
    }
  }
  for (const type of others) unsupported(`${type} parts`, "A base model takes texts alone; they are left out.");
  return text;
}

/** @param {GenerateResult["finishReason"]} raw @returns {FinishReason} */
export function finishReasonOf(raw) {
  if (raw === "abort") return { unified: "other", raw };
  return { unified: raw === "stop" ? "stop" : "length", raw };
}

/** @param {GenerateResult["usage"]} usage @returns {Usage} */
export function usageOf({ promptTokens, completionTokens, cachedPromptTokens }) {
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedPromptTokens,
      cacheRead: cachedPromptTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: completionTokens, text: completionTokens, reasoning: undefined },
  };
}
