// The entry `tokenformer-web/ai-sdk`: a provider for the Vercel AI SDK.

import { createTokenFormer } from "./lib/ai-sdk/provider.js";

export { createTokenFormer };

/** The provider for loaded models, or models loaded with the default options. */
export const tokenFormer = createTokenFormer();
