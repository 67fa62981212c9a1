// What the tests of the page share: a visitor with a browser of their own, and a server that can be switched off.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { serve } from "../../scripts/static-server.mjs";
import { FULL, open, OUTPUT, SUB_PATH } from "./harness.mjs";

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
const AXE = createRequire(import.meta.url)("axe-core").source;

/**
 * A separate context, and a server whose `close` is a lost network. `mayAsk`: the other origins that may receive requests; any
 * further one fails the test at its end.
 */
export async function visitor(world, { width = 1280, height = 800, mayAsk = [], ...options } = {}) {
  const requests = [];
  const server = await serve(
    { [SUB_PATH]: DIST },
    { onRequest: (request) => requests.push(request.url.slice(SUB_PATH.length - 1)) },
  );
  const context = await world.browser.newContext({ viewport: { width, height }, ...options });
  await context.addInitScript(() => {
    // While this is true, the worker is not told to continue: it stops after its first few tokens, until the text ends.
    globalThis.holdsWriting = false;
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (message, ...rest) {
      if (!(globalThis.holdsWriting && message.type === "allow")) postMessage.call(this, message, ...rest);
    };
    globalThis.shifts = [];
    globalThis.longTasks = [];
    const watch = (type, note) =>
      new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true });
    const places = ({ node }) => node?.id || node?.parentElement?.id || node?.nodeName;
    watch(
      "layout-shift",
      (entry) =>
        entry.hadRecentInput || globalThis.shifts.push({ value: entry.value, places: entry.sources.map(places) }),
    );
    watch("longtask", (entry) => globalThis.longTasks.push(Math.round(entry.duration)));
  });
  const asked = new Set();
  context.on("request", (request) => asked.add(new URL(request.url()).origin));
  const url = `${server.origin}${SUB_PATH}`;
  const page = await open(world, url, { context });
  return {
    server,
    context,
    page,
    url,
    /** Paths that were requested from the server. */
    requests,
    /** Origins of all requests, the workers' among them. */
    asked,
    async close() {
      await context.close();
      await server.close().catch(() => {}); // it may be closed already
      assert.deepEqual(
        [...asked].filter((origin) => ![server.origin, ...mayAsk].includes(origin)),
        [],
        "nobody else is asked for anything",
      );
    },
  };
}

export const button = (page, name) => page.getByRole("button", { name });
export const text = (page) => page.evaluate(() => document.querySelector("token-former").text);
export const passages = (page) => page.evaluate(() => document.querySelector("token-former").passages);

/** Runs `act` and waits until the text that it starts has ended; returns the result. */
export async function written(page, act) {
  await page.evaluate(() => {
    globalThis.ended = new Promise((resolve, reject) => {
      const element = document.querySelector("token-former");
      element.addEventListener("done", ({ detail }) => resolve(detail), { once: true });
      element.addEventListener("error", ({ detail }) => reject(new Error(`${detail.code}: ${detail.message}`)), {
        once: true,
      });
    });
    globalThis.ended.catch(() => {});
  });
  await act();
  return page.evaluate(() => globalThis.ended);
}

/** Waits until nothing moves: colours in the middle of a transition mean nothing. One may begin where another ends. */
export async function settled(page) {
  await page.evaluate(async () => {
    const moving = () =>
      document
        .getAnimations()
        .filter((a) => a.playState === "running" && a.effect.getComputedTiming().endTime < 1e4)
        .map((a) => a.finished);
    for (let all = moving(); all.length > 0; all = moving()) await Promise.allSettled(all);
  });
}

/**
 * What axe-core cannot judge, and need not: symbols that are not words, a field whose text shows on its mirror, stretches of
 * that text that reach beyond the field with their last space (mirrorContrasts measures them), numbers at a plot's axes.
 */
const LEFT_OPEN = [
  ["color-contrast", "nonBmp"],
  ["color-contrast", "elmPartiallyObscuring", /^#writer .*(span|\.written|\.fresh|\.seen-from)/], // axe-core names them in several ways
  ["color-contrast", "equalRatio", /#text/],
  ["color-contrast", "bgOverlap", /#text/], // by the line where the model's memory begins
  ["label-content-name-mismatch", undefined, /\.close/],
  ["label-content-name-mismatch", undefined, /data-index/],
  ["color-contrast", "shortTextContent", /text\[/],
  ["color-contrast", "imgNode", /text\[|^#picture/],
  // Words of a picture (inspect.html), which are on the page's paper between lines.
  ["color-contrast", "bgOverlap", /text\[|^#picture|^\.the-(last|word)\[/],
  ["color-contrast", "shortTextContent", /^\.the-(last|word)\[/],
  // An element on a line of the grid that axe-core searches by is found beside itself.
  ["color-contrast", "bgOverlap", /#text|^#way-/],
  ["color-contrast", "elmPartiallyObscuring", /^#writer .written/],
];

/** The looks that `assertAccessible` checks besides the current one: with the full tests every state at every width, light and dark. */
const LOOKS = (FULL || process.env.TOKENFORMER_LOOKS === "1" ? [360, 768, 1280] : []).flatMap((width) =>
  ["light", "dark"].map((colorScheme) => ({ width, colorScheme })),
);

/** Fails if axe-core finds anything, or is undecided, in the page or in the element's shadow tree. */
export async function assertAccessible(page, state) {
  await assertAccessibleNow(page, state);
  if (LOOKS.length === 0) return;
  const size = page.viewportSize();
  const [isDark, shifts] = await page.evaluate(() => [
    matchMedia("(prefers-color-scheme: dark)").matches,
    globalThis.shifts?.slice(),
  ]);
  for (const { width, colorScheme } of LOOKS) {
    await page.setViewportSize({ width, height: size.height });
    await page.emulateMedia({ colorScheme });
    const look = `${state}, ${width} px, ${colorScheme}`;
    await assertAccessibleNow(page, look);
    await assertFits(page, look);
    await page.screenshot({ path: `${OUTPUT}looks/${look.replace(/\W+/g, "-")}.png` });
  }
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: isDark ? "dark" : "light" });
  await settled(page);
  // Movements in the meantime are due to the changes above.
  await page.evaluate((before) => (globalThis.shifts = before), shifts);
}

async function assertAccessibleNow(page, state) {
  await settled(page);
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  // In a window so high that nothing is behind elements that stick to an edge.
  const size = page.viewportSize();
  await page.setViewportSize({ width: size.width, height: 3000 });
  const found = await page.evaluate(async () => {
    const { violations, incomplete } = await axe.run(document, { resultTypes: ["violations", "incomplete"] });
    const nodes = (rules) =>
      rules.flatMap(({ id, help, nodes }) =>
        nodes.map((n) => ({
          id,
          help,
          key: n.any[0]?.data?.messageKey,
          target: n.target.flat().join(" "),
          summary: n.failureSummary,
        })),
      );
    const hasCard = [...document.querySelectorAll("token-former")].some(({ shadowRoot }) =>
      shadowRoot.querySelector("[part=card]:not([hidden])"),
    );
    return { violations: nodes(violations), incomplete: nodes(incomplete), hasCard };
  });
  await page.setViewportSize(size);
  // What a token's card covers is checked when there is no card.
  const isLeftOpen = ({ id, key, target }) =>
    (found.hasCard && id === "color-contrast" && key === "bgOverlap") ||
    LEFT_OPEN.some(([rule, why, where = /^/]) => rule === id && why === key && where.test(target));
  const told = [...found.violations, ...found.incomplete.filter((node) => !isLeftOpen(node))].map(
    ({ id, help, target, summary }) => `${id}: ${help}\n  ${target} ${summary}`,
  );
  assert.equal(told.length, 0, `${state}: ${told.join("\n")}`);
  const ratios = await page.evaluate(mirrorContrasts);
  assert.ok(
    ratios.every((ratio) => ratio >= 4.5),
    `${state}: contrasts of the text are ${ratios.join()}`,
  );
}

/** Contrast of every stretch of the text with its background: the mirror is hidden from axe-core, as from screen readers. */
function mirrorContrasts() {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const luminance = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) =>
      v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const transparent = "rgba(0, 0, 0, 0)";
  const backgroundOf = (node) => {
    for (let at = node; at; at = at.parentElement ?? at.getRootNode().host) {
      const { backgroundColor } = getComputedStyle(at);
      if (backgroundColor !== transparent) return backgroundColor;
    }
    return "Canvas";
  };
  return [...document.querySelectorAll("token-former")].flatMap((element) =>
    [...element.shadowRoot.querySelectorAll(".mirror span")].map((span) => {
      const [a, b] = [getComputedStyle(span).color, backgroundOf(span)].map(luminance).sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    }),
  );
}

/** Fails if something has moved, except by the visitor's last action. */
export async function assertStill(page, state) {
  const moved = await page.evaluate(() => shifts);
  const sum = moved.reduce((sum, { value }) => sum + value, 0);
  assert.ok(
    sum < 0.02,
    `${state}: things have moved by ${sum}: ${JSON.stringify(moved.filter(({ value }) => value > 0.001))}`,
  );
}

export async function assertFits(page, state) {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${state}: the page is ${overflow} px wider than the window`);
}
