// The page's side: calls the module's public interface. Arguments and answers are JSON, since playwright's own
// encoding of arrays takes many times as long.

let model;

/** Runs `call` on the arguments; the answer, or code, message and hint of the error. */
const answer = (call) => async (json) => {
  try {
    return JSON.stringify({ ok: await call(JSON.parse(json)) });
  } catch (e) {
    const { code = "unknown", message = String(e), hint = "" } = e ?? {};
    return JSON.stringify({ error: { code, message, hint } });
  }
};

/** Passes progress on twice a second, and whenever the phase changes. */
function throttled(report) {
  let phase,
    last = 0;
  return (p) => {
    if (p.phase === phase && p.loadedBytes !== p.totalBytes && performance.now() - last < 500) return;
    [phase, last] = [p.phase, performance.now()];
    report(JSON.stringify({ phase: p.phase, loadedBytes: p.loadedBytes, totalBytes: p.totalBytes }));
  };
}

const load = async ({ module, name, options }) => {
  const { TokenFormer } = await import(module);
  model = await TokenFormer.load(name ?? undefined, { ...options, onProgress: throttled(globalThis.reportProgress) });
  return model.info;
};

const encode = (texts) => Promise.all(texts.map((text) => model.encode(text)));

/** NaN and infinities, which JSON does not have, arrive as null: the other side takes them for a mistake. */
const score = async (items) => (await model.score(items)).map(({ logprobs, isGreedy }) => ({ logprobs, isGreedy }));

/** The texts of all prompts, written at once. */
const complete = async ({ prompts, options: { maxTokens, topP, topK, ...rest } }) => {
  const params = { prompt: prompts, max_tokens: maxTokens, top_p: topP, top_k: topK, ...rest };
  return (await model.completions.create(params)).choices.map(({ text }) => text);
};

globalThis.bridge = {
  load: answer(load),
  encode: answer(encode),
  score: answer(score),
  complete: answer(complete),
};
