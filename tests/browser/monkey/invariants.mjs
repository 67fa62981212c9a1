// What holds whatever the monkey does. ARCHITECTURE.md has the rules: "What a link may do", "Builds and waits".

import assert from "node:assert/strict";
import { libraryTexts } from "./in-page.mjs";
import { CHOSEN, FORBIDDEN, TOKENS } from "./stage.mjs";

/** How long a load may show the same message: every wait of the engine ends earlier. */
const SILENCE_MS = 60_000;
/** Number of replaced texts that are kept. */
const MOST_REPLACED = 5;

/** After every action, in every tab. */
export async function assertSound(stage, tab) {
  const seen = await tab.look();
  const told = `${tab.name} is ${seen.state}, says ${JSON.stringify(seen.status)}`;
  assert.deepEqual(seen.wrong, [], "errors have a code of the contract, a sentence, and what to do next");
  assert.deepEqual(stage.violations, [], "no token goes astray, and no error is left alone");
  for (const hub of Object.values(stage.hubs)) assert.deepEqual(hub.violations, []);
  for (const token of Object.values(TOKENS)) assert.ok(!seen.secrets.includes(token), "a token is kept nowhere");
  for (const [name, hub] of Object.entries(stage.hubs))
    assert.deepEqual(
      [...hub.tokens].filter((token) => token !== TOKENS[name]),
      [],
      `only its own token is sent to ${name}`,
    );
  for (const { id, config } of seen.loaded) assertConfig(stage, id, config);
  assert.ok(["idle", "loading", "writing"].includes(seen.state), told);
  if (seen.state !== "idle") assert.notEqual(seen.status.trim(), "", told);
  assertMoves(tab, seen, told);
  const joined = seen.passages.map(({ text }) => text).join("");
  if (joined !== seen.text) assert.equal(joined, (await tab.look()).text, "passages join to the text");
  for (const [name, value] of Object.entries(FORBIDDEN))
    assert.notEqual(seen.attributes[name], value, `a link has set ${name}`);
  return seen;
}

/** A load changes its message after a while, or says what it waits for. */
function assertMoves(tab, { state, status }, told) {
  const words = state === "loading" ? status : "";
  if (words !== tab.waits.words) tab.waits = { words, since: Date.now() };
  const isExplained = words === "" || /wait|again|another|limit/i.test(words);
  assert.ok(isExplained || Date.now() - tab.waits.since < SILENCE_MS, `${told} for a minute`);
}

/** A model that is loaded without options is the published one. */
export function assertConfig(stage, id, config) {
  const right = stage.right.find((one) => one.id === id);
  assert.ok(right, `nobody asked for ${id}`);
  assert.deepEqual(config, right.config, `${id} is another model than at the start`);
}

export function assertRight(stage, source, { id, config, logits }) {
  const right = stage.right.find((one) => one.source === source);
  assert.equal(id, right.id);
  assert.deepEqual(config, right.config, `${id} has another shape than at the start`);
  assert.deepEqual(logits, right.logits, `${id} computes something else than at the start`);
}

/** Texts, of which beginning, end and length are enough. */
const inShort = (told) =>
  JSON.stringify(told, (_, value) =>
    typeof value === "string" && value.length > 100
      ? `${value.slice(0, 50)} … ${value.slice(-40)} (${value.length})`
      : value,
  );

/** Whether a text is in the field, or at its beginning, or one of those behind "Your own text". */
function isAtHand(own, { text, replaced, ownOffered }) {
  return (
    text.startsWith(own) ||
    replaced.some((other) => other.startsWith(own)) ||
    (ownOffered !== null && ownOffered !== "" && ownOffered === own.slice(0, ownOffered.length))
  );
}

/** Only this many replaced texts are kept, the newest: whether the tab's may have been pushed out since it was typed. */
const mayBePushedOut = (stage, tab, { replaced }) =>
  replaced.length >= MOST_REPLACED && stage.replacements - tab.ownSince >= MOST_REPLACED;

/** Whether a text was restored in another tab: from then on it belongs to that tab. */
const isInAnotherTab = (stage, tab) => stage.tabs.some((other) => other !== tab && other.own?.startsWith(tab.own));

/** The visitor's own text is never lost: it is in the field, behind its button, or behind Undo. */
export async function assertOwnText(stage, tab) {
  if (tab.own === null) return;
  const seen = await tab.look();
  if (isAtHand(tab.own, seen)) return;
  if (isInAnotherTab(stage, tab)) {
    tab.own = null;
    return;
  }
  await tab.idle(1000);
  const found = await tab.do((own) => {
    const { element } = monkey;
    const before = element.text;
    let steps = 0;
    while (!element.text.startsWith(own) && element.undo()) steps += 1;
    const isThere = element.text.startsWith(own);
    for (let i = 0; i < steps; i += 1) element.redo();
    return { isThere, isBack: element.text === before };
  }, tab.own);
  const told = inShort({ own: tab.own, text: seen.text, replaced: seen.replaced, offered: seen.ownOffered });
  if (!found.isThere && mayBePushedOut(stage, tab, seen)) tab.own = null;
  else assert.ok(found.isThere, `${tab.name}: the visitor's own text is lost: ${told}`);
  assert.ok(found.isBack, `${tab.name}: redo brings back what undo took`);
}

/** A text that another story replaced is in the library, or set aside if that does not work. @param tab @param {string | null} own */
export async function assertInLibrary(tab, own) {
  if (own === null || own === "") return;
  const [seen, library] = [await tab.look(), await tab.do(libraryTexts)];
  const told = inShort({ own, text: seen.text, library, replaced: seen.replaced });
  assert.ok(
    isAtHand(own, seen) || library.some((text) => text.startsWith(own)),
    `${tab.name}: another story has taken the place of the visitor's own, which is lost: ${told}`,
  );
}

/**
 * Closes a tab and visits again without a link: the visitor's text is available, and the settings are the page's or the
 * visitor's.
 */
export async function assertNextVisit(stage, tab) {
  await tab.idle();
  const last = await tab.look();
  const { own, isFull } = tab;
  // A page that is closed abruptly saves nothing.
  await tab.page.close({ runBeforeUnload: true });
  if (!tab.page.isClosed()) await tab.page.waitForEvent("close");
  await tab.open();
  const seen = await tab.look();
  const others = stage.tabs.filter((other) => other !== tab);
  // A page that says that it saves nothing may have older settings and texts for the next visit.
  const isSure = !isFull && others.every((other) => !other.isFull);
  const areSetsKept = stage.tabs.every(({ isSetKept }) => isSetKept);
  const told = inShort({ own, text: seen.text, replaced: seen.replaced, before: last.text });
  const isPushedOut = mayBePushedOut(stage, tab, seen);
  if (own !== null && isSure && !isPushedOut && !isInAnotherTab(stage, tab))
    assert.ok(isAtHand(own, seen), `${tab.name}: the next visit has lost the visitor's own text: ${told}`);
  for (const [name, values] of Object.entries(CHOSEN)) {
    const value = seen.attributes[name] ?? null;
    const page = stage.defaults[name] ?? null;
    // A storage that is full, or was before the tab's last visit, may have saved the models of a hub that the visitor tried,
    // and no later choice.
    const tried = name === "model" && !(isSure && areSetsKept) ? ["o/public", "o/private"] : [];
    assert.ok(
      [page, ...values, ...tried].includes(value),
      `the next visit has ${name}="${value}", which nobody chose but a link`,
    );
    const chosen = [tab, ...others].map(({ set }) => set[name] ?? page);
    if (isSure && areSetsKept && chosen.every((one) => one === chosen[0]))
      assert.equal(value, chosen[0], `the next visit has another ${name} than the visitor chose`);
    tab.set[name] = value;
  }
  tab.isSetKept = true;
  if (!isSure || isPushedOut) tab.own = null;
  else if (own !== null && !seen.text.startsWith(own)) tab.own = null; // another tab's is here now
}

/** Both tabs can write, whatever the other one did; a page of an outdated build says that it must be reloaded. */
export async function assertWrites(tab) {
  const write = () =>
    tab.do(async () => {
      const { element } = monkey;
      element.setAttribute("model", "/models/mine/");
      for (const name of ["endpoint", "token", "no-cache", "revision", "quantization"]) element.removeAttribute(name);
      element.removeAttribute("context-length");
      element.setAttribute("max-tokens", "5");
      element.setAttribute("logit-bias", '{"0": -1000}');
      const before = element.text.length;
      const result = await monkey.attempt(() => element.generate());
      return { ...result, value: result.value?.tokenIds.length, grew: element.text.length > before };
    });
  await tab.idle();
  let result = await write();
  if (/Reload the page/.test(result.message)) {
    await tab.go(() => tab.page.reload());
    result = await write();
  }
  assert.deepEqual([result.outcome, result.value], ["done", 5], `${tab.name} writes at the end: ${result.message}`);
}
