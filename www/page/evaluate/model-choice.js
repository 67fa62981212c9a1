// Which model is evaluated, and at which precisions.

import { readLoadAttributes } from "../../lib/element/attributes.js";
import { make } from "../../lib/element/dom.js";
import { checkLoadOptions } from "../../lib/api/options.js";
import { readAddress, toAddress } from "./address.js";
import { hasGpu } from "../gpu.js";
import { byId } from "../elements.js";
import { KNOWN, loadRows, modelCard, onChosen, onOtherModel, showChoices, withModel } from "../model-choices.js";
import { modelInWords } from "../model-names.js";
import { EMBEDDED, size, whyNot } from "../published.js";

/** @typedef {import("../../tokenformer.js").LoadOptions} LoadOptions */
/** @typedef {import("../../tokenformer.js").Quantization} Quantization */

/**
 * What is to be evaluated; precisions as for `load`; undefined: as published.
 * @typedef {{ name: string | undefined, options: LoadOptions, precisions: (Quantization | undefined)[] }} Chosen
 */

/** "" is the folder's own precision, or q4 for a checkpoint. @type {Record<string, string>} */
const PRECISIONS = { "": "as published", q4: "q4 · 4 bits", q8: "q8 · 8 bits", f16: "f16 · 16 bits" };

export class ModelChoice {
  /** As for TokenFormer.load; null for the embedded model. @type {string | null} */
  #name = null;
  /** A model entered by name. @type {string | null} */
  #other = null;
  /** Whether there is a GPU; null until that is known. @type {boolean | null} */
  #hasGpu = null;
  /** Keeps the rows' attributes. */
  #holder = document.createElement("div");

  constructor() {
    const rows = loadRows(this.#holder, ["quantization"]);
    byId("load-options").append(...rows.map(({ node }) => node));
    const { name, precisions } = readAddress(location.search, document.baseURI);
    if (name !== null) this.choose(name);
    else this.#show();
    if (precisions.length > 0) this.#check(precisions);
    onChosen((chosen) => this.choose(chosen));
    byId("precisions").addEventListener("change", () => this.#tellAddress());
    onOtherModel((other) => this.choose(other));
    hasGpu().then((has) => {
      this.#hasGpu = has;
      if (!has) this.#show({ keepPrecisions: true });
    });
  }

  /** @param {boolean} isDisabled */
  set isDisabled(isDisabled) {
    for (const id of ["models", "precisions"]) byId(id, HTMLFieldSetElement).disabled = isDisabled;
    /** @type {NodeListOf<HTMLInputElement | HTMLButtonElement | HTMLSelectElement>} */
    const controls = document.querySelectorAll(
      "#other-model :is(input, button), #drop button, #load-options :is(input, select)",
    );
    for (const control of controls) control.disabled = isDisabled;
  }

  /** The display name. */
  get label() {
    return modelInWords(this.#name, this.#holder.getAttribute("endpoint"));
  }

  /** The current choice. Throws `invalid-argument`. @returns {Chosen} */
  read() {
    const options = readLoadAttributes((attribute) => this.#holder.getAttribute(attribute));
    checkLoadOptions(options);
    const checked = boxes(":checked").map(({ value }) => /** @type {Quantization | ""} */ (value) || undefined);
    return { name: this.#name ?? undefined, options, precisions: checked };
  }

  /** `name`: as for TokenFormer.load; null for the embedded model. @param {string | null} name */
  choose(name) {
    this.#name = name;
    if (!KNOWN.some((model) => model.name === name)) this.#other = name;
    this.#show();
    this.#tellAddress();
  }

  #show({ keepPrecisions = false } = {}) {
    const models = this.#other === null ? KNOWN : withModel(this.#other);
    showChoices(models.map((model) => modelCard(model, model.name === this.#name, whyNot(model, this.#hasGpu))));
    if (!keepPrecisions) this.#showPrecisions();
  }

  #showPrecisions() {
    const known = KNOWN.find(({ name }) => name === this.#name);
    const isEmbedded = this.#name === null;
    const values = isEmbedded ? [""] : known ? ["q4", "q8", "f16"] : ["", "q4", "q8", "f16"];
    const field = byId("precisions");
    field.replaceChildren(
      ...field.querySelectorAll("legend"),
      ...values.map((value, i) => {
        const input = make("input", { type: "checkbox", value, checked: i === 0, disabled: isEmbedded });
        return make(
          "label",
          {},
          input,
          isEmbedded ? `as published: ${PRECISIONS[EMBEDDED.quantization]}` : PRECISIONS[value],
        );
      }),
    );
    byId("precision-note").textContent = isEmbedded
      ? `This model comes as ${EMBEDDED.quantization} only, so there is nothing of it at another precision to compare with.`
      : known?.download
        ? `Each precision that this browser does not keep yet downloads the whole checkpoint, ${size(known.download)}, and makes it smaller while it arrives.`
        : "An already quantized folder runs at its own precision only. A published checkpoint runs at each, q4 by default. Each precision that is not saved yet downloads the whole checkpoint.";
  }

  /** Offers the precisions that the model has. @param {string[]} precisions */
  #check(precisions) {
    const inputs = boxes(":enabled");
    if (!inputs.some(({ value }) => precisions.includes(value))) return;
    for (const input of inputs) input.checked = precisions.includes(input.value);
  }

  #tellAddress() {
    const precisions = boxes(":checked:enabled").map(({ value }) => value);
    history.replaceState(history.state, "", `${location.pathname}${toAddress(this.#name, precisions)}${location.hash}`);
  }
}

/** The precision checkboxes that match a pseudo-class. @param {string} state a pseudo-class */
function boxes(state) {
  /** @type {NodeListOf<HTMLInputElement>} */
  const inputs = byId("precisions").querySelectorAll(`input${state}`);
  return [...inputs];
}
