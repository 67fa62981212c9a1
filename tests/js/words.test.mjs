// The check of words finds what it should, where users read it, and nothing in code.

import assert from "node:assert/strict";
import { test } from "node:test";
import { commentsOf, faultsOf, proseOf, rustStringsOf, shownBy, stringsOf } from "../../scripts/lint/words.mjs";

test("phrases that stop a reader are found, and what to write instead is said", () => {
  assert.deepEqual(faultsOf("The model goes on.\nIt is fast."), ['"goes on": write continues, resumes']);
  assert.deepEqual(faultsOf("A file that cannot be had."), ['"be had": write is available; can be downloaded']);
  assert.deepEqual(faultsOf("Going on holiday, we had tea: a tell-tale sign."), []);
});

test("a sentence of the interface has 25 words at most", () => {
  const words = (count) => `${Array(count).fill("word").join(" ")}.`;
  assert.deepEqual(faultsOf(`${words(25)} ${words(25)}`, { isInterface: true }), []);
  assert.match(faultsOf(words(26), { isInterface: true }).join(), /^26 words/);
  assert.deepEqual(faultsOf(words(26)), [], "documents may have longer ones");
});

test("what users read is found in pages, scripts, types and documents", () => {
  const html = '<p title="Some title">A <b>bold</b>\nword</p><script>var is = "no text";</script><!-- nor this -->';
  assert.deepEqual(
    shownBy(html).map((text) => text.replace(/\s+/g, " ").trim()),
    ["A bold word", "Some title"],
  );
  assert.deepEqual(stringsOf('// no text\nconst a = "one text", b = `two ${a} texts`, c = "word", d = "a-b";'), [
    "one text",
    "two X texts",
  ]);
  assert.deepEqual(rustStringsOf('// "no text"\nlet a = "one text";\n#[cfg(test)]\nlet b = "a test";'), ["one text"]);
  assert.deepEqual(commentsOf("/** What `x` is. */\nx: string; // no"), [" What X is. "]);
  assert.deepEqual(proseOf("# A\n\nb `goes on`\n\n```js\ngoes on\n```\n- c\n- d"), ["# A", "b X", "- c", "- d"]);
});
