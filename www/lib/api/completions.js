// Text completions in the form that OpenAI's clients speak, for code that does so already: a model stands where such code
// has its client. What cannot be done here is refused by name, never passed over.

import { aborted, invalidArgument } from "../errors.js";
import { checkTextOrIds, isPlainObject, typeName } from "./inputs.js";
import { checkOptions, GENERATE_OPTIONS } from "./options.js";

const {
  maxTokens,
  temperature,
  topK,
  topP,
  minP,
  repetitionPenalty,
  presencePenalty,
  frequencyPenalty,
  seed,
  logitBias,
  logprobs,
  heal,
} = GENERATE_OPTIONS;

/** Parameters that are checked like options; defaults are those of the protocol. */
export const COMPLETION_OPTIONS = Object.freeze({
  max_tokens: { ...maxTokens, default: 16 },
  temperature: { ...temperature, default: 1 },
  top_p: { ...topP, default: 1 },
  n: {
    type: "integer",
    min: 1,
    max: 128,
    default: 1,
    about: "how many choices to write for each prompt; with a seed, the next one takes the next seed",
  },
  stream: { type: "boolean", default: false, about: "resolve to an async iterable of chunks" },
  logprobs: {
    ...logprobs,
    default: undefined,
    about: "how many likeliest tokens to report; 0 reports the chosen one alone",
  },
  echo: { type: "boolean", default: false, about: "begin the text with the prompt; not together with logprobs" },
  presence_penalty: presencePenalty,
  frequency_penalty: frequencyPenalty,
  logit_bias: logitBias,
  seed,
  top_k: topK,
  min_p: minP,
  repetition_penalty: repetitionPenalty,
  heal,
});

const FINISH_REASONS = { stop: "stop", length: "length", context: "length" };

export class Completions {
  #model;

  constructor(model) {
    this.#model = model;
  }

  /**
   * Writes completions; with `stream` it resolves to an async iterable of chunks.
   * @param {object} params as OpenAI's `POST /v1/completions` takes them
   * @param {{ signal?: AbortSignal }} [request]
   */
  async create(params, request = {}) {
    const asked = this.#check(params, request);
    const head = {
      id: `cmpl-${randomName()}`,
      object: "text_completion",
      created: Math.floor(Date.now() / 1000),
      model: this.#model.info.id,
    };
    return asked.stream ? this.#stream(head, asked) : this.#whole(head, asked);
  }

  #check(params, request) {
    if (!isPlainObject(params))
      throw invalidArgument(`The parameters must be a plain object, not ${typeName(params)}.`);
    const { signal } = checkOptions({ signal: GENERATE_OPTIONS.signal }, request);
    // The protocol's null is "left out".
    const given = Object.fromEntries(
      Object.entries(params).filter(([, value]) => value !== null && value !== undefined),
    );
    const {
      model,
      prompt = "",
      stop = [],
      stream_options: streamOptions,
      user,
      best_of: bestOf,
      suffix,
      ...rest
    } = given;
    const checked = checkOptions(COMPLETION_OPTIONS, rest);
    const { id } = this.#model.info;
    if (model !== undefined && model !== id) {
      throw invalidArgument(
        `model is ${JSON.stringify(model)}, but this model is ${JSON.stringify(id)}.`,
        "Leave it out, or load that model.",
      );
    }
    if (user !== undefined && typeof user !== "string")
      throw invalidArgument(`user must be a string, not ${typeName(user)}.`);
    if (suffix !== undefined && suffix !== "")
      throw invalidArgument("suffix is not supported: these models only write on.", "Leave it out.");
    if (bestOf !== undefined && bestOf !== checked.n)
      throw invalidArgument("best_of is not supported.", "Leave it out, and choose among n yourself.");
    if (checked.echo && checked.logprobs !== undefined) {
      throw invalidArgument(
        "echo together with logprobs is not supported.",
        "model.score() gives the log-probabilities of a text.",
      );
    }
    if (streamOptions !== undefined) {
      if (!checked.stream) throw invalidArgument("stream_options needs stream: true.");
      checkOptions({ include_usage: { type: "boolean", default: false } }, streamOptions);
    }
    const stops = checkOptions({ stop: GENERATE_OPTIONS.stop }, { stop: typeof stop === "string" ? [stop] : stop });
    return {
      ...checked,
      ...stops,
      signal,
      prompts: checkPrompts(prompt),
      includeUsage: streamOptions?.include_usage === true,
    };
  }

  /** Everything that is written, as it comes: { index, text, chunk } and, at the end of a choice, { index, result }. */
  async *#write({ prompts, n, signal, ...asked }) {
    for (let index = 0; index < prompts.length * n; index++) {
      const prompt = prompts[Math.floor(index / n)];
      const chunks = this.#model.generate(prompt, { ...optionsOf(asked, index % n), ...(signal && { signal }) });
      if (asked.echo) yield { index, text: typeof prompt === "string" ? prompt : await this.#model.decode(prompt) };
      try {
        for (;;) {
          const { done, value } = await chunks.next();
          if (done && value.finishReason === "abort") throw aborted("The completion", signal?.reason);
          if (done) {
            yield { index, isFirst: index % n === 0, result: value };
            break;
          }
          yield { index, text: value.text, chunk: value };
        }
      } finally {
        await chunks.return();
      }
    }
  }

  async #whole(head, asked) {
    const choices = [];
    const usage = noUsage();
    for await (const { index, text, chunk, ...end } of this.#write(asked)) {
      const choice = (choices[index] ??= {
        text: "",
        index,
        logprobs: asked.logprobs === undefined ? null : emptyLogprobs(),
        finish_reason: null,
      });
      if (end.result) {
        choice.finish_reason = FINISH_REASONS[end.result.finishReason];
        count(usage, end);
        continue;
      }
      if (choice.logprobs) addLogprobs(choice.logprobs, chunk, choice.text.length, asked.logprobs);
      choice.text += text;
    }
    return { ...head, choices, usage };
  }

  async *#stream(head, asked) {
    const usage = noUsage();
    const part = (choices) => ({ ...head, choices, ...(asked.includeUsage && { usage: null }) });
    let offset = 0;
    for await (const { index, text, chunk, ...end } of this.#write(asked)) {
      if (end.result) {
        count(usage, end);
        offset = 0;
        yield part([{ text: "", index, logprobs: null, finish_reason: FINISH_REASONS[end.result.finishReason] }]);
        continue;
      }
      const logprobs =
        asked.logprobs === undefined ? null : addLogprobs(emptyLogprobs(), chunk, offset, asked.logprobs);
      offset += text.length;
      if (text !== "" || logprobs) yield part([{ text, index, logprobs, finish_reason: null }]);
    }
    if (asked.includeUsage) yield { ...head, choices: [], usage };
  }
}

/** One prompt or several, as a list: strings and arrays of token ids. */
function checkPrompts(prompt) {
  const isList =
    Array.isArray(prompt) &&
    prompt.length > 0 &&
    prompt.every((item) => typeof item === "string" || typeof item === "object");
  if (!isList) return [checkTextOrIds("prompt", prompt)];
  return prompt.map((item, i) => checkTextOrIds(`prompt[${i}]`, item));
}

/** The options of `generate` for one of the n choices. */
function optionsOf(asked, i) {
  const options = {
    maxTokens: asked.max_tokens,
    temperature: asked.temperature,
    topP: asked.top_p,
    topK: asked.top_k,
    minP: asked.min_p,
    repetitionPenalty: asked.repetition_penalty,
    presencePenalty: asked.presence_penalty,
    frequencyPenalty: asked.frequency_penalty,
    logitBias: asked.logit_bias,
    stop: asked.stop,
    logprobs: asked.logprobs === undefined ? 0 : Math.max(1, asked.logprobs),
    heal: asked.heal,
  };
  if (asked.seed !== undefined) options.seed = (asked.seed + i) % Number.MAX_SAFE_INTEGER;
  return options;
}

function emptyLogprobs() {
  return { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
}

/** Adds a token. The chosen one is among its alternatives, likely or not, as the protocol wants. */
function addLogprobs(logprobs, { text, tokenId, logprob, topLogprobs }, offset, wanted) {
  logprobs.tokens.push(text);
  logprobs.token_logprobs.push(logprob);
  const top = {};
  for (const other of topLogprobs.slice(0, wanted)) top[other.text] ??= other.logprob;
  // By its id: its text in the list may have the space that the prompt ends in, and lacks what is held back.
  if (!topLogprobs.slice(0, wanted).some((other) => other.tokenId === tokenId)) top[text] ??= logprob;
  logprobs.top_logprobs.push(wanted === 0 ? null : top);
  logprobs.text_offset.push(offset);
  return logprobs;
}

function noUsage() {
  return { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
}

/** Adds a choice; a prompt counts once, however many choices it has. */
function count(usage, { result, isFirst }) {
  if (isFirst) usage.prompt_tokens += result.usage.promptTokens;
  usage.completion_tokens += result.usage.completionTokens;
  usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
}

/** Without a secure context there is no randomUUID. */
function randomName() {
  return globalThis.crypto?.randomUUID?.() ?? Math.random().toString(36).slice(2);
}
