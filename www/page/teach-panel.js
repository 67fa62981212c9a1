// The panel Teach: a text to learn from, the lesson in progress, and the packs from lessons or elsewhere.

import { toTokenFormerError } from "../lib/errors.js";
import { readGenerateAttributes } from "../lib/element/attributes.js";
import { DEFAULT_ENDPOINT } from "../lib/api/names.js";
import { packReader } from "../lib/api/pack-sources.js";
import { isPackFile } from "../lib/api/pack-file.js";
import { TokenPack } from "../lib/api/token-pack.js";
import { randomSeed } from "../lib/seeds.js";
import { wellFormed } from "../lib/api/inputs.js";
import { byId } from "./elements.js";
import { LessonView } from "./lesson-view.js";
import { PackRows } from "./pack-rows.js";
import { beginningOf, teach, verdictOf, wordsOf } from "./packs/lesson.js";
import { linkedPacks } from "./packs/linked.js";
import { Shelf } from "./packs/shelf.js";
import { BrowserRecords } from "./stories/records.js";

/** @typedef {import("../tokenformer.js").TokenFormerElement} TokenFormerElement */

/** With fewer words a lesson is hardly worthwhile. */
const FEW_WORDS = 400;
/** Maximum size of a text in bytes. */
const MOST_BYTES = 20e6;
const TEXT_FILE = /\.(txt|md|markdown|text)$/i;

export class TeachPanel {
  #writer;
  #remark;
  #view = new LessonView();
  #shelf;
  #rows;
  /** The lesson in progress. @type {AbortController | null} */
  #lesson = null;
  /** The pack of the last lesson, if it is neither saved nor discarded yet. @type {string | null} */
  #learnt = null;
  /** Reverts the last deletion. @type {(() => Promise<void>) | null} */
  #undo = null;

  /** @param {TokenFormerElement} writer @param {{ title: () => Promise<string>, remark: (text: string) => void }} page `title`: of the current story */
  constructor(writer, { title, remark }) {
    this.#writer = writer;
    this.#remark = remark;
    const records = /** @type {BrowserRecords<import("./packs/shelf.js").Kept>} */ (
      new BrowserRecords("tokenformer-packs", "packs")
    );
    this.#shelf = new Shelf(records, {
      onChange: () => this.#showPacks(),
      onFault: (sentence) => this.#tell(sentence),
    });
    this.#rows = new PackRows(this.#shelf, (sentence, undo) => this.#tell(sentence, undo));
    this.#shelf.read();
    const linked = linkedPacks(location.search);
    this.#shelf.link(linked);
    if (linked.length > 0) remark(`Opened from a link, which adds ${linked.join(", ")}: see Teach.`);
    // Before code that is waiting for the model gets it.
    writer.addEventListener("load", ({ detail }) => void this.#shelf.attach(detail));

    byId("teach-hint").addEventListener("click", () => byId("open-teach").click());
    const text = byId("lesson-text", HTMLTextAreaElement);
    text.addEventListener("input", () => this.#showSize());
    byId("lesson-story").addEventListener("click", async () => this.#setText(writer.text, await title()));
    const file = byId("lesson-input", HTMLInputElement);
    byId("lesson-file").addEventListener("click", () => file.click());
    file.addEventListener("change", async () => {
      await this.take(Array.from(file.files ?? []));
      file.value = ""; // the same choice again is a choice
    });
    byId("lesson").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    byId("stop-teaching").addEventListener("click", () => this.#lesson?.abort());
    byId("keep-lesson").addEventListener("click", () => this.#keep());
    byId("discard-lesson").addEventListener("click", () => this.#discard());
    byId("undo-pack").addEventListener("click", async () => {
      const undo = this.#undo;
      this.#tell("");
      await undo?.();
      byId("pack-address").focus();
    });
    const packs = byId("pack-input", HTMLInputElement);
    byId("pack-file").addEventListener("click", () => packs.click());
    packs.addEventListener("change", async () => {
      await this.take(Array.from(packs.files ?? []));
      packs.value = "";
    });
    byId("add-pack").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#addAddress();
    });
    addEventListener("beforeunload", (event) => {
      if (this.#lesson || this.#learnt !== null) event.preventDefault();
    });
  }

  open() {
    this.#tell("");
    this.#showSize();
    return this.#shelf.read();
  }

  get isOpen() {
    return byId("teach", HTMLDialogElement).open;
  }

  /** Whether files are for this panel: packs always, texts while it is open. @param {File[]} files */
  async wants(files) {
    if (files.length === 0) return false;
    const are = await Promise.all(files.map(async (file) => (this.isOpen && isText(file)) || isPackFile(file)));
    return are.every(Boolean);
  }

  /** Takes files: packs are saved, texts become the text to learn from. @param {File[]} files */
  async take(files) {
    if (files.length > 0 && !this.isOpen) byId("open-teach").click();
    const texts = files.filter(isText);
    for (const file of files.filter((file) => !texts.includes(file))) await this.#openPack(file);
    if (texts.length === 0) return;
    if (texts.reduce((sum, { size }) => sum + size, 0) > MOST_BYTES)
      return this.#tell("These texts are too long: 20 MB are the most.");
    const read = await Promise.all(texts.map((file) => file.text()));
    this.#setText(read.join("\n\n"), texts[0].name.replace(TEXT_FILE, ""));
  }

  /** @param {File} file */
  async #openPack(file) {
    try {
      const entry = await this.#shelf.open(file, file.name.replace(/(\.pack)?\.safetensors$/i, "") || undefined);
      this.#tell(entry.fault === "" ? `“${entry.name}” is added, and saved in this browser.` : "");
    } catch (thrown) {
      const { message, hint } = toTokenFormerError(thrown);
      this.#tell(`${file.name}: ${message} ${hint}`);
    }
  }

  async #addAddress() {
    const field = byId("pack-address", HTMLInputElement);
    const address = field.value.trim();
    const fault = byId("pack-error");
    field.removeAttribute("aria-invalid");
    fault.hidden = true;
    try {
      const read = packReader("The address", address);
      this.#tell("Fetching it.");
      const { bytes, ...told } = await read({
        endpoint: this.#writer.getAttribute("endpoint") ?? DEFAULT_ENDPOINT,
      });
      const entry = await this.#shelf.add(new TokenPack(bytes, told));
      if (await this.#shelf.keep(entry.id)) this.#tell(`“${entry.name}” is added, and saved in this browser.`);
      field.value = "";
    } catch (thrown) {
      const { message, hint } = toTokenFormerError(thrown);
      this.#tell("");
      field.setAttribute("aria-invalid", "true");
      fault.textContent = `${message} ${hint}`;
      fault.hidden = false;
    }
  }

  /** @param {string} text @param {string} title */
  #setText(text, title) {
    byId("lesson-text", HTMLTextAreaElement).value = text;
    byId("lesson-name", HTMLInputElement).value = title.slice(0, 100);
    this.#showSize();
  }

  #showSize() {
    const words = wordsOf(byId("lesson-text", HTMLTextAreaElement).value);
    const told = `${words.toLocaleString("en")} words`;
    byId("lesson-size").textContent =
      words === 0
        ? "Paste or drop a few pages by one hand. 1,500 words already show."
        : words < FEW_WORDS
          ? `${told}: that is little. 1,500 or more show better.`
          : `${told}. The last tenth is kept back, to see whether it learns the manner or only the words.`;
  }

  async #begin() {
    if (this.#lesson) return;
    const text = wellFormed(byId("lesson-text", HTMLTextAreaElement).value);
    this.#showFault(null);
    if (text.trim() === "") {
      this.#showFault({ message: "There is no text yet.", hint: "Paste a few pages, or choose a file." });
      return byId("lesson-text").focus();
    }
    await this.#discard(); // what was neither kept nor discarded
    const lesson = (this.#lesson = new AbortController());
    const { signal } = lesson;
    const rounds = Number(byId("lesson-rounds", HTMLSelectElement).value);
    const tokens = Number(byId("lesson-tokens", HTMLSelectElement).value);
    const name = byId("lesson-name", HTMLInputElement).value.trim() || "My pack";
    const beginning = beginningOf(text);
    this.#showRunning(true);
    try {
      byId("lesson-verdict").textContent = "Loading the model.";
      const model = await this.#writer.load();
      if (signal.aborted) return void (byId("lesson-verdict").textContent = "Stopped.");
      byId("lesson-verdict").textContent = "The lesson has begun.";
      this.#view.begin(beginning, rounds);
      byId("lesson-view").scrollIntoView({ block: "nearest" });
      const writing = { ...this.#writing(), seed: randomSeed() };
      const pack = await teach(
        model,
        { text, name, beginning, rounds, tokens, writing, signal },
        {
          onPoint: (progress) => this.#view.add(progress),
          onSample: (without, withIt) => this.#view.showSamples(beginning, without, withIt),
        },
      );
      if (pack) this.#learnt = (await this.#shelf.add(pack)).id;
      const stopped = signal.aborted ? "Stopped. " : "";
      this.#view.end(pack ? stopped + verdictOf(pack.training) : "Stopped.", pack !== null);
      if (pack && document.activeElement === byId("stop-teaching")) byId("keep-lesson").focus();
      if (!this.isOpen) this.#remark("The lesson has ended: see Teach.");
    } catch (thrown) {
      this.#view.end("", false);
      this.#showFault(toTokenFormerError(thrown));
    } finally {
      this.#lesson = null;
      this.#showRunning(false);
    }
  }

  /** Samples use the page's own settings. */
  #writing() {
    const { temperature, topP, topK, minP, repetitionPenalty } = readGenerateAttributes((name) =>
      this.#writer.getAttribute(name),
    );
    const given = Object.entries({ temperature, topP, topK, minP, repetitionPenalty });
    return Object.fromEntries(given.filter(([, value]) => value !== undefined));
  }

  async #keep() {
    const id = this.#learnt;
    this.#learnt = null;
    this.#view.close();
    if (id === null) return;
    const name = this.#shelf.get(id)?.name;
    if (await this.#shelf.keep(id)) this.#tell(`“${name}” is saved in this browser, and on.`);
    byId(`pack-on-${id}`).focus();
  }

  async #discard() {
    const id = this.#learnt;
    this.#learnt = null;
    this.#view.close();
    if (id === null) return;
    await this.#shelf.remove(id);
    byId("lesson-text").focus();
  }

  /** @param {boolean} isRunning */
  #showRunning(isRunning) {
    byId("teach-now", HTMLButtonElement).disabled = isRunning;
    byId("stop-teaching").hidden = !isRunning;
    if (isRunning) byId("stop-teaching").focus();
    for (const id of ["lesson-text", "lesson-name"]) byId(id).toggleAttribute("readonly", isRunning);
  }

  /** @param {{ message: string, hint: string } | null} error */
  #showFault(error) {
    byId("lesson-error").hidden = error === null;
    byId("lesson-error").textContent = error ? `${error.message} ${error.hint}` : "";
  }

  #showPacks() {
    this.#rows.show();
    const learnt = this.#learnt === null ? null : this.#shelf.get(this.#learnt);
    if (learnt === null || (learnt && !learnt.isKept)) return;
    // Saved, or deleted, in the list.
    this.#learnt = null;
    this.#view.close();
  }

  /** @param {string} sentence @param {() => Promise<void>} [undo] */
  #tell(sentence, undo) {
    byId("packs-status").textContent = sentence;
    this.#undo = undo ?? null;
    byId("undo-pack").hidden = !undo;
  }
}

/** @param {File} file */
function isText(file) {
  return TEXT_FILE.test(file.name) || file.type.startsWith("text/");
}
