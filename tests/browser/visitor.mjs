// What the tests of the page share: a visitor's own browser, and the page's own server, which can be switched off.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { serve } from "../../scripts/static-server.mjs";
import { open, SUB_PATH } from "./harness.mjs";

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
const AXE = createRequire(import.meta.url)("axe-core").source;

/** A context of its own, and a server whose `close` is a lost network. */
export async function visitor(world, { width = 1280, height = 800, ...options } = {}) {
  const requests = [];
  const server = await serve({ [SUB_PATH]: DIST }, { onRequest: (request) => requests.push(request.url.slice(SUB_PATH.length - 1)) });
  const context = await world.browser.newContext({ viewport: { width, height }, ...options });
  await context.addInitScript(() => {
    globalThis.shifts = [];
    globalThis.longTasks = [];
    const watch = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true });
    watch("layout-shift", (entry) => entry.hadRecentInput || globalThis.shifts.push(entry.value));
    watch("longtask", (entry) => globalThis.longTasks.push(Math.round(entry.duration)));
  });
  const url = `${server.origin}${SUB_PATH}`;
  const page = await open(world, url, { context });
  return {
    server,
    context,
    page,
    url,
    /** Paths that the server was asked for. */
    requests,
    async close() {
      await context.close();
      await server.close().catch(() => {}); // it may be closed already
    },
  };
}

export const button = (page, name) => page.getByRole("button", { name });
export const text = (page) => page.evaluate(() => document.querySelector("token-former").text);
export const passages = (page) => page.evaluate(() => document.querySelector("token-former").passages);

/** Does `act` and waits until the text that it begins has ended; the result. */
export async function written(page, act) {
  await page.evaluate(() => {
    globalThis.ended = new Promise((resolve, reject) => {
      const element = document.querySelector("token-former");
      element.addEventListener("done", ({ detail }) => resolve(detail), { once: true });
      element.addEventListener("error", ({ detail }) => reject(new Error(`${detail.code}: ${detail.message}`)), { once: true });
    });
    globalThis.ended.catch(() => {});
  });
  await act();
  return page.evaluate(() => globalThis.ended);
}

/** Fails where axe-core finds anything, in the page or in the element's shadow tree. */
export async function assertAccessible(page, state) {
  // Colours in the middle of a transition are nobody's choice.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime < 1e4).map((a) => a.finished)));
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.map((n) => `${n.target.flat().join(" ")} ${n.failureSummary}`).join("\n  ")}`);
  assert.equal(told.length, 0, `${state}: ${told.join("\n")}`);
}

export async function assertFits(page, state) {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${state}: the page is ${overflow} px wider than the window`);
}
