import assert from "node:assert/strict";
import { test } from "node:test";
import { Manuscript } from "../../www/lib/element/manuscript.js";

const token = (text) => ({ text, tokenId: text.length, logprob: -1, topLogprobs: [] });

/** "own[written]" of a manuscript. */
const marked = (m) => m.stretches.map(({ text, written }) => (written ? `[${text}]` : text)).join("");

function written(own, ...tokens) {
  let now = 0;
  const m = new Manuscript(() => (now += 10_000)); // nobody types that slowly: every change is a step of its own
  m.begin([{ text: own, written: false }]);
  m.beginPassage();
  for (const text of tokens) m.append(token(text));
  m.endPassage();
  return m;
}

test("who wrote what survives edits anywhere", () => {
  const cases = [
    ["Once upon a time!", "Once[ upon][ a][ time]!"],
    ["Once, upon a time", "Once,[ upon a time]"],
    ["Once upon one time", "Once[ upon ]one[ time]"],
    ["Once upon a", "Once[ upon a]"],
    ["nce upon a time", "nce[ upon a time]"],
    ["", ""],
    ["Once upon a time", "Once[ upon a time]"],
    ["Another text", "Another text"],
  ];
  for (const [edited, wanted] of cases) {
    const m = written("Once", " upon", " a", " time");
    m.edit(edited);
    assert.equal(m.text, edited);
    assert.equal(marked(m), wanted.replaceAll("][", ""), edited);
  }
});

test("half a token is no token any more, the others keep theirs", () => {
  const m = written("Once", " upon", " a", " time");
  m.edit("Once up a time");
  assert.deepEqual(
    m.pieces.map((p) => [p.text, p.token !== null]),
    [
      ["Once", false],
      [" up", false],
      [" a", true],
      [" time", true],
    ],
  );
  assert.equal(m.lastPassage, 1);
});

test("characters of two halves stay whole", () => {
  const m = written("a", "😀", "🙃");
  m.edit("a😁🙃");
  assert.equal(marked(m), "a😁[🙃]");
  const n = written("a", "😀", "\u{1fa00}");
  n.edit("a😀\u{1fb00}"); // the same low half
  assert.equal(marked(n), "a[😀]\u{1fb00}");
});

test("tokens without text stay in their place", () => {
  const m = written("x", "", "é", "");
  m.edit("yx");
  assert.equal(m.text, "yx" + "é".slice(1));
  const n = written("x", "", "é", "!");
  n.edit("yxé!");
  assert.deepEqual(
    n.pieces.map((p) => p.text),
    ["y", "x", "", "é", "!"],
  );
});

test("undo and redo go through generations and edits", () => {
  const m = written("a", "b");
  m.edit("abc");
  m.beginPassage();
  m.append(token("d"));
  m.endPassage();
  assert.equal(marked(m), "a[b]c[d]");
  const back = [];
  while (m.undo()) back.push(marked(m));
  assert.deepEqual(back, ["a[b]c", "a[b]", "a"]);
  while (m.redo());
  assert.equal(marked(m), "a[b]c[d]");
  m.undo();
  m.edit("abcx");
  assert.equal(m.canRedo, false);
});

test("quick typing is one step; a passage of nothing is none", () => {
  let now = 0;
  const m = new Manuscript(() => now);
  m.edit("a");
  now += 200;
  m.edit("ab");
  now += 5000;
  m.edit("abc");
  m.beginPassage();
  m.endPassage();
  assert.deepEqual([m.undo(), m.text, m.undo(), m.text, m.undo()], [true, "ab", true, "", false]);
});

test("what is typed right after a new beginning is a step of its own", () => {
  const m = new Manuscript(() => 0);
  m.edit("a");
  m.begin([{ text: "b", written: false }]);
  m.edit("bc");
  assert.deepEqual([m.undo(), m.text, m.undo()], [true, "b", false]);
});

test("tokens are put between what stands there, as one passage, and taken out again", () => {
  const m = written("Once", " upon", " a time");
  m.splice(9, 12, [
    { ...token(" one\r"), written: true, isHealed: true },
    { ...token("\n"), written: true },
    { text: "and", written: false },
  ]);
  assert.equal(m.text, "Once upon one\nandtime");
  assert.deepEqual(
    m.pieces.map(({ text, token }) => [text, token?.tokenId ?? null, token?.isHealed ?? false]),
    [
      ["Once", null, false],
      [" upon", 5, false],
      [" one\n", 5, true],
      ["", 1, false],
      ["and", null, false],
      ["time", null, false],
    ],
  );
  assert.equal(m.pieces[2].run, m.pieces[3].run);
  assert.equal(m.lastPassage, 2);
  assert.equal(m.undo() && m.text, "Once upon a time");
  assert.equal(m.pieces[2].token.tokenId, 7);
  m.splice(3, 3, []);
  assert.equal(m.canRedo, true);
});

test("the newest passage is the one to write again", () => {
  const m = written("a", "b", "c");
  m.beginPassage();
  m.append(token("d"));
  m.endPassage();
  m.edit("xabcd");
  assert.equal(m.textBefore(m.lastPassage), "xabc");
  m.beginPassage(m.lastPassage);
  m.append(token("e"));
  m.endPassage();
  assert.equal(marked(m), "xa[bce]");
  assert.ok(m.undo());
  assert.equal(marked(m), "xa[bcd]");
  assert.equal(new Manuscript().lastPassage, -1);
});

test("what was kept can be put back, and is no step where nothing differs", () => {
  const m = written("a", "b");
  const copy = new Manuscript();
  copy.replace(m.stretches);
  assert.equal(marked(copy), "a[b]");
  copy.replace(m.stretches);
  assert.deepEqual([copy.undo(), copy.undo()], [true, false]);
});

test("lines end in one character, wherever text comes in, so that typing is compared with what the field shows", () => {
  const m = new Manuscript(() => 0);
  m.begin([
    { text: "One\r\nTwo\r", written: false },
    { text: "\nThree\rfour", written: true },
  ]);
  assert.equal(marked(m), "One\nTwo\n[Three\nfour]");
  m.edit("One\nTwo\nThree\nfour!");
  assert.equal(marked(m), "One\nTwo\n[Three\nfour]!");
  m.edit("One\r\nTwo\r\nThree\r\nfour!!"); // as a script's field may say it
  assert.equal(marked(m), "One\nTwo\n[Three\nfour]!!");
  m.replace([{ text: "a\r\nb", written: false }]);
  assert.equal(marked(m), "a\nb");
});

test("a model's line ends, in one token or in two, are one", () => {
  const m = written("a", "\r\n", "b\r", "", "\nc", "\n", "\r", "\r\n");
  assert.equal(m.text, "a\nb\nc\n\n\n");
  m.edit(`${m.text}!`);
  assert.equal(marked(m), "a[\nb\nc\n\n\n]!");
  // The character before a passage is not half of its first line end.
  const n = written("a\r", "\nb");
  assert.equal(marked(n), "a\n[\nb]");
});

test("the same stretches are told from others", () => {
  const m = written("a\n", "b", "c");
  const own = { text: "a\r\n", written: false };
  assert.equal(m.consistsOf([own, { text: "bc", written: true }]), true);
  assert.equal(
    m.consistsOf([own, { text: "b", written: true }, { text: "", written: false }, { text: "c", written: true }]),
    true,
  );
  assert.equal(m.consistsOf([{ text: "a\nbc", written: false }]), false);
  assert.equal(m.consistsOf([own, { text: "bd", written: true }]), false);
});

test("typing in a long text looks at the place, not at every letter", () => {
  const long = "All work and no play makes a dull text.\n".repeat(12_500); // 500,000 characters
  const m = written(long, " The", " end");
  for (const at of [0, 123_456, long.length, long.length + 8]) {
    const { text } = m;
    m.edit(`${text.slice(0, at)}x${text.slice(at)}`);
    assert.equal(m.text.length, text.length + 1);
    m.undo();
  }
  const { charCodeAt } = String.prototype;
  let looked = 0;
  String.prototype.charCodeAt = function (at) {
    looked += 1;
    return charCodeAt.call(this, at);
  };
  try {
    m.edit(`${m.text}x`);
  } finally {
    String.prototype.charCodeAt = charCodeAt;
  }
  assert.ok(looked > 0 && looked < 20_000, `${looked} letters`); // those of the blocks around the place
});

test("a place goes with what stands around it, and is lost with what stands before it", () => {
  const it = new Manuscript();
  it.begin([
    { text: "one two ", written: false },
    { text: "three four", written: true },
  ]);
  const after = (act) => ((it.mark = 8), act(), it.mark);
  assert.equal(
    after(() => it.edit("one, two three four")),
    9,
  );
  assert.equal(
    after(() => it.edit("one, two three four five")),
    8,
  );
  assert.equal(
    after(() => it.edit("one, ree four five")),
    5,
    "it was within what was taken away",
  );
  it.beginPassage();
  assert.equal(
    after(() => it.append({ text: " six", tokenId: 1 })),
    8,
  );
  it.endPassage();
  assert.equal(
    after(() => it.undo()),
    8,
  );
  assert.equal(
    after(() => it.replace([{ text: "another text", written: false }])),
    null,
  );
  for (const nowhere of [0, -1, 12, 99, null]) {
    it.mark = nowhere;
    assert.equal(it.mark, null);
  }
});
