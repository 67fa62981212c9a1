// A provider for the Vercel AI SDK: the SDK's other providers call a server, this one runs a model in the page.

import { unlessAborted } from "../api/abort.js";
import { isUsable } from "../api/model.js";
import { checkLoadOptions } from "../api/options.js";
import { acquire } from "../api/shared-models.js";
import { EMBEDDED } from "../embedded.js";
import { invalidArgument } from "../errors.js";
import { linkedTo } from "../linked.js";
import { finishReasonOf, PROVIDER, translate, usageOf } from "./call.js";

/** @typedef {import("@ai-sdk/provider").LanguageModelV4} LanguageModelV4 */
/** @typedef {import("@ai-sdk/provider").LanguageModelV4CallOptions} CallOptions */
/** @typedef {import("@ai-sdk/provider").LanguageModelV4StreamPart} StreamPart */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */
/** @typedef {import("../../tokenformer.js").LoadOptions} LoadOptions */
/** @typedef {Pick<import("../../tokenformer.js").TokenFormer, "generate" | "complete" | "info">} Model */
/** @typedef {Promise<import("../api/model.js").TokenFormer>} Loading */
/** How a language model gets its model. @typedef {(signal: AbortSignal | undefined) => Promise<Model>} Find */

/** The id of the single text part of an answer. */
const TEXT = "0";

/**
 * Makes a provider. Models given by name are loaded on first use, once, and stay loaded.
 * @param {Omit<LoadOptions, "signal">} [options] for these loads
 */
export function createTokenFormer(options = {}) {
  const { onProgress, ...rest } = options;
  checkLoadOptions(options);
  if ("signal" in options) throw invalidArgument("signal belongs to a call: pass abortSignal there.");
  /** Models that are loaded or loading, by name; undefined is the embedded model. @type {Map<string | undefined, Loading>} */
  const loads = new Map();

  /** @param {string | undefined} name @returns {Loading} */
  const load = (name) => {
    const loading = acquire(name, rest, { onProgress }).then(({ model }) => model);
    loads.set(name, loading);
    loading.catch(() => loads.delete(name)); // the next call tries again
    return loading;
  };
  /** @param {string | undefined} name @returns {Find} */
  const finder = (name) => async (signal) => {
    const model = await unlessAborted(loads.get(name) ?? load(name), "Loading", signal);
    // A model whose device was lost is loaded again.
    return isUsable(model) ? model : unlessAborted(load(name), "Loading", signal);
  };

  /** @param {Model | string} [model] a loaded model, or a name as for `load`; left out, the embedded one @param {GenerateOptions} [defaults] */
  const languageModel = (model, defaults = {}) => {
    if (model === undefined || typeof model === "string")
      return new LanguageModel(model ?? EMBEDDED.name, finder(model), defaults);
    if (typeof model?.generate !== "function") throw invalidArgument("The model must be a TokenFormer or a name.");
    return new LanguageModel(model.info.id, async () => model, defaults);
  };
  /** @param {string} kind */
  const none = (kind) => () => {
    throw invalidArgument(`There is no ${kind} model: these models write texts.`, "Use languageModel().");
  };
  return Object.assign(languageModel, {
    specificationVersion: /** @type {const} */ ("v4"),
    languageModel,
    embeddingModel: none("embedding"),
    imageModel: none("image"),
  });
}

/** @implements {LanguageModelV4} */
class LanguageModel {
  specificationVersion = /** @type {const} */ ("v4");
  provider = PROVIDER;
  /** @type {Record<string, RegExp[]>} */
  supportedUrls = {};
  #find;
  #defaults;

  /** @param {string} modelId @param {Find} find @param {GenerateOptions} defaults */
  constructor(modelId, find, defaults) {
    this.modelId = modelId;
    this.#find = find;
    this.#defaults = defaults;
  }

  /** @param {CallOptions} call */
  async doGenerate(call) {
    const { prompt, options, warnings } = translate(call, this.#defaults);
    const model = await this.#model(call);
    const { text, finishReason, usage } = await model.complete(prompt, options);
    if (call.abortSignal?.aborted) throw call.abortSignal.reason;
    return {
      content: [{ type: /** @type {const} */ ("text"), text }],
      finishReason: finishReasonOf(finishReason),
      usage: usageOf(usage),
      warnings,
      response: this.#response(),
    };
  }

  /** @param {CallOptions} call */
  async doStream(call) {
    const { prompt, options, warnings } = translate(call, this.#defaults);
    const model = await this.#model(call);
    const { abortSignal } = call;
    const { controller, unlink } = linkedTo(abortSignal);
    const chunks = model.generate(prompt, { ...options, signal: controller.signal });
    // Errors that only show once the prompt is read must reject here, where the caller expects them.
    const first = await chunks.next().catch((error) => {
      unlink();
      throw error;
    });
    const response = this.#response();

    /** @returns {AsyncGenerator<StreamPart, void, undefined>} */
    async function* parts() {
      yield { type: "stream-start", warnings };
      yield { type: "response-metadata", ...response };
      yield { type: "text-start", id: TEXT };
      let next = first;
      try {
        for (; !next.done; next = await chunks.next()) {
          const { text, ...raw } = next.value;
          if (text !== "") yield { type: "text-delta", id: TEXT, delta: text };
          if (call.includeRawChunks) yield { type: "raw", rawValue: { text, ...raw } };
        }
      } finally {
        unlink();
      }
      if (abortSignal?.aborted) throw abortSignal.reason;
      const { finishReason, usage } = next.value;
      yield { type: "text-end", id: TEXT };
      yield { type: "finish", finishReason: finishReasonOf(finishReason), usage: usageOf(usage) };
    }

    return { stream: streamOf(parts(), () => controller.abort()) };
  }

  /** @param {CallOptions} call */
  async #model({ abortSignal }) {
    if (abortSignal?.aborted) throw abortSignal.reason;
    try {
      return await this.#find(abortSignal);
    } catch (error) {
      throw abortSignal?.aborted ? abortSignal.reason : error;
    }
  }

  #response() {
    return { timestamp: new Date(), modelId: this.modelId };
  }
}

/**
 * A stream that is filled as values arrive, whether or not anyone reads it: an abandoned stream does not block others.
 * @param {AsyncIterator<StreamPart, void>} parts
 * @param {() => void} end ends the values; called when the stream is cancelled
 * @returns {ReadableStream<StreamPart>}
 */
function streamOf(parts, end) {
  let isOpen = true;
  return new ReadableStream({
    start(body) {
      const fill = async () => {
        for (;;) {
          const { done, value } = await parts.next();
          if (done) break;
          if (isOpen) body.enqueue(value); // and else goes on to the end, which is near, and frees what writes
        }
        if (isOpen) body.close();
      };
      fill().catch((error) => isOpen && body.error(error));
    },
    cancel() {
      isOpen = false;
      end();
    },
  });
}
