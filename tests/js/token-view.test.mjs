import "./fake-dom.mjs";
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodesBelow } from "./fake-dom.mjs";
import { percent, spoken, surprise, TokenView, visible } from "../../www/lib/element/token-view.js";

test("probabilities in words", () => {
  assert.deepEqual(
    [1, 0.372, 0.0942, 0.00412, 0.0009].map((p) => percent(Math.log(p))),
    ["100 %", "37 %", "9.4 %", "0.4 %", "< 0.1 %"],
  );
});

test("blanks can be seen", () => {
  assert.deepEqual([" the", "a b", "\n\n", "\t", "", "  "].map(visible), [
    "␣the",
    "a b",
    "⏎⏎",
    "⇥",
    "(part of a character)",
    "␣␣",
  ]);
});

test("tokens are called by their words, not by signs", () => {
  assert.deepEqual([" She", "a b", "\n\n", "\t", "", " ", "   "].map(spoken), [
    "She",
    "a b",
    "new line",
    "tab",
    "part of a character",
    "space",
    "3 spaces",
  ]);
});

test("a view without tokens says what will be there, one with tokens what the shades mean", () => {
  const view = new TokenView({ onChoose: () => {} });
  const isShown = (part) => nodesBelow(view.node).some((node) => node.hidden === false && part.test(textBelow(node)));
  const textBelow = (node) =>
    nodesBelow(node)
      .map((n) => n.textContent ?? n)
      .join(" ");
  const own = { text: "Once", run: 0, token: null };
  view.show([own]);
  assert.deepEqual([isShown(/There are none yet/), isShown(/expected/)], [true, false]);
  view.append({ text: " upon", run: 1, token: { tokenId: 5 } });
  assert.deepEqual([isShown(/There are none yet/), isShown(/expected/)], [false, true]);
  view.show([own, { text: " upon", run: 1, token: null }]);
  assert.deepEqual([isShown(/There are none yet/), isShown(/expected/)], [false, false]);
});

test("shades go from the expected to the surprising", () => {
  assert.deepEqual(
    [1, 0.5, 0.2, 0.05, 0.01, 1e-9].map((p) => surprise(Math.log(p))),
    [0, 0, 1, 2, 3, 4],
  );
  assert.equal(surprise(undefined), 0);
});

test("passages without tokens are explained", () => {
  const view = new TokenView({ onChoose: () => {} });
  const note = nodesBelow(view.node).find(({ className }) => className === "tokens-note");
  const own = { text: "Once", run: 0, token: null };
  const isShown = (...pieces) => (view.show(pieces), !note.hidden);
  assert.deepEqual(
    [
      isShown(own),
      isShown(own, { text: " a", run: 1, token: { tokenId: 5 } }),
      isShown(own, { text: " upon", run: 1, token: null }),
    ],
    [false, false, true],
  );
  assert.equal(isShown(own), false);
});

test("every token is a button with its probability; what the visitor wrote is text", () => {
  const view = new TokenView({ onChoose: () => {} });
  view.show([
    { text: "Once", run: 0, token: null },
    { text: " upon", run: 1, token: { tokenId: 5, logprob: Math.log(0.5), topLogprobs: [] } },
  ]);
  view.append({ text: "\n", run: 1, token: { tokenId: 6 } });
  const spans = nodesBelow(view.node).filter((node) => node.className && ["own", "token"].includes(node.className));
  assert.deepEqual(
    spans.map((span) => [span.role, span.textContent, span.getAttribute("aria-label")]),
    [
      [undefined, "Once", null],
      ["button", " upon", "upon, 50 %"],
      ["button", "⏎\n", "new line"],
    ],
  );
});
