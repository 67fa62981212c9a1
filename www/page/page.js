// The page around the element: its openings, the panels, its memory. It drives <token-former> as any other page could:
// by attributes, properties, methods and events.

import "../tokenformer.js";
import { asksToWrite } from "../lib/element/dom.js";
import { benchmarkAddress } from "./benchmark-link.js";
import { ContextMeter } from "./context-meter.js";
import { Choices } from "./choices.js";
import { composePrompts } from "./composer.js";
import { copy } from "./copy.js";
import { byId } from "./elements.js";
import { showFirstView } from "./first-view.js";
import { followText } from "./follow.js";
import { offerHere } from "./here.js";
import { remedyFor } from "./local-folder.js";
import { linkWords } from "./inside-link.js";
import { acceptLocalModels } from "./local-model.js";
import { MachinePanel } from "./machine-panel.js";
import { Margin } from "./margin.js";
import { MemoryPanel } from "./memory-panel.js";
import { describeModel } from "./model-names.js";
import { ModelPanel } from "./model-panel.js";
import { offerModel } from "./offer.js";
import { keepShell } from "./offline.js";
import { showOpenings, showOwnText } from "./openings.js";
import { openPanels } from "./panels.js";
import { keepReplacedPassages } from "./replaced-passages.js";
import { SeenPanel } from "./seen-panel.js";
import { keepLooks } from "./reading-looks.js";
import { SettingsPanel } from "./settings-panel.js";
import { receiveShared } from "./share-target.js";
import { showSharedStories } from "./shared-story.js";
import { keepState } from "./state.js";
import { StoriesPanel } from "./stories-panel.js";
import { areStories } from "./stories/files.js";
import { Library } from "./stories/library.js";
import { BrowserRecords } from "./stories/records.js";
import { sheetsOf } from "./stories/sheets.js";
import { titleOf } from "./stories/story.js";
import { keepFiles } from "./story-files.js";
import { TeachPanel } from "./teach-panel.js";
import { chooseWays } from "./ways.js";

const writer = /** @type {import("../tokenformer.js").TokenFormerElement} */ (byId("writer"));

keepLooks();
const settings = new SettingsPanel(writer);
const models = new ModelPanel(writer);
const machine = new MachinePanel(writer);
linkWords(writer);

/** A message that stays until the visitor or the model continues, or another message replaces it. @param {string} id @param {string} text */
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
  remark("from-link", `Another tab changed this story, too. Yours continues as “${titleOf(story)}”.`),
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
const memory = new MemoryPanel(state);
const seen = new SeenPanel(writer);
const told = async () => (await memory.settled(), state.told());
const lookAtContext = composePrompts(writer, told, (text) => seen.show(text));
chooseWays(writer);
keepReplacedPassages(writer, state);
const choices = new Choices(writer, state, {
  onChange() {
    showHere();
    margin?.refresh();
  },
  onWritten: lookAtContext,
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
receiveShared(state, onOpened);
const teach = new TeachPanel(writer, {
  title: async () => titleOf(await state.currentStory()),
  remark: (text) => remark("from-link", text),
});
openPanels({
  model: () => models.open(),
  stories: () => stories.open(),
  teach: () => teach.open(),
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
  async others(entries) {
    const files = entries.map(({ file }) => file);
    if (await teach.wants(files)) return (teach.take(files), true);
    if (!areStories(entries.map(({ path }) => path))) return false;
    openFiles(files);
    return true;
  },
});
writer.addEventListener("error", ({ detail }) => {
  const remedy = remedyFor(detail, writer.getAttribute("model"));
  if (remedy) remark("from-link", remedy);
});

showOpenings(writer, state);
showFirstView(writer);

// The element's keys, wherever the focus is; the element handles them first.
addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (asksToWrite(event) && !event.repeat && writer.state === "idle") choices.continue();
  else if (event.key === "Escape") writer.stop();
});

const tokens = byId("tokens");
tokens.addEventListener("click", () => writer.toggleAttribute("token-view"));

/** What the buttons around the element show about its attributes. */
function showAttributes() {
  tokens.setAttribute("aria-pressed", String(writer.hasAttribute("token-view")));
  const { label, host } = describeModel(writer.getAttribute("model"), writer.getAttribute("endpoint"));
  byId("model-name").textContent = label;
  byId("model-host").textContent = host;
  const address = benchmarkAddress((name) => writer.getAttribute(name));
  /** @type {NodeListOf<HTMLAnchorElement>} */
  const links = document.querySelectorAll('a[href^="bench.html"]');
  for (const link of links) link.href = address;
}
new MutationObserver(showAttributes).observe(writer, { attributes: true });
showAttributes();

byId("copy-link").addEventListener("click", async () => {
  const { href, missing } = state.link();
  const done = (await copy(href)) ? "Copied" : "The link is in the address bar";
  remark("link-status", missing ? `${done}. Not in it: ${missing}.` : `${done}.`);
});
