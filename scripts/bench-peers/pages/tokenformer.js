// This engine. m=ADDRESS of a model folder, relative to this page, or random=450M for a published shape made here;
// engine=ADDRESS of another build's tokenformer.js.

import { compare, keep, newTokens, query } from "./compare.js";

const NO_END = { 0: -1e4 }; // token 0 would end a text

compare("tokenformer-web", async (report) => {
  const { TokenFormer } = await import(new URL(query.get("engine") ?? "../tokenformer.js", location));
  const { random, subgroups } = { random: query.get("random"), subgroups: query.get("subgroups") !== "0" };
  const model = random
    ? await TokenFormer.random(`Haiyang-W/TokenFormer-${random}`, { subgroups })
    : await TokenFormer.load(new URL(query.get("m"), location).href, { cache: keep });
  let isTuned = false;
  return async ({ ids }, onToken) => {
    await model.reset();
    const options = { maxTokens: newTokens, temperature: 0, logitBias: NO_END };
    const chunks = model.generate(ids, options);
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) {
        // The first text is not measured. After it, decode steps are tuned; in an ordinary page that happens by itself.
        if (!isTuned) await model.benchmark({ promptTokens: 8, maxTokens: 2, runs: 1 });
        isTuned = true;
        const { id, quantization, adapter, variants, weightBytes } = model.info;
        report.info = { id, quantization, adapter, variants, weightBytes };
        return { ownDecode: value.usage.decodeTokensPerSecond, ownPrefill: value.usage.prefillTokensPerSecond };
      }
      if (value.tokenId !== undefined && value.tokenId !== null) onToken();
    }
  };
});
