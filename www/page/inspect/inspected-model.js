// The model that is looked into: which one, its loading, and the packs that take part.

import { readLoadAttributes } from "../../lib/element/attributes.js";
import { progressInWords } from "../../lib/element/status.js";
import { isLocalFolder } from "../../lib/api/names.js";
import { TokenFormer } from "../../tokenformer.js";
import { byId } from "../elements.js";
import { hasGpu } from "../gpu.js";
import { KNOWN, modelCard, onChosen, onOtherModel, showChoices, withModel } from "../model-choices.js";
import { modelInWords } from "../model-names.js";
import { Shelf } from "../packs/shelf.js";
import { whyNot } from "../published.js";
import { BrowserRecords } from "../stories/records.js";

/** @typedef {TokenFormer} Model */

export class InspectedModel {
  /** As the element's attributes have them. @type {Record<string, string>} */
  #attributes;
  /** @type {Model | null} */
  #loaded = null;
  /** @type {boolean | null} */
  #hasGpu = null;
  #shelf;
  #onChoose;

  /** @param {Record<string, string>} attributes @param {() => void} onChoose another model is to be looked into */
  constructor(attributes, onChoose) {
    this.#attributes = attributes;
    this.#onChoose = onChoose;
    this.#shelf = new Shelf(new BrowserRecords("tokenformer-packs", "packs"), {
      onChange: () => this.#showPacks(),
      onFault: () => {}, // a browser that keeps nothing has no packs
    });
    const choose = (/** @type {string | null} */ name) => this.#choose(name);
    onChosen(choose);
    onOtherModel(choose);
    this.#show();
    hasGpu().then((has) => {
      this.#hasGpu = has;
      this.#show();
    });
  }

  /** For a link. */
  get attributes() {
    return this.#attributes;
  }

  /** @param {string | null} name */
  async #choose(name) {
    if (name === (this.#attributes.model ?? null)) return;
    this.#attributes = name === null ? {} : { model: name };
    this.#show();
    await this.dispose();
    this.#onChoose();
  }

  #show() {
    const name = this.#attributes.model ?? null;
    const models = name === null ? KNOWN : withModel(name);
    showChoices(models.map((model) => modelCard(model, model.name === name, whyNot(model, this.#hasGpu))));
    byId("model-name").textContent = modelInWords(name);
  }

  #request() {
    const { model, ...more } = this.#attributes;
    return /** @type {const} */ ([model, readLoadAttributes((attribute) => more[attribute] ?? null)]);
  }

  /** Whether it is on this device already. */
  async isStored() {
    const { state } = await TokenFormer.availability(...this.#request());
    return state === "stored";
  }

  /** The model, with the packs that are switched on. Rejects as `TokenFormer.load`. @param {AbortSignal} signal @param {(words: string) => void} onProgress */
  async load(signal, onProgress) {
    if (this.#loaded) return this.#loaded;
    const [name, options] = this.#request();
    const told = isLocalFolder(name);
    this.#loaded = await TokenFormer.load(name, {
      ...options,
      signal,
      onProgress: (progress) => onProgress(`Loading the model. ${progressInWords(progress, told)}`),
    });
    await this.#shelf.read();
    await this.#shelf.attach(this.#loaded);
    return this.#loaded;
  }

  /** Gives its memory back. */
  async dispose() {
    const model = this.#loaded;
    this.#loaded = null;
    await this.#shelf.attach(null);
    await model?.dispose().catch(() => {}); // it was lost before
  }

  #showPacks() {
    const names = this.#loaded?.packs.map(({ name }) => `“${name}”`) ?? [];
    const line = byId("packs-there");
    line.hidden = names.length === 0;
    line.textContent = `${names.length === 1 ? "The pack" : "The packs"} ${names.join(", ")} ${names.length === 1 ? "takes" : "take"} part, in a colour of ${names.length === 1 ? "its" : "their"} own.`;
  }
}
