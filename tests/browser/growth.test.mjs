// Token packs in the browser against float64 (tests/fixtures/growth): gradients, the losses of thirty steps of training, and
// logits with packs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { FULL, modulePage, relativeError, start } from "./harness.mjs";

/** Permitted error of a loss, as a share of the loss or of `least`, whichever is larger. */
const LOSS = { share: 0.01, least: 0.05 };
const LOGITS = 2e-3;
/** For each tensor's gradient. */
const GRADIENT = 1e-3;
/**
 * AdamW's first step moves a token by rate · g / (|g| + ε): with an ε far above every gradient, by g times this, so large that
 * the token itself, which is rounded in the pack's file, matters little.
 */
const STRETCH = 1000;
const EPSILON = 1e5;
const KINDS = ["query", "key", "value", "proj", "mlp"];

let world;
let page;
before(async () => {
  if (!FULL) return;
  world = await start();
  page = await modulePage(world);
});
after(() => world?.close());

/** The tensors of a safetensors file: shape and bytes by name. */
function tensorsOf(file) {
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length));
  return (name) => {
    const { dtype, shape, data_offsets: offsets } = header[name];
    return { dtype, shape, bytes: file.subarray(...offsets.map((at) => at + 8 + length)) };
  };
}

/** A pack's file, of the tensors `{set}.{layer}.{kind}.{key|value}`. */
function packFile(tensors, set, layers, kinds = KINDS) {
  const header = { __metadata__: { format: "tokenformer-pack", version: "1" } };
  const parts = [];
  let end = 0;
  for (let layer = 0; layer < layers; layer++)
    for (const kind of kinds)
      for (const side of ["key", "value"]) {
        const { dtype, shape, bytes } = tensors(`${set}.${layer}.${kind}.${side}`);
        header[`layers.${layer}.${kind}.${side}_tokens`] = { dtype, shape, data_offsets: [end, end + bytes.length] };
        end += bytes.length;
        parts.push(bytes);
      }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, " ")]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...parts]).toString("base64");
}

/** The short tier has the same kernels on the same fixtures natively: src/model/tests/training.rs. */
const skip = !FULL && "takes half a minute on a software GPU";
for (const name of ["head64", "head80", "uneven-slots"])
  test(`${name}: gradients, thirty steps, and logits with packs agree with float64`, { skip }, async () => {
    const folder = new URL(`../fixtures/growth/${name}/`, import.meta.url);
    const growth = JSON.parse(readFileSync(new URL("growth.json", folder), "utf8"));
    const config = JSON.parse(readFileSync(new URL(`../fixtures/${name}/config.json`, import.meta.url), "utf8"));
    const tensors = tensorsOf(readFileSync(new URL("growth.safetensors", folder)));
    const read = (/** @type {string} */ tensor, Type) => {
      const { bytes } = tensors(tensor);
      return Array.from(new Type(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
    };
    const layers = config.num_layers;
    const files = {
      zero: packFile(tensors, "zero.tokens", layers),
      trained: packFile(tensors, "trained.tokens", layers),
      some: packFile(tensors, "some.tokens", layers, ["proj", "mlp"]),
      all: packFile(tensors, "some.tokens", layers),
    };
    const ids = read("input_ids", Int32Array);
    const { adamw } = growth;
    const options = {
      steps: adamw.steps,
      sequenceLength: ids.length,
      batch: 1,
      learningRate: adamw.lr,
      schedule: "constant",
      warmup: 0,
      weightDecay: adamw.weight_decay,
      clipNorm: adamw.clip_norm,
      beta1: adamw.beta1,
      beta2: adamw.beta2,
      epsilon: adamw.eps,
      validation: 0,
    };
    const got = await page.evaluate(
      async ({ address, files, ids, options, first }) => {
        const blob = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
        const model = await TokenFormer.load(address);
        const base = Array.from(await model.logits(ids));
        /** By how much one step moves tokens: the values of the pack's tensors by name. */
        const moved = async (file) => {
          const one = { ...options, ...first, pack: blob(file) };
          const bytes = await (await model.train(ids, one)).toBlob().arrayBuffer();
          const length = Number(new DataView(bytes).getBigUint64(0, true));
          const { __metadata__: _, ...header } = JSON.parse(new TextDecoder().decode(bytes.slice(8, 8 + length)));
          const values = Object.entries(header).map(([name, { dtype, data_offsets: offsets }]) => {
            const part = bytes.slice(...offsets.map((at) => at + 8 + length));
            return [name, Array.from(dtype === "F16" ? new Float16Array(part) : new Float32Array(part))];
          });
          return Object.fromEntries(values);
        };
        const gradients = { zero: await moved(files.zero), some: await moved(files.all) };
        const { training } = await model.train(ids, { ...options, pack: blob(files.zero) });
        await model.addPack(blob(files.trained), { name: "trained" });
        const trained = Array.from(await model.logits(ids));
        // By their names, in the other direction.
        await model.addPack(blob(files.some), { name: "a part of some", strength: 0.5 });
        const stack = Array.from(await model.logits(ids));
        for (const { name } of model.packs) await model.removePack(name);
        const again = Array.from(await model.logits(ids));
        await model.dispose();
        return { gradients, losses: training.loss, trained, stack, isBase: again.every((x, i) => x === base[i]) };
      },
      {
        address: `${world.server.origin}/oracle/fixtures/${name}-f16/`,
        files,
        ids,
        options,
        first: { steps: 1, learningRate: STRETCH * EPSILON, epsilon: EPSILON, clipNorm: 0 },
      },
    );
    for (const [set, moved] of Object.entries(got.gradients)) {
      assert.equal(Object.keys(moved).length, 2 * layers * KINDS.length);
      for (const [tensor, values] of Object.entries(moved)) {
        const [, layer, kind, side] = /^layers\.(\d+)\.(\w+)\.(key|value)_tokens$/.exec(tensor);
        const of = (/** @type {string} */ what) => read(`${set}.${what}.${layer}.${kind}.${side}`, Float32Array);
        const [start, want] = [of("tokens"), of("grad")];
        const gradient = values.map((value, i) => (start[i] - value) / STRETCH);
        // With zero keys and nonzero values, some gradients are zero.
        const error = want.some((x) => x !== 0) ? relativeError(gradient, want) : Math.max(...gradient.map(Math.abs));
        assert.ok(error < GRADIENT, `${set}, ${tensor}: ${error}`);
      }
    }
    assert.equal(got.losses.length, adamw.steps);
    got.losses.forEach((loss, i) => {
      const want = growth.losses[i];
      const error = Math.abs(loss - want);
      assert.ok(error < LOSS.share * Math.max(want, LOSS.least), `step ${i}: ${loss}, not ${want}`);
    });
    const last = (values) => values.slice(-config.padded_vocab_size);
    for (const set of ["trained", "stack"]) {
      const error = relativeError(got[set], last(read(`${set}.logits`, Float32Array)));
      assert.ok(error < LOGITS, `logits of ${set}: ${error}`);
    }
    assert.ok(got.isBase, "without packs it is the base, to the last bit");
  });
