// A monkey at the page: random actions in two tabs, by keyboard, element and API, with failing hosts and storage, and changing
// builds; and the invariants after each action (monkey/invariants.mjs).
//
// TOKENFORMER_MONKEY_SECONDS and TOKENFORMER_MONKEY_SEED: how long, and which seed. A failure prints the seed and the
// last actions. Choices depend on the seed alone; timing does not, so a failing seed may need several tries.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FULL, start } from "./harness.mjs";
import { ACTIONS, REPLACING } from "./monkey/actions.mjs";
import { GpuTab } from "./monkey/gpu.mjs";
import { assertOwnText, assertSound, assertWrites } from "./monkey/invariants.mjs";
import { seeded } from "./monkey/random.mjs";
import { openStage, Tab } from "./monkey/stage.mjs";

const SECONDS = Number(process.env.TOKENFORMER_MONKEY_SECONDS ?? (FULL ? 600 : 10));
/** One fixed seed in the short tier, so that a failure is due to the change; a random one in the full tier. */
const SEED = Number(process.env.TOKENFORMER_MONKEY_SEED ?? (FULL ? Math.floor(Math.random() * 2 ** 31) : 302));
/** Actions that a failure reports. */
const TOLD = 60;
/** Longer than any wait of the page and of playwright. */
const DEED_MS = 90_000;
/** Between two losses of the device of a software GPU: it compiles for seconds. */
const LOSS_MS = 30_000;

/** Every action has an end. */
async function inTime(work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`a deed has no end within ${DEED_MS} ms`)), DEED_MS);
  });
  await Promise.race([work(), late]).finally(() => clearTimeout(timer));
}

/** Every model's config and logits when nothing is out of order. */
async function rightModels(stage, tab) {
  const right = [];
  for (const source of [...stage.sources, ...(stage.embedded ? [stage.embedded] : [])]) {
    const { outcome, value, message } = await tab.do(
      ([{ name, options }, how]) => monkey.load(name, options, how),
      [source, { abortAfter: 60_000 }],
    );
    assert.equal(outcome, "done", `${source.name}: ${message}`);
    right.push({ source, ...value });
  }
  await tab.do(async () => {
    for (const { id } of await monkey.TokenFormer.models()) await monkey.TokenFormer.delete(id);
  });
  return right;
}

test(`a monkey for ${SECONDS} s breaks nothing: TOKENFORMER_MONKEY_SEED=${SEED}`, async (t) => {
  const isLong = FULL || SECONDS > 600;
  const world = await start({ webgpu: isLong });
  t.after(() => world.close());
  const stage = await openStage(world, { hasEmbedded: isLong });
  t.after(() => stage.close());
  const random = seeded(SEED);
  stage.tabs = [new Tab(stage, "A"), new Tab(stage, "B")];
  for (const tab of stage.tabs) await tab.open();
  stage.beginning = await stage.tabs[0].text();
  stage.defaults = (await stage.tabs[0].look()).attributes;
  for (const beginning of await stage.tabs[0].do(() => [
    monkey.element.text,
    ...[...document.querySelectorAll("#examples button")].map((example) => example.textContent),
  ]))
    stage.brought.add(beginning);
  stage.right = await rightModels(stage, stage.tabs[0]);
  const gpu = isLong ? await GpuTab.open(world, stage) : null;

  const deeds = [];
  const counts = {};
  let lossAt = Date.now() + LOSS_MS;
  const end = Date.now() + SECONDS * 1000;
  try {
    while (Date.now() < end) {
      const tab = random.pick(stage.tabs);
      const act = random.weighted(ACTIONS);
      const begun = Date.now();
      const deed = { tab: tab.name, name: act.name };
      deeds.push(deed);
      counts[act.name] = (counts[act.name] ?? 0) + 1;
      await inTime(async () => {
        deed.what = await act(stage, tab, random);
        deed.ms = Date.now() - begun;
        if (REPLACING.has(act)) stage.replacements += 1;
        for (const each of stage.tabs) {
          await assertSound(stage, each);
          await assertOwnText(stage, each);
        }
      });
      if (gpu && Date.now() > lossAt) {
        await gpu.loseDevice(random);
        lossAt = Date.now() + LOSS_MS;
      }
    }
    await stage.calm();
    for (const tab of stage.tabs) {
      await assertWrites(tab);
      await assertSound(stage, tab);
    }
  } catch (error) {
    const lines = deeds.slice(-TOLD).map(({ tab, name, what, ms }) => `  ${tab} ${name} ${what ?? ""} ${ms ?? "…"} ms`);
    const told = `TOKENFORMER_MONKEY_SEED=${SEED}, after ${deeds.length} deeds, the last ones:\n${lines.join("\n")}`;
    throw new Error(`${error.stack}\n${told}`, { cause: error });
  }
  t.diagnostic(`seed ${SEED}: ${deeds.length} deeds: ${JSON.stringify(counts)}`);
});
