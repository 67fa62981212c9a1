// Types of ai-sdk.js, written by hand: the contract. They need the AI SDK's own, of the package @ai-sdk/provider.

import type { LanguageModelV4, ProviderV4 } from "@ai-sdk/provider";
import type { GenerateOptions, LoadOptions, TokenFormer } from "./tokenformer.js";

/**
 * A provider for the Vercel AI SDK 7. Its models are base models: they take the texts of all messages as one text, with
 * nothing between them, and continue. They warn about tools, JSON and parts that are no text.
 *
 * Options of `generate` that the SDK has no name for stand in `providerOptions: { tokenformer: { … } }`.
 */
export interface TokenFormerProvider extends ProviderV4 {
  /**
   * A language model of a loaded TokenFormer, or of a name as for `TokenFormer.load`; left out, the embedded one. A named
   * model is loaded at its first use and stays loaded.
   * @param defaults options of `generate` where a call says nothing
   */
  (model?: TokenFormer | string, defaults?: Omit<GenerateOptions, "signal">): LanguageModelV4;
  languageModel(model?: TokenFormer | string, defaults?: Omit<GenerateOptions, "signal">): LanguageModelV4;
}

/** Makes a provider whose named models are loaded with these options. */
export function createTokenFormer(options?: Omit<LoadOptions, "signal">): TokenFormerProvider;

/** The provider for loaded models, and for named ones with the default options. */
export const tokenFormer: TokenFormerProvider;
