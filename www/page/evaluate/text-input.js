// The texts to evaluate: typed or pasted, or files that are chosen or dropped, and what was recognised in them.

import { make } from "../../lib/element/dom.js";
import { invalidArgument, toTokenFormerError } from "../../lib/errors.js";
import { formatOf, inputInWords, readSource, together } from "./documents.js";
import { SAMPLE_PAIRS, SAMPLE_TEXT } from "./samples.js";
import { byId } from "../elements.js";
import { acceptDrops, areModels } from "../local-model.js";
import { plainText } from "../stories/plain-text.js";
import { size } from "../published.js";

/** @typedef {import("../../lib/errors.js").TokenFormerError} TokenFormerError */
/** @typedef {import("./documents.js").Read} Read */
/**
 * A file, with its contents or the reason why it is unreadable.
 * @typedef {{ name: string, bytes: number } & ({ read: Read, error: null } | { read: null, error: TokenFormerError })} GivenFile
 */

/** More than a visitor would wait for, or a page should hold. */
const LARGEST_FILE = 100e6;
const SETTLE_MS = 150;

export class TextInput {
  #field = byId("text", HTMLTextAreaElement);
  /** Read once, since they may be large and the text field is parsed while typing. @type {GivenFile[]} */
  #files = [];
  #timer = 0;

  /** `takeModel` gets dropped files that form a model. @param {{ takeModel: (entries: import("../local-folder.js").Entry[]) => void }} told */
  constructor({ takeModel }) {
    const field = this.#field;
    field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#show(), SETTLE_MS);
    });
    for (const [id, text] of [
      ["sample-text", SAMPLE_TEXT],
      ["sample-pairs", SAMPLE_PAIRS],
    ]) {
      byId(id).addEventListener("click", () => {
        this.#files = [];
        field.value = text;
        field.scrollTop = 0;
        this.#show();
      });
    }
    const picker = byId("texts-input", HTMLInputElement);
    byId("pick-texts").addEventListener("click", () => picker.click());
    picker.addEventListener("change", async () => {
      await this.#add([...(picker.files ?? [])]);
      picker.value = ""; // the same choice again is a choice
    });
    acceptDrops(byId("drop-veil"), async (reading) => {
      const entries = await reading.catch(() => null);
      if (entries && areModels(entries)) takeModel(entries);
      else if (entries) await this.#add(entries.map(({ file }) => file));
      else this.#tellError(invalidArgument("What was dropped cannot be read.", "Choose the files instead."));
    });
    this.#show();
  }

  /** @param {boolean} isDisabled */
  set isDisabled(isDisabled) {
    for (const id of ["pick-texts", "sample-text", "sample-pairs"]) byId(id, HTMLButtonElement).disabled = isDisabled;
    this.#field.readOnly = isDisabled;
    for (const button of byId("files").querySelectorAll("button")) button.disabled = isDisabled;
  }

  /** Same as `readInput`, or null: then the error is shown. */
  read() {
    clearTimeout(this.#timer);
    try {
      const input = this.#read();
      this.#tellError(null);
      return input;
    } catch (error) {
      this.#tellError(toTokenFormerError(error));
      return null;
    }
  }

  #read() {
    const typed = plainText(this.#field.value);
    const read = typed.trim() === "" ? [] : [readSource({ name: "the text field", text: typed })];
    for (const file of this.#files) {
      if (file.error) throw file.error;
      read.push(file.read);
    }
    return together(read);
  }

  /** @param {File[]} files */
  async #add(files) {
    if (this.#field.readOnly) return;
    try {
      const read = await Promise.all(files.map(readFile));
      // The same file again replaces the first.
      this.#files = [...this.#files.filter(({ name }) => !read.some((file) => file.name === name)), ...read];
      this.#show();
    } catch (error) {
      this.#tellError(toTokenFormerError(error));
    }
  }

  #show() {
    byId("files").replaceChildren(
      ...this.#files.map((file) => {
        const remove = make("button", {
          type: "button",
          className: "plain",
          text: "Remove",
          ariaLabel: `Remove ${file.name}`,
        });
        remove.addEventListener("click", () => {
          this.#files = this.#files.filter((other) => other !== file);
          this.#show();
          byId("pick-texts").focus();
        });
        return make(
          "li",
          {},
          make("span", { text: file.name }),
          make("span", { className: "small", text: size(file.bytes) }),
          remove,
        );
      }),
    );
    const isEmpty = this.#field.value.trim() === "" && this.#files.length === 0;
    const input = isEmpty ? null : this.read();
    if (isEmpty) this.#tellError(null);
    byId("recognised").textContent = input ? `${inputInWords(input)}.` : "";
  }

  /** @param {TokenFormerError | null} error */
  #tellError(error) {
    const wrong = byId("input-error");
    wrong.textContent = error ? `${error.message} ${error.hint}` : "";
    wrong.hidden = !error;
    if (error) byId("recognised").textContent = "";
    if (error) this.#field.setAttribute("aria-invalid", "true");
    else this.#field.removeAttribute("aria-invalid");
  }
}

/** @param {File} file @returns {Promise<GivenFile>} */
async function readFile(file) {
  const { name } = file;
  if (file.size > LARGEST_FILE)
    throw invalidArgument(
      `${name} has ${size(file.size)}; ${size(LARGEST_FILE)} are the most that is read here.`,
      "Give a part of it.",
    );
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch (cause) {
    const what = cause instanceof TypeError ? "is no text in UTF-8" : "cannot be read";
    throw invalidArgument(`${name} ${what}.`, "Save it as plain text in UTF-8, or choose another file.");
  }
  const about = { name, bytes: file.size };
  try {
    return { ...about, read: readSource({ name, text, format: formatOf(name) }), error: null };
  } catch (error) {
    return { ...about, read: null, error: toTokenFormerError(error) };
  }
}
