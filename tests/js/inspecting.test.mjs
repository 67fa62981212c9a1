// Looking inside, in JavaScript: arguments, and how they reach an engine, on one thread and behind messages.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { TokenFormer } from "../../www/lib/api/model.js";
import { FakeEngine, useFakeEngine, useFakeWorker } from "./fake-engine.mjs";

const refused = (promise, message) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.code, "invalid-argument");
    assert.match(error.message, message);
    return true;
  });

const token = { layer: 1, kind: "mlp", slot: 7 };

for (const [thread, use] of [
  ["main", useFakeEngine],
  ["worker", useFakeWorker],
])
  describe(`in the ${thread} thread`, () => {
    let model;
    let engine;

    beforeEach(async () => {
      use();
      FakeEngine.made.length = 0;
      FakeEngine.beforeLoad = async () => {};
      model = await TokenFormer.load("a/b");
      engine = FakeEngine.made.at(-1);
    });

    test("what is asked for reaches the engine", async () => {
      assert.deepEqual(await model.inspect("abc"), [{ text: "abc", request: { top: 8 } }]);
      const asked = { layers: [2, 0], kinds: ["mlp", "query"], top: 64, position: 4 };
      const [{ text, request }] = await model.inspect([5, 6, 7], asked);
      assert.deepEqual([...text], [5, 6, 7]);
      assert.deepEqual(request, { layers: [2, 0], kinds: ["mlp", "query"], top: 64, positions: [4] });
      const [several] = await model.inspect("abc", { position: Uint32Array.of(2, 0) });
      assert.deepEqual(several.request.positions, [2, 0]);
      assert.deepEqual(await model.promotes(token), { up: [{ token, top: 10 }], down: [] });
      const ofPack = { ...token, pack: "letters" };
      assert.deepEqual(await model.promotes(ofPack, { top: 3 }), { up: [{ token: ofPack, top: 3 }], down: [] });
      await model.ablate([token, { ...ofPack, scale: -0.5 }]);
      assert.deepEqual(engine.ablations, [
        { ...token, scale: 0 },
        { ...ofPack, scale: -0.5 },
      ]);
      await model.ablate([]);
      assert.deepEqual(engine.log, ["inspect", "inspect", "inspect", "promotes", "promotes", "ablate 2", "ablate 0"]);
    });

    test("calls wait for a text that is being written", async () => {
      const text = model.generate("x", { maxTokens: 2 });
      await text.next();
      const [inspected] = [model.inspect("y"), model.ablate([])];
      await text.return();
      await inspected;
      assert.ok(engine.log.indexOf("inspect") > engine.log.lastIndexOf("next"), engine.log.join());
    });

    test("what is not right is refused and named before the engine hears of it", async () => {
      for (const [text, options, message] of [
        [undefined, undefined, /text must be/],
        [[], undefined, /text is an empty/],
        ["a", { top: 0 }, /top must be an integer from 1 to 64/],
        ["a", { top: 65 }, /top/],
        ["a", { top: "8" }, /top/],
        ["a", { position: -1 }, /position must be an integer from 0/],
        ["a", { position: 1.5 }, /position/],
        ["a", { position: "last" }, /position must be an integer or an array of integers/],
        ["a", { position: [0, NaN] }, /position\[1\]/],
        ["a", { position: [] }, /position is empty/],
        ["a", { layers: 0 }, /layers must be an array/],
        ["a", { layers: [] }, /layers is empty/],
        ["a", { layers: [-1] }, /layers\[0\]/],
        ["a", { kinds: ["mlp", "head"] }, /kinds\[1\] must be "query" or/],
        ["a", { kinds: "mlp" }, /kinds must be an array/],
        ["a", { positions: 1 }, /no option "positions"/],
        ["a", 5, /options/],
      ])
        await refused(model.inspect(text, options), message);
      for (const [bad, message] of [
        [undefined, /must be an object/],
        [{ kind: "mlp", slot: 0 }, /layer is missing/],
        [{ ...token, slot: -1 }, /slot/],
        [{ ...token, slot: "1" }, /slot/],
        [{ ...token, kind: "Mlp" }, /kind must be/],
        [{ ...token, pack: 5 }, /pack must be a string/],
        [{ ...token, scale: 0 }, /no option "scale"/],
      ])
        await refused(model.promotes(bad), message);
      await refused(model.promotes(token, { top: 1001 }), /top/);
      for (const [bad, message] of [
        [undefined, /ablate takes an array/],
        [token, /ablate takes an array/],
        [[token, null], /\[1\] must be an object/],
        [[{ ...token, layer: 0.5 }], /\[0\]\.layer/],
        [[token, { layer: 0, kind: "mlp" }], /\[1\]\.slot is missing/],
        [[{ ...token, scale: NaN }], /\[0\]\.scale/],
        [[{ ...token, scale: 1001 }], /\[0\]\.scale/],
        [[{ ...token, scale: "0" }], /\[0\]\.scale/],
        [[{ ...token, factor: 0 }], /no option "\[0\]\.factor"/],
      ])
        await refused(model.ablate(bad), message);
      assert.deepEqual(engine.log, []);
      await refused(model.inspect("long"), /does not fit/);
      await model.dispose();
      for (const call of [model.inspect("a"), model.promotes(token), model.ablate([])])
        await assert.rejects(call, { code: "disposed" });
    });
  });
