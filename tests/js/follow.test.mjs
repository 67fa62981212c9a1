// Following a text as it grows, with a fake window.

import assert from "node:assert/strict";
import { test } from "node:test";
import { followText } from "../../www/page/follow.js";

function page() {
  const window = new EventTarget();
  const element = new EventTarget();
  let height = 500;
  const it = {
    grow(by) {
      height += by;
      element.dispatchEvent(new Event("token"));
    },
    end: () => element.dispatchEvent(new Event("done")),
    scrollTo(top) {
      globalThis.scrollY = Math.max(0, top);
      window.dispatchEvent(new Event("scroll"));
    },
    wheel: (deltaY) => window.dispatchEvent(Object.assign(new Event("wheel"), { deltaY })),
    get isAtEnd() {
      return height - scrollY <= innerHeight;
    },
  };
  Object.assign(globalThis, {
    innerHeight: 600,
    scrollY: 0,
    scrollBy: ({ top }) => it.scrollTo(scrollY + top),
    addEventListener: (...listener) => window.addEventListener(...listener),
    requestAnimationFrame: (callback) => callback(),
  });
  element.getBoundingClientRect = () => ({ bottom: height - scrollY });
  followText(element);
  return it;
}

test("the end of a text that grows is kept in sight", () => {
  const it = page();
  for (let i = 0; i < 20; i++) it.grow(40);
  assert.equal(it.isAtEnd, true);
});

test("a reader who scrolled up, by however little, is left where they read, until they come back", () => {
  for (const up of [5, 59, 300]) {
    const it = page();
    for (let i = 0; i < 20; i++) it.grow(40);
    it.scrollTo(scrollY - up);
    const place = scrollY;
    for (let i = 0; i < 20; i++) it.grow(10);
    assert.equal(scrollY, place, `${up} px`);
    it.scrollTo(5000);
    it.grow(40);
    assert.equal(it.isAtEnd, true);
  }
});

test("a wheel that goes up is heard although the text grows faster", () => {
  const it = page();
  for (let i = 0; i < 20; i++) it.grow(40);
  it.wheel(-10);
  const place = scrollY;
  it.grow(40);
  assert.equal(scrollY, place);
  it.end();
  it.scrollTo(5000);
  it.grow(40);
  assert.equal(it.isAtEnd, true);
});
