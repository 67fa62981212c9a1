// The page that looks inside: a text, a word of it, the parameter tokens that wrote it, and the text without some of them.
//
// inspect.html#text=…&at=… shows a word of a text. If its model is saved on this device, the page starts by itself.

import { rate } from "../../lib/element/status.js";
import { percent, quoted } from "../../lib/element/token-words.js";
import { toTokenFormerError } from "../../lib/errors.js";
import { copy } from "../copy.js";
import { byId } from "../elements.js";
import { errorBox } from "../error-box.js";
import { askForControl, registerWorker } from "../offline.js";
import { plainText } from "../stories/plain-text.js";
import { readView, toHash } from "./address.js";
import { Changes, compare } from "./changes.js";
import { Corpus } from "./corpus.js";
import { InspectedModel } from "./inspected-model.js";
import { FiringMap } from "./map.js";
import { bare, keyOf, strengthsOf, strongest } from "./places.js";
import { explainWith, PICTURED } from "./pictures.js";
import { SAMPLE } from "./sample.js";
import { showStrongest, showTable } from "./strongest.js";
import { indexAt, Study } from "./study.js";
import { showPlace, showPushes, showSwitch, thoseThere } from "./token-panel.js";
import { Turns } from "./turns.js";
import { WordList } from "./words.js";
import { writeOn } from "./writing.js";

/** @typedef {import("./places.js").Place} Place */
/** @typedef {import("./places.js").Strength} Strength */
/** @typedef {import("../../tokenformer.js").TokenFormer} Model */
/** @typedef {import("../../tokenformer.js").PackKind} Kind */

/** Parameter tokens of each place that the map shows for one word. */
const LIT = 16;
/** Parameter tokens in the list, and in the picture. */
const LISTED = 12;

document.querySelector(".unstarted")?.remove();
askForControl();
registerWorker();

const given = readView(location.hash);
const field = byId("text", HTMLTextAreaElement);
field.value = given.text ?? SAMPLE;

const turns = new Turns();
/** The text that was read last, and the model that it was read with; null while there is none. @type {{ study: Study, model: Model, text: string } | null} */
let read = null;
/** The word that is explained, as an index of the study's. */
let word = -1;
/** What fired at the position that wrote it. @type {Strength[]} */
let strengths = [];
/** The selected parameter token. @type {Place | null} */
let chosen = given.chosen;
/** `all` stops what the buttons started: loading, reading and writing. `writing` stops only the writing; its text is then read. @type {{ all: AbortController, writing: AbortController } | null} */
let running = null;
/** Aborts questions about the text, a word, a parameter token and the changes: only the newest of each kind counts. */
const asking = {
  text: new AbortController(),
  word: new AbortController(),
  token: new AbortController(),
  change: new AbortController(),
};

/** Aborts the last question of a kind. @param {keyof typeof asking} kind */
function ask(kind) {
  asking[kind].abort();
  asking[kind] = new AbortController();
  return asking[kind].signal;
}

const models = new InspectedModel(given.model, () => {
  running?.all.abort();
  close();
  tell("");
});
const map = new FiringMap(byId("map", HTMLCanvasElement), pick);
const words = new WordList(byId("words"), (index) => quietly(explain(index)));
const corpus = new Corpus((name) => {
  if (read && chosen && !byId("token").hidden) quietly(search());
  else tell(`Choose a word and one of its parameter tokens: then “${name}” is searched.`);
}, tell);
const changes = new Changes(() => {
  keepAddress();
  if (read) showSwitch(chosen, changes, read.model);
  quietly(rewrite());
});

// ---- Loading and reading -----------------------------------------------------------------------

/** Another text or model: what is shown no longer applies. */
function close() {
  for (const kind of /** @type {(keyof typeof asking)[]} */ (Object.keys(asking))) ask(kind);
  byId("inside").hidden = byId("token").hidden = true;
  byId("write", HTMLButtonElement).disabled = true;
  for (const id of ["word-about", "fires-about", "compare-status"]) byId(id).textContent = "";
  for (const id of ["strongest", "passages", "moved"]) byId(id).replaceChildren();
  changes.clear();
  strengths = [];
  word = -1;
  read = null;
}

/** @param {(all: AbortSignal, writing: AbortSignal) => Promise<string | void>} work resolves to the closing message */
async function run(work) {
  running?.all.abort();
  const [stop, begun] = [byId("stop", HTMLButtonElement), document.activeElement];
  const now = { all: new AbortController(), writing: new AbortController() };
  running = now;
  stop.hidden = false;
  for (const id of ["look", "write"]) byId(id, HTMLButtonElement).disabled = true;
  if (begun === byId("look") || begun === byId("write")) stop.focus();
  showError(null);
  try {
    tell((await work(now.all.signal, now.writing.signal)) ?? "");
  } catch (error) {
    if (!now.all.signal.aborted) showError(error);
    tell("");
  }
  if (running !== now) return;
  running = null;
  byId("look", HTMLButtonElement).disabled = false;
  byId("write", HTMLButtonElement).disabled = read === null;
  if (document.activeElement === stop) byId("look").focus();
  stop.hidden = true;
}

/** @param {AbortSignal} signal @param {number | null} at where the word is that is explained first; null: the last */
async function look(signal, at) {
  const model = await models.load(signal, progress);
  return readText(model, signal, at);
}

/** @param {Model} model @param {AbortSignal} signal @param {number | null} [at] */
async function readText(model, signal, at = null) {
  progress("Reading the text");
  const [study, text] = [new Study(model, turns), plainText(field.value)];
  const all = await study.read(text, at);
  if (signal.aborted) return;
  close();
  if (all.length < 2) return "Write a few words first: the model must have read something before it writes.";
  map.shape(model.info.config);
  read = { study, model, text };
  changes.all = thoseThere(changes.all, model);
  if (chosen && thoseThere([chosen], model).length === 0) chosen = null;
  words.show(all);
  byId("inside").hidden = false;
  const wanted = indexAt(all, at);
  await explain(wanted > 0 ? wanted : all.length - 1);
  const surveying = asking.text.signal;
  quietly(study.survey(surveying).then(() => surveying.aborted || showListLater()));
  const last = all[all.length - 1];
  const isPart = all[0].start > 0 || last.start + last.text.length < text.trimEnd().length;
  return `Choose a word.${isPart ? " The text is longer than the model’s context: a part of it is shown." : ""}`;
}

/** @param {AbortSignal} signal @param {AbortSignal} stopped */
async function write(signal, stopped) {
  const before = plainText(field.value);
  if (read?.text !== before) {
    const said = await look(signal, null);
    if (!read || signal.aborted) return said;
  }
  const { study, model } = /** @type {NonNullable<typeof read>} */ (read);
  field.readOnly = true; // what is typed would be written over
  let told;
  try {
    const end = new AbortController();
    for (const one of [signal, stopped]) one.addEventListener("abort", () => end.abort());
    /** @type {Parameters<typeof writeOn>[2]} */
    const page = {
      signal: end.signal,
      async onWritten(ids) {
        const written = await model.decode(ids);
        // A trailing space is not read: the word that follows begins with it.
        const isBlankTwice = before.endsWith(" ") && /^\s/.test(written);
        field.value = (isBlankTwice ? before.slice(0, -1) : before) + written;
        field.scrollTop = field.scrollHeight;
        progress("Writing");
      },
      onFired: (places, ms) => map.play(places, ms),
    };
    told = await turns.take(() => writeOn(model, study.ids, page), signal);
  } catch (error) {
    if (!stopped.aborted || signal.aborted) throw error;
  } finally {
    field.readOnly = false;
  }
  if (signal.aborted || read?.study !== study) return;
  const said = await readText(model, signal);
  if (!told) return said;
  const { tokens, seconds, every } = told;
  const lit = every > 1 ? ` The map showed one word of ${every}.` : "";
  return tokens === 0
    ? "The text has ended here, or fills the context."
    : `${tokens} tokens, ${rate(tokens / seconds)} a second.${lit}`;
}

// ---- A word, and a parameter token -------------------------------------------------------------

/** Shows what wrote a word. @param {number} index */
async function explain(index) {
  if (!read || index < 1) return;
  const signal = ask("word");
  const { study, model } = read;
  word = index;
  words.choose(index);
  const places = await study.fired(index, signal);
  if (signal.aborted) return;
  strengths = strengthsOf(places);
  map.hold(places.map((place) => ({ ...place, top: place.top.slice(0, LIT) })));
  const [name] = quoted(study.words[index].text, "");
  byId("strongest-title").textContent = `What wrote ${name}`;
  byId("map-about").textContent =
    `What fired just before ${name} was written: a row is a layer, from 0, and a dot is a parameter token. Choose one.`;
  showList();
  showTable(byId("table"), strengths, { onChoose: choose });
  explainWith(study.words, index, listed(["proj", "mlp"], PICTURED), model.info.config.num_layers);
  keepAddress();
  quietly(showLikelihood(study, index, name, signal));
  if (chosen) quietly(byId("token").hidden ? showToken(false) : search());
  if (changes.all.length > 0) quietly(rewrite());
}

/** @param {Study} study @param {number} index @param {string} name @param {AbortSignal} signal */
async function showLikelihood(study, index, name, signal) {
  byId("word-about").textContent = "";
  const { logprobs, perplexity } = await study.likelihoods(signal);
  if (signal.aborted) return;
  byId("word-about").textContent =
    `The model gave ${name} ${percent(logprobs[index] ?? 0)} here. The perplexity of the whole text is ${perplexity.toFixed(3)}.`;
}

/** @param {readonly Kind[]} kinds @param {number} count */
function listed(kinds, count) {
  const averages = read?.study.isSurveyed ? read.study.averages : null;
  const isSpecial = byId("order", HTMLSelectElement).value === "special" && averages !== null;
  return strongest(strengths, {
    kinds: new Set(kinds),
    count,
    mean: isSpecial ? (key) => averages.of(key) : undefined,
  });
}

function showList() {
  if (!read) return;
  const { study } = read;
  const kinds = /** @type {Kind[]} */ (byId("kinds", HTMLSelectElement).value.split(","));
  showStrongest(byId("strongest"), listed(kinds, LISTED), {
    promotes: (place) => study.promotes(place),
    onChoose: choose,
    chosen: chosen && keyOf(chosen),
  });
  byId("strongest-about").textContent =
    "The share is of what the 64 strongest of its layer and table contribute." +
    (study.isSurveyed ? ` Averages are those of ${study.averages.positions} words.` : "");
}

/** Keeps the list still while the pointer or the keyboard focus is in it. */
function showListLater() {
  const list = byId("strongest");
  if (!list.matches(":hover, :focus-within")) return showList();
  for (const type of ["pointerleave", "focusout"]) list.addEventListener(type, showListLater, { once: true });
}

/** Selects a parameter token. @param {Place} place */
function choose(place) {
  chosen = bare(place);
  keepAddress();
  for (const row of byId("strongest").querySelectorAll("button"))
    row.setAttribute("aria-pressed", String(row.dataset.key === keyOf(chosen)));
  quietly(showToken(true));
}

/** A dot of the map was chosen: selects what fires most there. @param {{ layer: number, kind: Kind, slots: [number, number] | null }} at */
function pick({ layer, kind, slots }) {
  if (field.readOnly) return; // it shows words that are being written
  const [first] = strengths
    .filter((one) => one.layer === layer && one.kind === kind)
    .filter(({ slot, pack }) => (slots === null ? pack !== undefined : pack === undefined && isNear(slot, slots)))
    .sort((a, b) => b.contribution - a.contribution);
  if (first) choose(first);
}

/** A finger does not hit a single pixel. @param {number} slot @param {[number, number]} slots */
function isNear(slot, [from, to]) {
  const room = to - from;
  return slot >= from - room && slot < to + room;
}

/** @param {boolean} isAsked the visitor chose it */
async function showToken(isAsked) {
  if (!read || !chosen) return;
  const [{ study, model }, place, signal] = [read, chosen, ask("token")];
  showPlace(place, isAsked);
  showSwitch(place, changes, model);
  byId("passages").replaceChildren();
  await showPushes(study, place, signal);
  if (!signal.aborted) await search();
}

/** Shows where it fires. */
async function search() {
  if (!read || !chosen) return;
  const [{ study }, place, signal] = [read, chosen, ask("token")];
  words.shade(null);
  const own = await study.firing(place, signal);
  if (signal.aborted) return;
  words.shade(own);
  await corpus.show(study, place, own, signal);
}

async function rewrite() {
  const signal = ask("change");
  if (!read || changes.all.length === 0) return;
  await compare(read.study, changes.all, word, signal);
}

// ---- What is shown -----------------------------------------------------------------------------

/** For work that is not awaited: its errors are shown all the same. @param {Promise<unknown>} work */
async function quietly(work) {
  const begun = read;
  try {
    await work;
  } catch (error) {
    const isOver = error instanceof DOMException && error.name === "AbortError";
    // After a change of text or model, the error is about something that is no longer shown.
    if (!isOver && read !== null && read === begun) showError(error);
  }
}

/** @param {unknown} error null for none */
function showError(error) {
  if (error === null) return byId("errors").replaceChildren();
  byId("errors").replaceChildren(errorBox(toTokenFormerError(error)));
}

/** @param {string} sentence */
function progress(sentence) {
  byId("progress-words").textContent = sentence;
}

/** @param {string} sentence also announced to screen readers */
function tell(sentence) {
  byId("progress-words").textContent = byId("status").textContent = sentence;
}

function view() {
  const text = plainText(field.value);
  const at = read?.text === text && word > 0 ? read.study.words[word].start : null;
  return { model: models.attributes, text, at, chosen, changes: changes.all };
}

/** Without the text the link would show a different one, so the address stays empty. */
function keepAddress() {
  byId("link-status").textContent = "";
  const hash = toHash(view());
  history.replaceState(history.state, "", `${location.pathname}${location.search}${hash ?? ""}`);
  return hash !== null;
}

// ---- Controls ----------------------------------------------------------------------------------

/** The word that the link names, as long as its text is shown. */
function placeInLink() {
  return read === null && field.value === given.text ? given.at : null;
}

byId("look").addEventListener("click", () => run((signal) => look(signal, placeInLink())));
byId("write").addEventListener("click", () => run(write));
byId("stop").addEventListener("click", () => {
  if (field.readOnly) running?.writing.abort();
  else running?.all.abort();
});
byId("kinds").addEventListener("change", showList);
byId("order").addEventListener("change", showList);
byId("add-change").addEventListener("click", () => {
  if (!chosen) return;
  changes.add(chosen);
  byId("changes").querySelector("input")?.focus();
});
byId("copy-link").addEventListener("click", async () => {
  if (!keepAddress()) return void (byId("link-status").textContent = "The text is too long for a link.");
  const copied = await copy(location.href);
  byId("link-status").textContent = copied ? "Copied. The text is in the link." : "The link is in the address bar.";
});
// The address got another link: it is read as on a first visit.
addEventListener("hashchange", () => location.reload());
addEventListener("pagehide", (event) => event.persisted || models.dispose());

changes.all = given.changes;
if (given.text !== null) {
  const isStored = await models.isStored().catch(() => false);
  if (isStored && running === null && read === null) run((signal) => look(signal, placeInLink()));
}
