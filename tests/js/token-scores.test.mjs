// What the token view asks the model: the tokens of text that the model did not choose, how likely they were, what was expected there.

import "./fake-dom.mjs"; // first: the element looks for HTMLElement when it is imported
import assert from "node:assert/strict";
import { test } from "node:test";
import { tokensOf } from "../../www/lib/element/text-tokens.js";
import { TokenScores, windowOf, windowsOf } from "../../www/lib/element/token-scores.js";

/** A token for each word with the space before it, and one for each byte of a letter that is not ASCII; ids are code points. */
const VOCABULARY = [];
const idOf = (text) => (VOCABULARY.includes(text) ? VOCABULARY.indexOf(text) : VOCABULARY.push(text) - 1);
const encode = async (text) =>
  (text.match(/ ?[a-z.]+|\n|[^\x20-\x7f]|./gu) ?? []).flatMap((word) => {
    const bytes = [...new TextEncoder().encode(word)];
    return bytes.length > word.length ? bytes.map((byte) => idOf(`byte ${byte}`)) : [idOf(word)];
  });
const decode = async (ids) => {
  const bytes = Array.from(ids, (id) => {
    const [, byte] = /^byte (\d+)$/.exec(VOCABULARY[id]) ?? [];
    return byte ? [Number(byte)] : [...new TextEncoder().encode(VOCABULARY[id])];
  });
  return new TextDecoder().decode(Uint8Array.from(bytes.flat()));
};

const own = (text) => ({ text, run: 0, token: null });
const kept = (text) => ({ text, run: 1, token: null });
const drawn = (text, more = {}) => ({ text, run: 1, token: { tokenId: idOf(text), logprob: -2, ...more } });
const items = (pieces) => tokensOf(pieces, { encode, decode, texts: new Map() });

test("what nobody chose is read as the model reads it, and stays whose it was", async () => {
  const read = await items([own("one two"), drawn(" three"), kept(" o"), own("ver five"), kept(" six")]);
  assert.deepEqual(
    read.map(({ text, isTyped, piece, offset, token }) => [text, isTyped, piece, offset, token?.logprob]),
    [
      ["one", true, 0, 0, undefined],
      [" two", true, 0, 3, undefined],
      [" three", false, 1, 0, -2],
      [" over", true, 2, 0, undefined],
      [" five", true, 3, 3, undefined],
      [" six", false, 4, 0, undefined],
    ],
  );
  assert.deepEqual(
    read.map(({ token }) => token.tokenId),
    ["one", " two", " three", " over", " five", " six"].map(idOf),
  );
});

test("a last space belongs to what comes behind it, and letters of several tokens are whole", async () => {
  const texts = async (pieces) => (await items(pieces)).map(({ text, token }) => [text, token !== null]);
  assert.deepEqual(await texts([own("one ")]), [
    ["one", true],
    [" ", false],
  ]);
  assert.deepEqual(await texts([own("one "), drawn("two", { isHealed: true })]), [
    ["one", true],
    [" ", false],
    ["two", true],
  ]);
  assert.deepEqual(await texts([own("one "), drawn("two")]), [
    ["one", true],
    [" ", true],
    ["two", true],
  ]);
  assert.deepEqual(await texts([own("é\nx")]), [
    ["", true],
    ["é", true],
    ["\n", true],
    ["x", true],
  ]);
  assert.deepEqual(await texts([]), []);
});

test("a token's context has half of what fits at least", () => {
  for (const length of [2, 3, 8, 9, 1024])
    for (let index = 0; index < 5 * length; index += 1) {
      const context = index - windowOf(index, length);
      assert.ok(context < length && context >= Math.min(index, length >> 1), `${index} of ${length}: ${context}`);
    }
});

test("tokens with the same context are scored together, those at the end first", () => {
  for (const contextLength of [2, 3, 8, 9])
    for (let length = 0; length < 40; length += 1) {
      const windows = windowsOf(length, contextLength);
      const all = windows
        .toReversed()
        .flatMap(([begin, end]) => Array.from({ length: end - begin }, (_, i) => begin + i));
      assert.deepEqual(
        all,
        Array.from({ length }, (_, i) => i),
      );
      for (const [begin, end] of windows) {
        const start = windowOf(begin, contextLength);
        assert.equal(windowOf(end - 1, contextLength), start);
        assert.ok(end - start <= contextLength);
      }
    }
});

/** A model in which every token has a probability of e^-(its context's length), and a KV cache. */
class Model {
  info = { contextLength: 8 };
  cache = [];
  log = [];
  encode = encode;
  decode = decode;
  async context() {
    return this.cache;
  }
  async score(ids, { context }) {
    assert.ok(ids.length + context.length <= 8);
    this.log.push(ids.length);
    this.cache = [...context, ...ids].slice(0, -1);
    this.onScore?.();
    return { logprobs: ids.map((_, i) => (context.length + i === 0 ? null : -context.length - i)) };
  }
  async *generate(ids, options) {
    this.log.push(`look ${ids.length}`);
    await this.onLook?.(options.signal);
    if (options.signal.aborted) return;
    assert.deepEqual([options.maxTokens, options.minTokens, options.temperature, options.logprobs], [1, 1, 0, 10]);
    this.cache = ids;
    yield { tokenId: 1, text: "x", topLogprobs: [{ tokenId: 1, text: "x", logprob: -0.5 }] };
  }
}

/** A view that only records, and everything that the scores use. */
function setUp(t, pieces) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const it = { pieces, model: new Model(), isFree: true, updates: [], first: [] };
  it.view = {
    chosen: -1,
    showItems: (items) => (it.items = items),
    update: (index) => it.updates.push(index),
  };
  const now = () => 0; // no step takes any time: they grow
  const { view } = it;
  it.scores = new TokenScores({
    view,
    pieces: () => it.pieces,
    before: async () => it.first,
    model: () => (it.isFree ? it.model : null),
    now,
  });
  it.rest = async () => {
    t.mock.timers.tick(1000);
    for (let i = 0; i < 200; i += 1) await Promise.resolve();
  };
  it.logprobs = () => it.items.map(({ token }) => token?.logprob);
  return it;
}

test("all tokens of which nothing is known are scored, each in its context", async (t) => {
  const it = setUp(t, [own("a b"), drawn(" c"), own(" d e")]);
  it.scores.refresh();
  await it.rest();
  assert.deepEqual(it.logprobs(), [null, -1, -2, -3, -4]);
  it.pieces = [own("a b c d e f g h i j k l m n")];
  it.scores.refresh();
  await it.rest();
  assert.deepEqual(it.logprobs().slice(0, 8), [null, -1, -2, -3, -4, -5, -6, -7]);
  // Longer than the context: in halves of it.
  assert.deepEqual(it.logprobs().slice(8), [-4, -5, -6, -7, -4, -5]);
});

test("what the model reads before every text stands before these tokens, too", async (t) => {
  const it = setUp(t, [own("a b c")]);
  it.scores.refresh();
  await it.rest();
  it.first = [idOf("memory"), idOf(".")];
  it.scores.refresh();
  await it.rest();
  assert.deepEqual(it.logprobs(), [-2, -3, -4]);
  assert.deepEqual(it.model.cache, [...it.first, idOf("a"), idOf(" b")]);
  it.view.chosen = 0;
  it.scores.look(0);
  await it.rest();
  assert.equal(it.model.log.at(-1), "look 2");
  it.pieces = [own("a b c d e f g h")];
  it.scores.refresh();
  await it.rest();
  assert.deepEqual(it.logprobs(), [-2, -3, -4, -5, -6, -7, -5, -6]);
});

test("what was known before a change counts on, and nothing is asked twice", async (t) => {
  const it = setUp(t, [own("a b c")]);
  it.scores.refresh();
  await it.rest();
  const { length } = it.model.log;
  it.scores.refresh();
  await it.rest();
  assert.equal(it.model.log.length, length);
  it.pieces = [own("a b x d")];
  it.scores.refresh();
  await it.rest();
  assert.deepEqual([it.logprobs(), it.model.log.slice(length)], [[null, -1, -2, -3], [2]]);
  // Another model has none of these scores.
  it.model = new Model();
  it.scores.refresh();
  await it.rest();
  assert.ok(it.model.log.length > 0);
});

test("who waits for a text waits for one step at most, and an edited text's scores are dropped", async (t) => {
  const it = setUp(t, [own(Array.from({ length: 40 }, () => "a").join(" "))]);
  it.model.info = { contextLength: 8 };
  it.model.onScore = () => {
    it.isFree = false;
    it.scores.refresh();
  };
  it.scores.refresh();
  await it.rest();
  assert.equal(it.model.log.length, 1);
  it.isFree = true;
  it.model.onScore = () => {
    it.pieces = [own("b")];
    it.model.onScore = null;
    it.scores.refresh();
  };
  it.scores.refresh();
  await it.rest();
  await it.rest();
  assert.equal(it.model.log.length, 2);
  assert.deepEqual(
    it.items.map(({ text }) => text),
    ["b"],
  );
});

test("who waits for a text does not wait for what stands before a token, either", async (t) => {
  const it = setUp(t, [...Array.from({ length: 40 }, () => drawn(" a")), own(" b")]);
  it.model.info = { contextLength: 100 };
  it.model.score = async (ids) => {
    it.model.log.push(ids.length);
    it.isFree = false;
    return { logprobs: ids.map(() => -1) };
  };
  it.scores.refresh();
  await it.rest();
  assert.equal(it.model.log.length, 1);
  assert.equal(it.logprobs()[40], undefined);
});

test("where the model has read something else meanwhile, the context is read again in steps", async (t) => {
  const it = setUp(t, [own("a b c d e f g")]);
  it.model.info = { contextLength: 8 };
  it.model.onScore = () => {
    it.model.cache = []; // somebody else
    if (it.model.log.length > 20) throw new Error("It does not end.");
  };
  it.scores.refresh();
  await it.rest();
  assert.deepEqual(it.logprobs(), [null, -1, -2, -3, -4, -5, -6]);
});

test("what was expected is asked once, of the token that is still looked at, and never while a text is written", async (t) => {
  const it = setUp(t, [own("a b c"), drawn(" d", { topLogprobs: [{ tokenId: 1, text: "x", logprob: -1 }] })]);
  it.scores.refresh();
  await it.rest();
  const looks = () => it.model.log.filter((one) => String(one).startsWith("look"));
  it.view.chosen = 2;
  it.scores.look(1); // the mouse has gone on
  it.scores.look(2);
  it.scores.look(2);
  await it.rest();
  assert.deepEqual(looks(), ["look 2"]);
  assert.equal(it.items[2].token.topLogprobs.length, 1);
  assert.equal(it.updates.at(-1), 2);
  for (const [index, isFree] of [
    [0, true], // nothing stands before it
    [2, true],
    [3, true], // the model has said so when it wrote it
    [1, false],
  ]) {
    [it.view.chosen, it.isFree] = [index, isFree];
    it.scores.look(index);
    await it.rest();
  }
  assert.deepEqual(looks(), ["look 2"]);
});

test("a question about a token ends when another one is looked at, or a text is to be written", async (t) => {
  const it = setUp(t, [own("a b c")]);
  it.scores.refresh();
  await it.rest();
  const signals = [];
  it.model.onLook = (signal) => (signals.push(signal), new Promise((resolve) => (signal.onabort = resolve)));
  for (const index of [1, 2]) {
    it.view.chosen = index;
    it.scores.look(index);
    await it.rest();
  }
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, false],
  );
  it.isFree = false;
  it.scores.refresh();
  await it.rest();
  assert.equal(signals[1].aborted, true);
  assert.deepEqual(
    it.items.map(({ token }) => token.topLogprobs),
    [undefined, undefined, undefined],
  );
});

test("a model without a tokenizer leaves the text as it is", async (t) => {
  const it = setUp(t, [own("a")]);
  it.model.encode = async () => {
    throw new Error("No tokenizer.");
  };
  it.scores.refresh();
  await it.rest();
  assert.equal(it.items, undefined);
});
