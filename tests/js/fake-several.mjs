// Several texts at once in the fake engine.

/** Writes eight texts at a time, a token for each in turn; the newest token of a text is held back until the next. */
export class FakeSeveral {
  #texts;
  #turn = 0;

  constructor(engine, candidates, options) {
    Object.assign(this, { engine, freed: false });
    this.#texts = candidates.map(({ seed }, index) => ({
      index,
      seed,
      ids: [],
      told: 0,
      reason: null,
      aborted: false,
    }));
    engine.several = this;
    engine.generations.push(...candidates.map(({ seed }) => ({ options: { ...options, seed } })));
    this.options = options;
  }

  get written() {
    return this.#texts.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  next() {
    if (this.freed) throw new Error("next after free");
    return this.engine.exclusive("next", async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (this.engine.abortAsked) this.#abortAll();
      for (;;) {
        const open = this.#texts.filter(({ ids, told, reason }) => reason === null || told < ids.length).slice(0, 8);
        if (open.length === 0) return undefined;
        const text = open.find(({ index }) => index >= this.#turn) ?? open[0];
        this.#turn = text.index + 1;
        this.#step(text);
        const held = text.reason === null ? 1 : 0;
        if (text.told < text.ids.length - held) {
          const tokenId = text.ids[text.told++];
          const chunk = { index: text.index, text: String.fromCodePoint(tokenId), tokenId };
          return this.options.logprobs > 0
            ? { ...chunk, logprob: -4, topLogprobs: [{ text: "x", logprob: -0.1, tokenId: 1 }] }
            : chunk;
        }
      }
    });
  }

  #step(text) {
    const { seed, ids } = text;
    if (text.reason !== null) return;
    if (text.aborted) text.reason = "abort";
    else if (ids.length === this.options.maxTokens) text.reason = "length";
    else if (ids.length === this.engine.ends[seed]) text.reason = "stop";
    else if (ids.length === 3 && this.engine.request.id === "o/traps")
      throw new WebAssembly.RuntimeError("unreachable");
    else if (ids.length === 3 && this.engine.request.id === "o/fails")
      throw Object.assign(new Error("No room."), { code: "out-of-memory", hint: "" });
    else ids.push(65 + ids.length);
  }

  result() {
    return this.#texts.map(({ ids, seed, reason }) => ({
      text: String.fromCodePoint(...ids),
      tokenIds: ids,
      finishReason: reason ?? "abort",
      seed,
      usage: { promptTokens: 5, completionTokens: ids.length, timeToFirstTokenMs: 1, decodeTokensPerSecond: 1000 },
    }));
  }

  abortOne(index) {
    if (this.freed) throw new Error("abortOne after free");
    this.engine.log.push(`abort ${index}`);
    this.#texts[index].aborted = true;
  }

  abort() {
    if (this.freed) throw new Error("abort after free");
    this.#abortAll();
  }

  #abortAll() {
    for (const text of this.#texts) text.aborted = true;
  }

  free() {
    if (this.freed) throw new Error("freed twice");
    this.freed = true;
    this.engine.open -= 1;
  }
}
