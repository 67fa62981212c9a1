// Text completions in the form that OpenAI's clients use: existing code can use a model here instead of its client.
// What is not supported is rejected by name, never ignored.

import { aborted, invalidArgument } from "../errors.js";
import { randomSeed, seedAfter } from "../seeds.js";
import { checkTextOrIds, isPlainObject, typeName } from "./inputs.js";
import { addLogprobs, emptyLogprobs, promptLogprobs } from "./logprobs.js";
import { checkOptions, GENERATE_OPTIONS } from "./options.js";

/** @typedef {import("./model.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").Chunk} Chunk */
/** @typedef {import("../../tokenformer.js").CompletionParams} Params */
/** @typedef {import("../../tokenformer.js").CompletionChoice} Choice */
/** @typedef {import("../../tokenformer.js").CompletionLogprobs} Logprobs */
/** @typedef {import("../../tokenformer.js").CompletionUsage} Usage */
/** @typedef {import("../../tokenformer.js").TextCompletion} Completion */
/** @typedef {import("../../tokenformer.js").GenerateResult} GenerateResult */

/**
 * The request, checked and complete.
 * @typedef {"max_tokens" | "temperature" | "top_p" | "top_k" | "min_p" | "n" | "stream" | "echo" | "heal" | "logit_bias"
 *   | "presence_penalty" | "frequency_penalty" | "repetition_penalty"} WithDefault
 * @typedef {{ [P in WithDefault]-?: NonNullable<Params[P]> } & { logprobs?: number, seed?: number }} Checked
 * @typedef {Checked & { prompts: (string | Uint32Array)[], stop: string[], includeUsage: boolean, signal?: AbortSignal }} Asked
 */

/** What every chunk of an answer has. @typedef {Omit<Completion, "choices" | "usage">} Head */
/** What is reported of a prompt. @typedef {{ text: string, logprobs: Logprobs | null, tokenCount: number }} Echo */
/** Text of a choice: a token's, or its prompt's. @typedef {{ index: number, text: string, chunk?: Chunk, echo?: Echo, result?: undefined }} Part */
/** How a choice ended. @typedef {{ finishReason: GenerateResult["finishReason"], usage: Pick<GenerateResult["usage"], "promptTokens" | "completionTokens"> }} Result */
/** The end of a choice, which may be the first of its prompt. @typedef {{ index: number, isFirst: boolean, result: Result }} End */
/** Writes several texts at once, with options of `generate`. @typedef {(candidates: import("./texts.js").Candidate[], options: object) => ReturnType<TokenFormer["alternatives"]>} WriteSeveral */

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

/** Parameters that are checked like options; defaults are those of the protocol. @type {import("./options.js").Table} */
export const COMPLETION_OPTIONS = Object.freeze({
  max_tokens: { ...maxTokens, min: 0, default: 16, about: "maximum number of tokens to write; 0 only with `echo`" },
  temperature: { ...temperature, default: 1 },
  top_p: { ...topP, default: 1 },
  n: {
    type: "integer",
    min: 1,
    max: 128,
    default: 1,
    about: "choices per prompt; with a seed, each takes the next seed",
  },
  stream: { type: "boolean", default: false, about: "resolve to an async iterable of chunks" },
  logprobs: {
    ...logprobs,
    default: undefined,
    about: "how many of the most likely tokens to report; 0 reports only the chosen one",
  },
  echo: { type: "boolean", default: false, about: "begin the text, and `logprobs`, with the prompt" },
  presence_penalty: presencePenalty,
  frequency_penalty: frequencyPenalty,
  logit_bias: logitBias,
  seed,
  top_k: topK,
  min_p: minP,
  repetition_penalty: repetitionPenalty,
  heal,
});

/** An abort is an error. @type {Record<string, "stop" | "length">} */
const FINISH_REASONS = { stop: "stop", length: "length", context: "length" };

export class Completions {
  #model;
  #writeSeveral;

  /** @param {TokenFormer} model @param {WriteSeveral} writeSeveral */
  constructor(model, writeSeveral) {
    this.#model = model;
    this.#writeSeveral = writeSeveral;
  }

  /**
   * Writes completions; with `stream` it resolves to an async iterable of chunks.
   * @param {Params} params as OpenAI's `POST /v1/completions` takes them
   * @param {{ signal?: AbortSignal }} [request]
   */
  async create(params, request = {}) {
    const asked = this.#check(params, request);
    /** @type {Head} */
    const head = {
      id: `cmpl-${randomName()}`,
      object: "text_completion",
      created: Math.floor(Date.now() / 1000),
      model: this.#model.info.id,
    };
    return asked.stream ? this.#stream(head, asked) : this.#whole(head, asked);
  }

  /** @param {unknown} params @param {unknown} request @returns {Asked} */
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
    const checked = /** @type {Checked} */ (/** @type {unknown} */ (checkOptions(COMPLETION_OPTIONS, rest)));
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
      throw invalidArgument("suffix is not supported: these models only continue text.", "Leave it out.");
    if (bestOf !== undefined && bestOf !== checked.n)
      throw invalidArgument("best_of is not supported.", "Leave it out, and choose among n yourself.");
    if (checked.max_tokens === 0 && !checked.echo) {
      throw invalidArgument(
        "max_tokens is 0, so there is nothing to answer.",
        "Write at least one token, or set echo: true to get the prompt back.",
      );
    }
    let includeUsage = false;
    if (streamOptions !== undefined) {
      if (!checked.stream) throw invalidArgument("stream_options needs stream: true.");
      const table = { include_usage: /** @type {const} */ ({ type: "boolean", default: false }) };
      includeUsage = checkOptions(table, streamOptions).include_usage === true;
    }
    const stops = checkOptions({ stop: GENERATE_OPTIONS.stop }, { stop: typeof stop === "string" ? [stop] : stop });
    return {
      ...checked,
      stop: /** @type {string[]} */ (stops.stop),
      signal: /** @type {AbortSignal | undefined} */ (signal),
      prompts: checkPrompts(prompt),
      includeUsage,
    };
  }

  /** Everything that is reported, in order. @param {Asked} asked @returns {AsyncGenerator<Part | End, void, undefined>} */
  async *#write(asked) {
    const { prompts, n } = asked;
    for (const [at, prompt] of asked.echo ? prompts.entries() : []) {
      const echo = await this.#echo(prompt, asked);
      for (let i = 0; i < n; i++) {
        const index = at * n + i;
        yield { index, text: echo.text, echo };
        if (asked.max_tokens === 0) yield { index, isFirst: i === 0, result: nothingAfter(echo) };
      }
    }
    if (asked.max_tokens > 0) yield* this.#writeOn(asked);
  }

  /** What the model writes. @param {Asked} asked @returns {AsyncGenerator<Part | End, void, undefined>} */
  async *#writeOn(asked) {
    const { n, signal } = asked;
    const chunks = this.#chunks(asked);
    try {
      for (;;) {
        const { done, value } = await chunks.next();
        if (done) {
          const results = [value].flat();
          if (results.some(({ finishReason }) => finishReason === "abort"))
            throw aborted("The completion", signal?.reason);
          for (const [index, result] of results.entries()) yield { index, isFirst: index % n === 0, result };
          return;
        }
        // With several texts, more tokens may arrive than were taken; do not wait for them.
        if (signal?.aborted) throw aborted("The completion", signal.reason);
        yield { index: "index" in value ? value.index : 0, text: value.text, chunk: value };
      }
    } finally {
      await chunks.return?.();
    }
  }

  /** @param {Asked} asked @returns {AsyncIterator<Chunk | import("../../tokenformer.js").AlternativeChunk, GenerateResult | GenerateResult[]>} */
  #chunks(asked) {
    const { prompts, n, seed } = asked;
    const options = optionsOf(asked);
    if (prompts.length * n === 1)
      return this.#model.generate(prompts[0], seed === undefined ? options : { ...options, seed });
    const candidates = prompts.flatMap((prompt) =>
      Array.from({ length: n }, (_, i) => ({ prompt, seed: seed === undefined ? randomSeed() : seedAfter(seed, i) })),
    );
    return this.#writeSeveral(candidates, options);
  }

  /** @param {string | Uint32Array} prompt @param {Asked} asked @returns {Promise<Echo>} */
  async #echo(prompt, { logprobs, max_tokens, signal }) {
    if (signal?.aborted) throw aborted("The completion", signal.reason);
    const text = typeof prompt === "string" ? prompt : await this.#model.decode(prompt);
    if (logprobs === undefined && max_tokens > 0) return { text, logprobs: null, tokenCount: 0 };
    const ids = typeof prompt === "string" ? await this.#model.encode(prompt) : Array.from(prompt);
    return {
      text,
      logprobs: logprobs === undefined ? null : await promptLogprobs(this.#model, ids, logprobs, signal),
      tokenCount: ids.length,
    };
  }

  /** @param {Head} head @param {Asked} asked */
  async #whole(head, asked) {
    /** @type {Choice[]} */
    const choices = [];
    const usage = noUsage();
    for await (const part of this.#write(asked)) {
      const { index } = part;
      const choice = (choices[index] ??= {
        text: "",
        index,
        logprobs: asked.logprobs === undefined ? null : emptyLogprobs(),
        finish_reason: null,
      });
      if (part.result) {
        choice.finish_reason = FINISH_REASONS[part.result.finishReason];
        count(usage, part);
        continue;
      }
      if (part.echo?.logprobs) choice.logprobs = structuredClone(part.echo.logprobs);
      if (choice.logprobs && part.chunk) addLogprobs(choice.logprobs, part.chunk, choice.text.length, asked.logprobs);
      choice.text += part.text;
    }
    return { ...head, choices, usage };
  }

  /** @param {Head} head @param {Asked} asked @returns {AsyncGenerator<Completion, void, undefined>} */
  async *#stream(head, asked) {
    const usage = noUsage();
    /** @type {(choice: Choice) => Completion} */
    const chunkOf = (choice) => ({ ...head, choices: [choice], ...(asked.includeUsage && { usage: null }) });
    /** Where the next text of each choice begins. @type {number[]} */
    const offsets = [];
    for await (const part of this.#write(asked)) {
      const { index } = part;
      if (part.result) {
        count(usage, part);
        const reason = FINISH_REASONS[part.result.finishReason];
        yield chunkOf({ text: "", index, logprobs: null, finish_reason: reason });
        continue;
      }
      const { text, chunk, echo } = part;
      const offset = offsets[index] ?? 0;
      offsets[index] = offset + text.length;
      const isWanted = chunk && asked.logprobs !== undefined;
      const ofPrompt = echo?.logprobs?.tokens.length ? echo.logprobs : null;
      const logprobs = isWanted ? addLogprobs(emptyLogprobs(), chunk, offset, asked.logprobs) : ofPrompt;
      if (text !== "" || logprobs) yield chunkOf({ text, index, logprobs, finish_reason: null });
    }
    if (asked.includeUsage) yield { ...head, choices: [], usage };
  }
}

/** One prompt or several, as a list: strings and arrays of token ids. @param {unknown} prompt */
function checkPrompts(prompt) {
  const isList =
    Array.isArray(prompt) &&
    prompt.length > 0 &&
    prompt.every((item) => typeof item === "string" || typeof item === "object");
  if (!isList) return [checkTextOrIds("prompt", prompt)];
  return prompt.map((item, i) => checkTextOrIds(`prompt[${i}]`, item));
}

/** The options of `generate`, without the seed. @param {Asked} asked @returns {import("../../tokenformer.js").GenerateOptions} */
function optionsOf(asked) {
  return {
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
    ...(asked.signal && { signal: asked.signal }),
  };
}

/** The end of a choice that consists of its prompt alone. @param {Echo} echo @returns {Result} */
function nothingAfter({ tokenCount }) {
  // An empty text counts as one token, the start of a text.
  return { finishReason: "length", usage: { promptTokens: Math.max(1, tokenCount), completionTokens: 0 } };
}

/** @returns {Usage} */
function noUsage() {
  return { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
}

/** Adds a choice; a prompt counts once, however many choices it has. @param {Usage} usage @param {End} end */
function count(usage, { result, isFirst }) {
  if (isFirst) usage.prompt_tokens += result.usage.promptTokens;
  usage.completion_tokens += result.usage.completionTokens;
  usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
}

/** Without a secure context there is no randomUUID. */
function randomName() {
  return globalThis.crypto?.randomUUID?.() ?? Math.random().toString(36).slice(2);
}
