// Token packs of the made-up engine: files with a right header, and a training that learns nothing.

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

/** Any header with what stands behind it. */
export function safetensors(header, tensors = new Uint8Array()) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + tensors.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(tensors, 8 + text.length);
  return file;
}

/** Makes a step at a time, two for an epoch; the loss falls from 4. */
export class FakeTraining {
  #step = 0;

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
      const step = (this.#step += 1);
      if (this.documents[0] === "lost" && step === 2)
        throw Object.assign(new Error("The device is lost, and no other can be had."), {
          code: "device-lost",
          hint: "",
        });
      if (this.documents[0] === "trap") throw new WebAssembly.RuntimeError("unreachable");
      return {
        step,
        steps: this.steps,
        epoch: step / 2,
        loss: 4 - step / 10,
        validation: step < 2 ? null : 4 - step / 20,
        tokensPerSecond: 1000,
        secondsLeft: (this.steps - step) / 10,
        isEpochEnd: step % 2 === 0,
      };
    });
  }

  result() {
    if (this.freed) throw new Error("result after free");
    return this.engine.exclusive("learnt", async () => {
      const loss = Array.from({ length: this.#step }, (_, i) => 4 - (i + 1) / 10);
      const { name, tokens, kinds } = this.options;
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
