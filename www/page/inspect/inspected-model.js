// The inspected model: which one, its loading, and its active packs.

import { isUsable } from "../../lib/api/model.js";
import { isLocalFolder, resolveName } from "../../lib/api/names.js";
import { readLoadAttributes } from "../../lib/element/attributes.js";
import { progressInWords } from "../../lib/element/status.js";
import { EMBEDDED_MODEL } from "../../lib/locations.js";
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
  /** In the form of the element's attributes; a new object for each choice. @type {Record<string, string>} */
  #attributes;
  /** @type {Model | null} */
  #loaded = null;
  /** @type {boolean | null} */
  #hasGpu = null;
  #shelf;
  #onChoose;

  /** @param {Record<string, string>} attributes @param {() => void} onChoose another model was chosen: the former one is disposed of next */
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
    this.#onChoose();
    await this.dispose();
  }

  #show() {
    const { model: name = null, quantization } = this.#attributes;
    const models = name === null ? KNOWN : withModel(name);
    showChoices(models.map((model) => modelCard(model, model.name === name, whyNot(model, this.#hasGpu))));
    byId("model-name").textContent = modelInWords(name) + (quantization ? `, ${quantization}` : "");
  }

  #request() {
    const { model, ...more } = this.#attributes;
    return /** @type {const} */ ([model, readLoadAttributes((attribute) => more[attribute] ?? null)]);
  }

  /** Whether all of it is on this device already. Makes no request. */
  async isStored() {
    const { model } = this.#attributes;
    const wanted = model === undefined ? EMBEDDED_MODEL : resolveName(model).id;
    return (await TokenFormer.models()).some(({ id, complete }) => complete && id === wanted);
  }

  /**
   * The model, with its active packs. Rejects like `TokenFormer.load`, and with an AbortError if another one
   * was chosen in the meantime.
   * @param {AbortSignal} signal
   * @param {(words: string) => void} onProgress
   */
  async load(signal, onProgress) {
    if (this.#loaded && isUsable(/** @type {any} */ (this.#loaded))) return this.#loaded;
    await this.dispose();
    const attributes = this.#attributes;
    const [name, options] = this.#request();
    const told = isLocalFolder(name);
    const model = await TokenFormer.load(name, {
      ...options,
      signal,
      onProgress: (progress) => onProgress(`Loading the model. ${progressInWords(progress, told)}`),
    });
    if (attributes !== this.#attributes || signal.aborted) {
      await model.dispose();
      throw new DOMException("Another model was chosen.", "AbortError");
    }
    this.#loaded = model;
    await this.#shelf.read();
    await this.#shelf.attach(model);
    return model;
  }

  /** Frees its memory. */
  async dispose() {
    const model = this.#loaded;
    this.#loaded = null;
    await this.#shelf.attach(null);
    await model?.dispose().catch(() => {}); // it was lost before
  }

  #showPacks() {
    const names = this.#loaded?.packs.map(({ name }) => `“${name}”`) ?? [];
    const isOne = names.length === 1;
    const line = byId("packs-there");
    line.hidden = names.length === 0;
    line.textContent = `${isOne ? "The pack" : "The packs"} ${names.join(", ")} ${isOne ? "takes" : "take"} part, in a colour of ${isOne ? "its" : "their"} own.`;
  }
}
