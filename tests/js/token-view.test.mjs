import "./fake-dom.mjs";
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodesBelow } from "./fake-dom.mjs";
import { TokenView } from "../../www/lib/element/token-view.js";
import { percent, spoken, surprise, visible } from "../../www/lib/element/token-words.js";

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

const own = (text) => ({ text, run: 0, token: null });
const item = (text, more = {}) => ({ text, isTyped: true, piece: 0, offset: 0, token: { tokenId: 1 }, ...more });
/** The tokens' spans. */
const spans = (view) => nodesBelow(view.node).find(({ className }) => className === "tokens").children;
/** The words on the card. */
const card = (view) => {
  const found = nodesBelow(view.node).find(({ className }) => className === "card");
  return found.hidden ? "" : nodesBelow(found).find(({ className }) => className === "card-note")?.textContent;
};
/** Selects a token, as by a click. */
function look(view, index) {
  const list = nodesBelow(view.node).find(({ className }) => className === "tokens");
  const target = Object.assign(spans(view)[index], { dataset: { index }, getClientRects: () => [] });
  list.dispatchEvent(Object.defineProperty(new Event("click"), "target", { value: target }));
}

test("a view without tokens says what will be there, one with tokens what the shades mean and what is to come", () => {
  const view = new TokenView({ onChoose: () => {} });
  const isShown = (part) => nodesBelow(view.node).some((node) => node.hidden === false && part.test(textBelow(node)));
  const textBelow = (node) =>
    nodesBelow(node)
      .map((n) => n.textContent ?? n)
      .join(" ");
  const shown = () => [/appear once it is loaded/, /expected/, /waits to be read/].map(isShown);
  view.show([own("Once")]);
  assert.deepEqual(shown(), [true, false, false]);
  view.append({ text: " upon", run: 1, token: { tokenId: 5 } }, 1);
  assert.deepEqual(shown(), [false, true, true]);
  view.showItems([item("Once"), item(" ", { token: null }), item(" upon")]);
  assert.deepEqual(shown(), [false, true, false]);
});

test("what becomes known of a text leaves alone what is seen of it, and who looks at it", () => {
  const view = new TokenView({ onChoose: () => {} });
  const token = { tokenId: 5, logprob: -1, topLogprobs: [{ tokenId: 5, text: " a", logprob: -1 }] };
  view.show([own("Once upon"), { text: " a", run: 1, token }, own(" time")]);
  const [, seen] = spans(view);
  look(view, 1);
  const known = [item("Once"), item(" upon"), item(" a", { token, isTyped: false }), item(" time")];
  view.showItems(known);
  assert.deepEqual(
    spans(view).map((span) => [span.textContent, span.getAttribute("data-index"), span.className]),
    [
      ["Once", "0", "token own"],
      [" upon", "1", "token own"],
      [" a", "2", "token written"],
      [" time", "3", "token own"],
    ],
  );
  assert.deepEqual([spans(view)[2] === seen, view.chosen, card(view)], [true, 2, "The model wrote “a” (37\u00a0%)."]);
  known[3].token.logprob = Math.log(0.001);
  view.update(3);
  assert.equal(spans(view)[3].getAttribute("data-surprise"), "4");
  // A text with different tokens loses its card along with its spans.
  view.showItems([item("Once upon a time")]);
  assert.deepEqual([spans(view).length, view.chosen, card(view)], [1, -1, ""]);
});

test("a card says what the model expected and what was written, once that is known", () => {
  const looks = [];
  const chosen = [];
  const view = new TokenView({ onChoose: (...choice) => chosen.push(choice), onLook: (index) => looks.push(index) });
  const items = [item("A", { token: { tokenId: 1, logprob: null } }), item(" cat", { token: { tokenId: 2 } })];
  view.showItems(items);
  look(view, 0);
  assert.deepEqual([card(view), looks], ["The text begins here: the model expected nothing before “A”.", []]);
  const told = () => (view.update(1), card(view));
  look(view, 1);
  assert.deepEqual([told(), looks[0]], ["You wrote “cat”. What else was likely comes in a moment.", 1]);
  const { token } = items[1];
  token.logprob = Math.log(0.02);
  assert.equal(told(), "You wrote “cat” (2.0\u00a0%). What else was likely comes in a moment.");
  const likely = (text, tokenId = 9) => (token.topLogprobs = [{ tokenId, text, logprob: Math.log(0.3) }]);
  likely(" dog");
  assert.equal(told(), "The model expected “dog” (30\u00a0%). You wrote “cat” (2.0\u00a0%).");
  likely("cat");
  assert.equal(told(), "The model expected “cat” (30\u00a0%). You wrote “␣cat” (2.0\u00a0%).");
  likely("\n");
  assert.equal(told(), "The model expected new line (30\u00a0%). You wrote “␣cat” (2.0\u00a0%).".replace("␣", ""));
  likely(" cat", 2);
  assert.equal(told(), "You wrote “cat” (2.0\u00a0%), as the model expected.");
  const rows = nodesBelow(view.node).filter(({ className }) => className === "alternative");
  rows[0].dispatchEvent(new Event("click"));
  assert.deepEqual([chosen[0][0], chosen[0][1].text], [items[1], " cat"]);
});

test("shades go from the expected to the surprising", () => {
  assert.deepEqual(
    [1, 0.5, 0.2, 0.05, 0.01, 1e-9].map((p) => surprise(Math.log(p))),
    [0, 0, 1, 2, 3, 4],
  );
  assert.equal(surprise(undefined), 0);
});

test("every token is a button with its probability; what is not read yet is text", () => {
  const view = new TokenView({ onChoose: () => {} });
  view.show([
    { text: "Once", run: 0, token: null },
    { text: " upon", run: 1, token: { tokenId: 5, logprob: Math.log(0.5), topLogprobs: [] } },
  ]);
  view.append({ text: "\n", run: 1, token: { tokenId: 6 } }, 2);
  assert.deepEqual(
    spans(view).map((span) => [span.role, span.textContent, span.getAttribute("aria-label")]),
    [
      [undefined, "Once", null],
      ["button", " upon", "upon, 50 %"],
      ["button", "⏎\n", "new line"],
    ],
  );
});
