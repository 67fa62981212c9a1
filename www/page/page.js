// The page around the element: what it begins with, the panels, what it remembers. It drives <token-former> as any
// other page could: by attributes, properties, methods and events.

import "../tokenformer.js";
import { asksToWrite } from "../lib/element/dom.js";
import { ContextMeter } from "./context-meter.js";
import { Choices } from "./choices.js";
import { composePrompts } from "./composer.js";
import { byId } from "./elements.js";
import { followText } from "./follow.js";
import { offerHere } from "./here.js";
import { remedyFor } from "./local-folder.js";
import { acceptLocalModels } from "./local-model.js";
import { MachinePanel } from "./machine-panel.js";
import { Margin } from "./margin.js";
import { MemoryPanel } from "./memory-panel.js";
import { describeModel } from "./model-names.js";
import { ModelPanel } from "./model-panel.js";
import { offerModel } from "./offer.js";
import { keepShell } from "./offline.js";
import { openPanels } from "./panels.js";
import { keepReplacedPassages } from "./replaced-passages.js";
import { SeenPanel } from "./seen-panel.js";
import { SettingsPanel } from "./settings-panel.js";
import { showSharedStories } from "./shared-story.js";
import { keepState } from "./state.js";
import { StoriesPanel } from "./stories-panel.js";
import { areStories } from "./stories/files.js";
import { Library } from "./stories/library.js";
import { textOf } from "./stories/passages.js";
import { BrowserRecords } from "./stories/records.js";
import { sheetsOf } from "./stories/sheets.js";
import { titleOf } from "./stories/story.js";
import { keepFiles } from "./story-files.js";
import { chooseWays } from "./ways.js";

const writer = /** @type {import("../tokenformer.js").TokenFormerElement} */ (byId("writer"));
/** Characters of a text that its button shows: enough to know it by. */
const LONGEST_PREVIEW = 80;

const settings = new SettingsPanel(writer);
const models = new ModelPanel(writer);
const machine = new MachinePanel(writer);

/** A remark that holds until the visitor or the model goes on, or other words take its place. @param {string} id @param {string} text */
function remark(id, text) {
  byId(id).textContent = text;
  for (const type of ["input", "progress", "token"])
    writer.addEventListener(type, () => (byId(id).textContent = ""), { once: true });
}
const library = new Library(new BrowserRecords(), {
  onFault: (sentence) => stories.showFault(sentence),
  onChange: () => stories.showChange(),
});
const sheets = sheetsOf(library, (story) =>
  remark("from-link", `Another tab has written this story, too. Yours goes on as “${titleOf(story)}”.`),
);
/** @type {Margin | null} */
let margin = null;
const state = keepState(writer, {
  sheets,
  onLink: ({ isReplaced, model }) =>
    remark(
      "from-link",
      `Opened from a link${model === null ? "" : ", which chose the model"}.${isReplaced ? " Undo restores your own text." : ""}`,
    ),
  onReplaced: showOwnText,
  onKept(isKept) {
    byId("unkept").hidden = isKept;
    margin?.refresh();
  },
});
chooseWays(writer);
keepReplacedPassages(writer, state);
const choices = new Choices(writer, state, () => {
  showHere();
  margin?.refresh();
});
const showHere = offerHere(writer, choices);
margin = new Margin(writer, state, () => choices.isOpen);
/** The writer has another story. @param {string} told */
function onOpened(told) {
  remark("from-link", told);
  window.scrollTo({ top: 0 });
  writer.focus({ preventScroll: true });
}
const stories = new StoriesPanel(state, library, onOpened);
const openFiles = keepFiles(state, library, { copy, onOpened });
showSharedStories(state, { onOpened, onFault: (sentence) => remark("from-link", sentence) });
const memory = new MemoryPanel(state);
const seen = new SeenPanel(writer);
const told = async () => (await memory.settled(), state.told());
composePrompts(writer, told, (text) => seen.show(text));
openPanels({
  model: () => models.open(),
  stories: () => stories.open(),
  memory: () => memory.open(),
  seen: () => seen.open(),
  settings: () => settings.open(),
  machine: () => machine.open(),
});
new ContextMeter(writer);
followText(writer);
keepShell(writer);
offerModel(writer);
acceptLocalModels((name) => models.choose(name), {
  others(entries) {
    if (!areStories(entries.map(({ path }) => path))) return false;
    openFiles(entries.map(({ file }) => file));
    return true;
  },
});
writer.addEventListener("error", ({ detail }) => {
  const remedy = remedyFor(detail, writer.getAttribute("model"));
  if (remedy) remark("from-link", remedy);
});

/** The button for the visitor's text that something else has taken the place of; null where there is none. @param {import("../tokenformer.js").Passage[] | null} passages */
function showOwnText(passages) {
  byId("own-text").hidden = passages === null;
  if (passages) byId("own-beginning").textContent = textOf(passages).slice(0, LONGEST_PREVIEW);
}

const examples = byId("examples");
examples.addEventListener("click", ({ target }) => {
  const example = target instanceof Element ? target.closest("button") : null;
  if (!example) return;
  if (example === byId("own-text").firstElementChild) state.bringBack();
  else state.replace(example.textContent);
  // The mouse rests on another one after that, which nobody has chosen.
  examples.setAttribute("data-still", "");
  window.scrollTo({ top: 0 });
  writer.focus({ preventScroll: true });
});
examples.addEventListener("pointermove", () => examples.removeAttribute("data-still"));

// The element's keys, from wherever the focus is; it has the first say.
addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (asksToWrite(event) && !event.repeat && writer.state === "idle") choices.continue();
  else if (event.key === "Escape") writer.stop();
});

const tokens = byId("tokens");
tokens.addEventListener("click", () => writer.toggleAttribute("token-view"));

/** What the buttons around the element say about its attributes. */
function showAttributes() {
  tokens.setAttribute("aria-pressed", String(writer.hasAttribute("token-view")));
  const { label, host } = describeModel(writer.getAttribute("model"), writer.getAttribute("endpoint"));
  byId("model-name").textContent = label;
  byId("model-host").textContent = host;
  byId("first-download").hidden = writer.hasAttribute("model");
}
new MutationObserver(showAttributes).observe(writer, { attributes: true });
showAttributes();

/** Whether it could be: a page that is not secure has no clipboard, and a browser may refuse. @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

byId("copy-link").addEventListener("click", async () => {
  const { href, missing } = state.link();
  const done = (await copy(href)) ? "Copied" : "The link stands in the address bar";
  remark("link-status", missing ? `${done}. Not in it: ${missing}.` : `${done}.`);
});

const WITHOUT_GPU = "No GPU available, so the small model runs on your CPU. Larger models need WebGPU.";

/** What stands below the text; nothing if that is empty. @param {string} text */
function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = text === "";
}
if (!navigator.gpu) {
  notice(isSecureContext ? WITHOUT_GPU : `${WITHOUT_GPU} Browsers offer that over https and on localhost only.`);
} else {
  writer.addEventListener("load", ({ detail: model }) => {
    const isFallback = model.info.backend === "cpu" && writer.getAttribute("backend") !== "cpu";
    notice(isFallback ? WITHOUT_GPU : "");
  });
}
