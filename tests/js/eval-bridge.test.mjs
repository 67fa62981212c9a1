// The page's side of eval/: how it uses the module.

import assert from "node:assert/strict";
import { test } from "node:test";
import "../../eval/tokenformer_eval/bridge.js";
import { FakeEngine, useFakeEngine } from "./fake-engine.mjs";

const { bridge } = globalThis;
const call = async (name, argument) => JSON.parse(await bridge[name](JSON.stringify(argument)));

test("prompts with the same options are written at once, and texts come in their order", async () => {
  useFakeEngine();
  globalThis.reportProgress = () => {};
  const module = new URL("../../www/lib/api/model.js", import.meta.url).href;
  assert.equal((await call("load", { module, name: "a/b", options: {} })).ok.id, "a/b");
  const engine = FakeEngine.made.at(-1);
  const options = { maxTokens: 3, temperature: 0, topP: 0.5, topK: 4, stop: ["end"], seed: 6 };
  const prompts = [[1], [1, 2], [3]];
  assert.deepEqual(await call("complete", { prompts, options }), { ok: ["ABC", "ABC", "ABC"] });
  assert.deepEqual(
    engine.prompts.map((ids) => [...ids]),
    prompts,
  );
  assert.equal(engine.log.filter((name) => name === "start").length, 1);
  for (const { options: used } of engine.generations)
    assert.deepEqual(
      Object.keys(options).map((name) => used[name]),
      Object.values(options),
    );
  const one = { maxTokens: 2, temperature: 0, topP: 1, topK: 0, stop: [] };
  assert.deepEqual(await call("complete", { prompts: [[4]], options: one }), { ok: ["AB"] });
  const wrong = await call("complete", { prompts: [[-1]], options: one });
  assert.equal(wrong.error.code, "invalid-argument");
});
