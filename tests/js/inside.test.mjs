// The page that looks inside, with a fake model: names, links, what is strongest, the map's picture, and the text without
// some parameter tokens.

import assert from "node:assert/strict";
import { test } from "node:test";
import { insideLink, LONGEST_TEXT } from "../../www/page/inside-link.js";
import { readView, toHash } from "../../www/page/inspect/address.js";
import { Averages, firingOf, keyOf, placeOf, strengthsOf, strongest } from "../../www/page/inspect/places.js";
import { Shades, slotsOf } from "../../www/page/inspect/shades.js";
import { mostChanged, nextStep, peaks, Study } from "../../www/page/inspect/study.js";
import { Turns } from "../../www/page/inspect/turns.js";
import { writeOn } from "../../www/page/inspect/writing.js";

const fired = (slot, contribution, pack) => ({
  slot,
  score: 1,
  activation: contribution / 2,
  contribution,
  ...(pack && { pack }),
});
const at = (position, layer, kind, ...top) => ({ position, layer, kind, top });

test("a parameter token has one name, also of a pack whose name has points", () => {
  for (const place of [
    { layer: 9, kind: "mlp", slot: 1664 },
    { layer: 0, kind: "query", slot: 0, pack: "my.pack 2" },
  ])
    assert.deepEqual(placeOf(keyOf(place)), place);
  for (const wrong of ["", "9", "9.mlp", "9.words.3", "-1.mlp.3", "9.mlp.x", "9.mlp.1e3"])
    assert.equal(placeOf(wrong), null, wrong);
});

test("a link holds the view, and nothing that it may not say", () => {
  const view = {
    model: { model: "owner/name", quantization: "q8" },
    text: "One & two\n“three” #4",
    at: 4,
    chosen: { layer: 2, kind: "proj", slot: 7, pack: "Kettle" },
    changes: [
      { layer: 2, kind: "proj", slot: 7, pack: "A * b", scale: 0 },
      { layer: 1, kind: "mlp", slot: 70, scale: 1.5 },
    ],
  };
  assert.deepEqual(readView(toHash(view)), view);
  assert.equal(toHash({ ...view, text: "a".repeat(LONGEST_TEXT + 1) }), null);
  const nothing = { model: {}, text: null, at: null, chosen: null, changes: [] };
  for (const hash of [
    "",
    "#at=-1&token=x&changed=9.mlp.4*|*0|9.mlp.4*1e9|9.mlp.4&quantization=q5",
    "#endpoint=https://evil.example&access-token=hf_x&model=./local/~x~y/",
  ])
    assert.deepEqual(readView(hash), nothing, hash);
});

test("a word's link holds the text around it, and no hub of the visitor's", () => {
  const attributes = (all) => (name) => all[name] ?? null;
  const link = (text, at, all = {}) => {
    const href = insideLink(attributes(all), text, at);
    return href && readView(href.slice(href.indexOf("#")));
  };
  assert.deepEqual(link("One two", 3, { model: "a/b" }).model, { model: "a/b" });
  const long = "word ".repeat(4000);
  for (const place of [4, 9999, long.length - 1]) {
    const { text, at } = link(long, place);
    assert.ok(text.length <= LONGEST_TEXT);
    assert.ok(place < 10 || /^\s/.test(text) || text.startsWith("word"), "no word is cut");
    assert.equal(text.slice(at, at + 3), long.slice(place, place + 3));
  }
  assert.equal(insideLink(attributes({ model: "./local/~x~y/" }), "One", 1), null);
  assert.equal(insideLink(attributes({ endpoint: "https://hub.example" }), "One", 1), null);
});

test("first comes what contributes most, or what does here and not elsewhere", () => {
  const here = strengthsOf([at(3, 0, "mlp", fired(1, 6), fired(2, 2)), at(3, 1, "proj", fired(5, 4, "P"))]);
  assert.deepEqual(
    here.map(({ share }) => share),
    [0.75, 0.25, 1],
  );
  const kinds = new Set(["mlp", "proj"]);
  const names = (list) => list.map(keyOf);
  assert.deepEqual(names(strongest(here, { kinds, count: 2 })), ["0.mlp.1", "1.proj.5.P"]);
  assert.deepEqual(names(strongest(here, { kinds: new Set(["mlp"]), count: 9 })), ["0.mlp.1", "0.mlp.2"]);
  const averages = new Averages();
  averages.add([at(0, 0, "mlp", fired(1, 6)), at(0, 1, "proj")]);
  averages.add([at(1, 0, "mlp", fired(1, 5)), at(1, 1, "proj", fired(5, 1, "P"), fired(5, 8))]);
  assert.equal(averages.positions, 2);
  const mean = (key) => averages.of(key);
  assert.deepEqual(names(strongest(here, { kinds, count: 3, mean })), ["1.proj.5.P", "0.mlp.2", "0.mlp.1"]);
});

test("where it fires: of this pack, of this kind, and no two neighbours", () => {
  const places = [
    at(0, 0, "mlp", fired(1, 2)),
    at(1, 0, "mlp", fired(1, 8, "P")),
    at(2, 0, "proj", fired(1, 9)),
    at(3, 0, "mlp", fired(2, 1), fired(1, 6)),
  ];
  assert.deepEqual(firingOf(places, { layer: 0, kind: "mlp", slot: 1 }, 5), [1, 0, 0, 3, 0]);
  assert.deepEqual(firingOf(places, { layer: 0, kind: "mlp", slot: 1, pack: "P" }, 4), [0, 4, 0, 0]);
  assert.deepEqual(peaks([1, 9, 8, 0, 3, -1], 9), [1, 4]);
  assert.deepEqual(peaks([1, 9, 8, 0, 3], 1), [1]);
});

test("the map lights what fires in its place and colour, lets it fade, and tells what lies where", () => {
  const slots = slotsOf({ qkv_slot_num: 40, proj_slot_num: 40, ffn_slot_num: 200 });
  const shades = new Shades(3, slots);
  const pixels = new Uint8ClampedArray(shades.width * shades.height * 4);
  const colours = { base: [255, 0, 0], packs: [0, 0, 255], dark: [0, 0, 0] };
  const lit = () => {
    shades.paint(colours, pixels);
    const found = [];
    for (let i = 0; i < pixels.length; i += 4)
      if (pixels[i] > 0 || pixels[i + 2] > 0) {
        const [x, y] = [(i / 4) % shades.width, Math.floor(i / 4 / shades.width)];
        const where = shades.at((x + 0.5) / shades.width, (y + 0.5) / (shades.height + 1));
        found.push({ ...where, red: pixels[i], blue: pixels[i + 2], y });
      }
    return found;
  };
  shades.light([
    at(0, 2, "mlp", fired(199, 4)),
    at(0, 0, "query", fired(0, 4), fired(20, 1)),
    at(0, 1, "key", fired(3, 2, "P")),
  ]);
  const seen = lit();
  const one = (layer, kind) => seen.filter((pixel) => pixel.layer === layer && pixel.kind === kind);
  for (const [layer, kind, slot] of [
    [2, "mlp", 199],
    [0, "query", 0],
  ]) {
    const [first] = one(layer, kind);
    assert.equal(first.red, 255);
    assert.ok(first.slots[0] <= slot && slot < first.slots[1], `${first.slots}`);
  }
  assert.deepEqual(
    new Set(one(0, "query").map(({ red }) => red)),
    new Set([255, 128]),
    "half of the root of a quarter",
  );
  assert.ok(one(1, "key").every(({ red, blue, slots }) => red === 0 && blue === 255 && slots === null));
  assert.equal(shades.fade(0.5), true);
  assert.equal(Math.max(...lit().map(({ red }) => red)), 128);
  assert.equal(shades.fade(0), false);
  assert.deepEqual(lit(), []);
});

/** The signal of a caller that waits. */
const GOES_ON = new AbortController().signal;

/** A model of letters whose every token pushes the next letter; a parameter token that is switched off doubles the letter. */
function letters() {
  const calls = [];
  let ablated = [];
  const model = {
    calls,
    info: { contextLength: 12 },
    encode: async (text) => Array.from(text, (letter) => letter.charCodeAt(0)),
    decode: async (ids) => String.fromCharCode(...ids),
    inspect: async (ids, { position, layers = [0], kinds = ["mlp"], top }) => {
      calls.push(["inspect", ids.length, position, top]);
      return [position]
        .flat()
        .flatMap((one) => layers.map((layer) => at(one, layer, kinds[0], fired(ids[one] % 2, 1))));
    },
    ablate: async (changes) => {
      calls.push(["ablate", changes.length]);
      ablated = changes;
    },
    score: async (ids) => (
      calls.push(["score"]),
      {
        logprobs: [null, ...ids.slice(1).map(() => (ablated.length ? -2 : -1))],
        perplexity: ablated.length ? 7 : 3,
      }
    ),
    complete: async (ids, { maxTokens }) => {
      if (model.fails) throw new Error("lost");
      const tokenIds = Array.from({ length: maxTokens }, (_, i) => ids.at(-1) + (ablated.length ? 0 : i + 1));
      return { tokenIds, text: String.fromCharCode(...tokenIds), finishReason: "length" };
    },
    promotes: async (place, options) => {
      assert.deepEqual([Object.keys(place).sort(), options], [["kind", "layer", "slot"], { top: 10 }]);
      calls.push(["promotes"]);
      return { up: [], down: [] };
    },
  };
  return model;
}

test("a text is compared with what it becomes, and nothing stays switched off, even where that fails", async () => {
  const model = letters();
  const study = new Study(model, new Turns());
  assert.equal(
    (await study.read("abcdefghijklmnop")).map(({ text }) => text).join(""),
    "efghijklmnop",
    "the last that fit",
  );
  assert.equal(study.words[0].start, 4);
  const change = [{ layer: 0, kind: "mlp", slot: 1, scale: 0 }];
  const plain = await study.plain(3, GOES_ON);
  const calls = model.calls.length;
  assert.deepEqual(
    [await study.plain(3, GOES_ON), await study.likelihoods(GOES_ON)].map(({ perplexity }) => perplexity),
    [3, 3],
  );
  assert.equal(model.calls.length, calls, "asked once");
  const changed = await study.changed(change, 3, GOES_ON);
  assert.ok(
    plain.written.startsWith("hij") && changed.written.startsWith("ggg"),
    `${plain.written} ${changed.written}`,
  );
  assert.deepEqual([plain.perplexity, changed.perplexity], [3, 7]);
  assert.deepEqual(mostChanged(plain, changed, 2), [
    { index: 1, before: -1, after: -2 },
    { index: 2, before: -1, after: -2 },
  ]);
  model.fails = true;
  await assert.rejects(study.changed(change, 4, GOES_ON), /lost/);
  assert.deepEqual(
    model.calls.filter(([call]) => call === "ablate"),
    [
      ["ablate", 1],
      ["ablate", 0],
      ["ablate", 1],
      ["ablate", 0],
    ],
  );
});

test("of a text that is longer than the context, a part around a place of it is read", async () => {
  const text = Array.from({ length: 200 }, (_, i) => String.fromCharCode(1000 + i)).join("");
  const read = async (at) => {
    const words = await new Study(letters(), new Turns()).read(text, at);
    return [words.length, words[0].start, words.at(-1).start];
  };
  assert.deepEqual(await read(null), [12, 188, 199]);
  assert.deepEqual(await read(199), [12, 188, 199]);
  const [count, first, last] = await read(3);
  assert.ok(count === 12 && first === 0 && last === 11);
  const [, from, to] = await read(100);
  assert.ok(from < 100 && to > 100, `${from} ${to}`);
});

test("nothing is asked while something is switched off", async () => {
  const model = letters();
  const study = new Study(model, new Turns());
  await study.read("abcdefghij");
  model.calls.length = 0;
  const change = [{ layer: 0, kind: "mlp", slot: 1, scale: 0 }];
  await Promise.all([study.changed(change, 3, GOES_ON), study.fired(4, GOES_ON), study.firing(change[0], GOES_ON)]);
  assert.deepEqual(
    model.calls.map(([call]) => call),
    ["ablate", "score", "ablate", "inspect", "inspect"],
  );
});

test("a word is asked for by the position that wrote it, averages in steps, pushes once", async () => {
  const model = letters();
  const study = new Study(model, new Turns());
  await study.read("abcdefghij");
  await study.fired(4, GOES_ON);
  assert.deepEqual(model.calls.at(-1), ["inspect", 4, 3, 64]);
  model.calls.length = 0;
  await study.survey(GOES_ON);
  assert.deepEqual(
    model.calls.flatMap(([, , position]) => position),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  assert.equal(model.calls[0][2].length, 4);
  assert.equal(study.averages.of("0.mlp.0"), 0.5);
  assert.equal(study.isSurveyed, true);
  const place = { layer: 0, kind: "mlp", slot: 1, share: 0.5 };
  await Promise.all([study.promotes(place), study.promotes(place)]);
  assert.equal(model.calls.filter(([call]) => call === "promotes").length, 1);
  assert.equal(await study.promotes({ layer: 0, kind: "key", slot: 1 }), null);
  model.calls.length = 0;
  await assert.rejects(study.survey(AbortSignal.abort()), { name: "AbortError" });
  assert.deepEqual(model.calls, [], "nothing is asked for somebody who has gone");
  const long = await study.firstWordsOf("abcdefghijklmnopqrstuvwxyz", GOES_ON);
  const shares = [];
  const firing = await study.firingIn(long, place, GOES_ON, (share) => shares.push(share));
  assert.equal(firing.length, 26, "a text that is longer than the context, in pieces");
  assert.equal(shares.length, 3);
});

test("writing on looks at some of what it writes, and ends with the context", async () => {
  const model = letters();
  model.info.contextLength = 40;
  const written = [];
  const positions = [];
  const told = await writeOn(model, [97, 98, 99], {
    signal: new AbortController().signal,
    onWritten: (ids) => void written.push(ids.length),
    onFired: (places) => positions.push(...places.map(({ position }) => position)),
  });
  assert.equal(told.tokens, 37);
  assert.deepEqual(written.at(-1), 37);
  assert.deepEqual(positions.slice(0, 2), [26, 27], "those that wrote the last of the first 32");
  assert.ok(positions.every((one, i) => i === 0 || one > positions[i - 1]) && positions.at(-1) < 39);
  for (const [, , asked] of model.calls.filter(([call]) => call === "inspect")) assert.ok(asked.length <= 8);
  const stopped = await writeOn(model, [97], {
    signal: AbortSignal.abort(),
    onWritten: assert.fail,
    onFired: assert.fail,
  });
  assert.equal(stopped.tokens, 0);
});

test("a step becomes longer or shorter by what it took, by a factor of two at most", () => {
  assert.deepEqual(
    [nextStep(16, 0), nextStep(16, 120), nextStep(16, 1e6), nextStep(1, 1e6), nextStep(128, 0)],
    [32, 16, 8, 1, 128],
  );
});
