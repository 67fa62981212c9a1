// Token packs of the fake engine: files with a correct header, and a training that learns nothing.

/** The file of a pack. */
export function packFile({ name, strength, tokens = 2, kinds = ["proj", "mlp"], base, training, fill = 0 } = {}) {
  const header = {};
  const size = tokens * 4 * 2;
  let end = 0;
  for (const kind of kinds)
    for (const part of ["key_tokens", "value_tokens"])
      header[`layers.0.${kind}.${part}`] = { dtype: "F16", shape: [tokens, 4], data_offsets: [end, (end += size)] };
  const told = { format: "tokenformer-pack", version: "1" };
  if (name !== undefined) told.name = name;
  if (strength !== undefined) told.strength = String(strength);
  if (base) told.base = JSON.stringify(base);
  if (training) told.training = JSON.stringify(training);
  return safetensors({ __metadata__: told, ...header }, new Uint8Array(end).fill(fill));
}

/** Any header, followed by these bytes. */
export function safetensors(header, tensors = new Uint8Array()) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + tensors.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(tensors, 8 + text.length);
  return file;
}

/** Makes two steps at a time, an epoch; the loss falls from 4. Like the engine, it measures before the first step. */
export class FakeTraining {
  #step = 0;
  #hasBegun = false;

  constructor(engine, documents, options, pack) {
    Object.assign(this, { engine, documents, options, pack, freed: false });
    this.steps = options.steps ?? (options.epochs ?? 4) * 2;
    engine.training = this;
  }

  next() {
    if (this.freed) throw new Error("next after free");
    return this.engine.exclusive("train", async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (this.engine.abortAsked || this.#step === this.steps) return undefined;
      if (this.documents[0] === "trap") throw new WebAssembly.RuntimeError("unreachable");
      const count = this.#hasBegun ? Math.min(2, this.steps - this.#step) : 0;
      this.#hasBegun = true;
      if (this.documents[0] === "lost" && count > 0)
        throw Object.assign(new Error("The device is lost, and no other can be had."), {
          code: "device-lost",
          hint: "",
        });
      const losses = this.losses().slice(this.#step, (this.#step += count));
      return {
        step: this.#step,
        steps: this.steps,
        epoch: Math.ceil(this.#step / 2),
        losses,
        validation: this.options.validation > 0 ? 4 - this.#step / 20 : null,
        tokensSeen: this.#step * 1024,
        tokensPerSecond: 1000,
        secondsLeft: count > 0 ? (this.steps - this.#step) / 10 : null,
        message: null,
        isEpochEnd: count > 0,
      };
    });
  }

  losses() {
    return Array.from({ length: this.steps }, (_, i) => 4 - (i + 1) / 10);
  }

  pause() {
    return this.#learnt("pause");
  }

  result() {
    return this.#learnt("result");
  }

  #learnt(what) {
    if (this.freed) throw new Error(`${what} after free`);
    return this.engine.exclusive(what, async () => {
      const { name, tokens, kinds } = this.options;
      const loss = this.losses().slice(0, this.#step);
      return {
        bytes: packFile({ name, tokens, kinds, base: { id: this.engine.request.id }, fill: this.#step }),
        report: { tokensSeen: this.#step * 1024, tokensPerSecond: 1000, loss, validation: { before: 4, after: 3.5 } },
      };
    });
  }

  free() {
    if (this.engine.busy) throw new Error(`free while ${this.engine.busy}`);
    if (this.freed) throw new Error("freed twice");
    this.freed = true;
  }
}
