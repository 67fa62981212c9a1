// The page that looks inside: a text, a word of it, the parameter tokens that wrote that, and the text without some of them.
//
// inspect.html#text=…&at=… shows a word of a text. Where its model is on this device already, it begins by itself.

import { rate } from "../../lib/element/status.js";
import { percent, quoted } from "../../lib/element/token-words.js";
import { make } from "../../lib/element/dom.js";
import { toTokenFormerError } from "../../lib/errors.js";
import { byId } from "../elements.js";
import { askForControl, registerWorker } from "../offline.js";
import { plainText } from "../stories/plain-text.js";
import { readView, toHash } from "./address.js";
import { Changes, compare } from "./changes.js";
import { Corpus } from "./corpus.js";
import { InspectedModel } from "./inspected-model.js";
import { FiringMap } from "./map.js";
import { bare, inWords, keyOf, strengthsOf, strongest, writesWords } from "./places.js";
import { explainWith } from "./pictures.js";
import { SAMPLE } from "./sample.js";
import { showStrongest, showTable } from "./strongest.js";
import { Study } from "./study.js";
import { Turns } from "./turns.js";
import { WordList } from "./words.js";
import { writeOn } from "./writing.js";

/** @typedef {import("./places.js").Place} Place */
/** @typedef {import("./places.js").Strength} Strength */
/** @typedef {import("../../tokenformer.js").PackKind} Kind */

/** Parameter tokens of each place that the map shows of one word. */
const LIT = 16;
/** Parameter tokens of the list. */
const LISTED = 12;

document.querySelector(".unstarted")?.remove();
askForControl();
registerWorker();

const given = readView(location.hash);
const field = byId("text", HTMLTextAreaElement);
field.value = given.text ?? SAMPLE;

const turns = new Turns();
/** @type {Study | null} */
let study = null;
/** The text that was read last. */
let text = "";
/** The word that is explained, as an index of the study's. */
let word = -1;
/** What fired where it was written. @type {Strength[]} */
let strengths = [];
/** The parameter token that is looked at. @type {Place | null} */
let chosen = given.chosen;
/** Ends what is loaded, read or written. @type {AbortController | null} */
let running = null;
/** Ends what is asked about the word, the parameter token and the changes; the newest question counts. */
const asking = { word: new AbortController(), token: new AbortController(), change: new AbortController() };

/** Ends the last question of a kind. @param {keyof typeof asking} kind */
function ask(kind) {
  asking[kind].abort();
  asking[kind] = new AbortController();
  return asking[kind].signal;
}

const models = new InspectedModel(given.model, () => {
  close();
  tell("");
});
const map = new FiringMap(byId("map", HTMLCanvasElement), pick);
const words = new WordList(byId("words"), (index) => quietly(explain(index)));
const corpus = new Corpus(() => quietly(search()));
const changes = new Changes(() => {
  keepAddress();
  showChange();
  quietly(rewrite());
});

// ---- Loading and reading -----------------------------------------------------------------------

/** Another text or model: what is seen is of no text any more. */
function close() {
  for (const kind of /** @type {const} */ (["word", "token", "change"])) ask(kind);
  byId("inside").hidden = true;
  byId("write", HTMLButtonElement).disabled = true;
  study = null;
}

/** @param {(signal: AbortSignal) => Promise<string | void>} work resolves to what is to be said at its end */
async function run(work) {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  byId("stop").hidden = false;
  for (const id of ["look", "write"]) byId(id, HTMLButtonElement).disabled = true;
  showError(null);
  try {
    tell((await work(controller.signal)) ?? "");
  } catch (error) {
    if (!controller.signal.aborted) showError(error);
    tell("");
  }
  if (running !== controller) return;
  running = null;
  byId("stop").hidden = true;
  byId("look", HTMLButtonElement).disabled = false;
  byId("write", HTMLButtonElement).disabled = study === null;
}

/** @param {AbortSignal} signal @param {number | null} [at] where the word is that is explained first; null: the last */
async function look(signal, at = null) {
  const model = await models.load(signal, progress);
  progress("Reading the text");
  if (!study) map.shape(model.info.config);
  const next = new Study(model, turns);
  text = plainText(field.value);
  const read = await next.read(text);
  if (signal.aborted) return;
  if (read.length < 2) {
    close();
    return "Write a few words first: the model must have read something before it writes.";
  }
  for (const kind of /** @type {const} */ (["word", "token", "change"])) ask(kind);
  study = next;
  words.show(read);
  byId("inside").hidden = false;
  const wanted = at === null ? -1 : read.findIndex(({ start, text: own }) => start + own.length > at);
  await explain(wanted > 0 ? wanted : read.length - 1);
  quietly(next.survey(() => {}, signal).then(() => study === next && showList()));
  const cut = read[0].start > 0 ? " The text is longer than its context: it shows the last words." : "";
  return `Choose a word.${cut}`;
}

/** @param {AbortSignal} signal */
async function write(signal) {
  if (!study) return;
  const model = await models.load(signal, progress);
  const before = plainText(field.value);
  if (before !== text) await look(signal);
  const { ids } = study;
  /** @type {Parameters<typeof writeOn>[2]} */
  const page = {
    signal,
    async onWritten(written) {
      field.value = before + (await model.decode(written));
      field.scrollTop = field.scrollHeight;
      progress("Writing");
    },
    onFired: (places, ms) => map.play(places, ms),
  };
  const { tokens, seconds, every } = await turns.take(() => writeOn(model, ids, page));
  await look(new AbortController().signal);
  const lit = every > 1 ? ` The map showed one word of ${every}.` : "";
  return tokens === 0
    ? "The text has ended here, or fills the context."
    : `${tokens} tokens, ${rate(tokens / seconds)} a second.${lit}`;
}

// ---- A word, and a parameter token -------------------------------------------------------------

/** Shows what wrote a word. @param {number} index */
async function explain(index) {
  if (!study || index < 1) return;
  const signal = ask("word");
  word = index;
  words.choose(index);
  const now = study;
  const places = await now.fired(index);
  if (signal.aborted) return;
  strengths = strengthsOf(places);
  map.hold(places.map((place) => ({ ...place, top: place.top.slice(0, LIT) })));
  const [name] = quoted(now.words[index].text, "");
  byId("strongest-title").textContent = `What wrote ${name}`;
  byId("map-about").textContent =
    `What fired just before ${name} was written: a row is a layer, from 0, and a dot is a parameter token. Choose one.`;
  showList();
  showTable(byId("table"), strengths, { onChoose: choose });
  explainWith(now.words, index, listed(), (await models.load(signal, () => {})).info.config.num_layers);
  keepAddress();
  const plain = await now.plain(index);
  if (signal.aborted) return;
  const logprob = plain.logprobs[index];
  byId("word-about").textContent =
    logprob === null
      ? `${name} stands first.`
      : `The model gave ${name} ${percent(logprob)} here. The perplexity of the whole text is ${plain.perplexity.toFixed(3)}.`;
  if (chosen && byId("token").hidden) quietly(showToken(false));
  if (changes.all.length > 0) quietly(rewrite());
}

function listed() {
  const order = byId("order", HTMLSelectElement).value;
  const averages = study?.isSurveyed ? study.averages : null;
  const isSpecial = order === "special" && averages !== null;
  return strongest(strengths, {
    kinds: new Set(/** @type {Kind[]} */ (byId("kinds", HTMLSelectElement).value.split(","))),
    count: LISTED,
    mean: isSpecial ? (key) => averages.of(key) : undefined,
  });
}

function showList() {
  if (!study) return;
  const now = study;
  showStrongest(byId("strongest"), listed(), {
    promotes: (place) => now.promotes(place),
    onChoose: choose,
    chosen: chosen && keyOf(chosen),
  });
  const averaged = now.averages.positions;
  byId("strongest-about").textContent =
    "The share is of what the 64 strongest of its layer and table contribute." +
    (now.isSurveyed ? ` Averages are those of ${averaged} words.` : "");
}

/** A parameter token is to be looked at. @param {Place} place */
function choose(place) {
  chosen = bare(place);
  keepAddress();
  showList();
  quietly(showToken(true));
}

/** The dot of the map that was chosen: what fires most there. @param {{ layer: number, kind: Kind, slots: [number, number] | null }} at */
function pick({ layer, kind, slots }) {
  const [first] = strengths
    .filter((one) => one.layer === layer && one.kind === kind)
    .filter(({ slot, pack }) => (slots === null ? pack !== undefined : pack === undefined && isNear(slot, slots)))
    .sort((a, b) => b.contribution - a.contribution);
  if (first) choose(first);
}

/** A finger does not hit one pixel. @param {number} slot @param {[number, number]} slots */
function isNear(slot, [from, to]) {
  const room = to - from;
  return slot >= from - room && slot < to + room;
}

/** @param {boolean} isAsked the visitor chose it: there the page goes */
async function showToken(isAsked) {
  if (!study || !chosen) return;
  const [now, place, signal] = [study, chosen, ask("token")];
  byId("token").hidden = false;
  byId("token-title").textContent = inWords(place);
  byId("pushes").hidden = !writesWords(place);
  byId("steers").hidden = writesWords(place);
  showChange();
  if (isAsked) byId("token-title").focus();
  const told = await now.promotes(place);
  if (signal.aborted) return;
  for (const way of /** @type {const} */ (["up", "down"]))
    byId(way).replaceChildren(
      ...(told?.[way] ?? []).map(({ text: own, logit }) =>
        make(
          "li",
          {},
          make("span", { dir: "auto", text: quoted(own, "")[0] }),
          make("span", { className: "number", text: logit.toFixed(2).replace("-", "−") }),
        ),
      ),
    );
  await search();
}

/** Where it fires. */
async function search() {
  if (!study || !chosen) return;
  const [now, place, signal] = [study, chosen, ask("token")];
  words.shade(null);
  const own = await now.firing(place);
  if (signal.aborted) return;
  words.shade(own);
  await corpus.show(now, place, own, signal);
}

// ---- Without it --------------------------------------------------------------------------------

function showChange() {
  const button = byId("add-change", HTMLButtonElement);
  button.disabled = chosen === null || changes.has(chosen);
  button.textContent = button.disabled ? "It is among the changed ones below" : "Switch it off";
}

async function rewrite() {
  const signal = ask("change");
  if (!study || changes.all.length === 0) return;
  await compare(study, changes.all, word, signal);
}

// ---- What is told ------------------------------------------------------------------------------

/** Waits for what the visitor did not wait for; what goes wrong with it is told all the same. @param {Promise<unknown>} work */
async function quietly(work) {
  try {
    await work;
  } catch (error) {
    // Another model was chosen, or the page is left.
    if (study) showError(error);
  }
}

/** @param {unknown} error null for none */
function showError(error) {
  if (error === null) return byId("errors").replaceChildren();
  const { message, hint, code } = toTokenFormerError(error);
  byId("errors").replaceChildren(
    make(
      "div",
      { className: "error" },
      make("p", { text: message }),
      make("p", { text: hint }),
      make("p", { className: "code", text: code }),
    ),
  );
}

/** @param {string} sentence */
function progress(sentence) {
  byId("progress-words").textContent = sentence;
}

/** @param {string} sentence for screen readers, too */
function tell(sentence) {
  byId("progress-words").textContent = byId("status").textContent = sentence;
}

function view() {
  const isOwn = study !== null && plainText(field.value) === text;
  const at = isOwn && word > 0 ? (study?.words[word].start ?? null) : null;
  return { model: models.attributes, text: plainText(field.value), at, chosen, changes: changes.all };
}

function keepAddress() {
  const hash = toHash(view());
  if (hash !== null) history.replaceState(history.state, "", `${location.pathname}${location.search}${hash}`);
}

/** The word that the link tells, while its text is there. */
function placeInLink() {
  return study === null && field.value === given.text ? given.at : null;
}

// ---- Controls ----------------------------------------------------------------------------------

byId("look").addEventListener("click", () => run((signal) => look(signal, placeInLink())));
byId("write").addEventListener("click", () => run(write));
byId("stop").addEventListener("click", () => running?.abort());
byId("kinds").addEventListener("change", showList);
byId("order").addEventListener("change", showList);
byId("add-change").addEventListener("click", () => {
  if (!chosen) return;
  changes.add(chosen);
  byId("changes").querySelector("input")?.focus();
});
byId("copy-link").addEventListener("click", async () => {
  const hash = toHash(view());
  if (hash === null) return void (byId("link-status").textContent = "The text is too long for a link.");
  keepAddress();
  const copied = await navigator.clipboard?.writeText(location.href).then(
    () => true,
    () => false,
  );
  byId("link-status").textContent = copied ? "Copied. The text is in the link." : "The link is in the address bar.";
});
// Another link was put into the address: it is read as at the beginning.
addEventListener("hashchange", () => location.reload());
addEventListener("pagehide", (event) => event.persisted || models.dispose());

changes.all = given.changes;
const isStored = await models.isStored().catch(() => false);
if (isStored && given.text !== null && running === null) run((signal) => look(signal, placeInLink()));
