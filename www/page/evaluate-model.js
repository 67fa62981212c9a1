// Which model is evaluated, and at which precisions.

import { readLoadAttributes } from "../lib/attributes.js";
import { make } from "../lib/dom.js";
import { checkLoadOptions } from "../lib/options.js";
import { readAddress, toAddress } from "./evaluate-address.js";
import { hasGpu } from "./gpu.js";
import { isLocal } from "./local-folder.js";
import { describeModel, modelInWords } from "./model-names.js";
import { loadRows, onOtherModel } from "./model-panel.js";
import { EMBEDDED, PUBLISHED, size, whyNot } from "./published.js";

const byId = (id) => document.getElementById(id);
const KNOWN = [EMBEDDED, ...PUBLISHED];
/** "" is what the folder has, or q4 of a checkpoint. */
const PRECISIONS = { "": "as it comes", q4: "q4 · 4 bits", q8: "q8 · 8 bits", f16: "f16 · 16 bits" };

export class ModelChoice {
  /** As for TokenFormer.load; null for the embedded one. */
  #name = null;
  /** One that was asked for by its name. */
  #other = null;
  /** Whether there is a GPU; null until that is known. */
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
    byId("models").addEventListener("change", ({ target }) => this.choose(target.value || null));
    byId("precisions").addEventListener("change", () => this.#tellAddress());
    onOtherModel((name) => this.choose(name));
    hasGpu().then((has) => {
      this.#hasGpu = has;
      if (!has) this.#show({ keepPrecisions: true });
    });
  }

  set isDisabled(isDisabled) {
    for (const id of ["models", "precisions"]) byId(id).disabled = isDisabled;
    for (const control of document.querySelectorAll(
      "#other-model :is(input, button), #drop button, #load-options :is(input, select)",
    ))
      control.disabled = isDisabled;
  }

  /** The name for people. */
  get label() {
    return modelInWords(this.#name, this.#holder.getAttribute("endpoint"));
  }

  /** `{ name, options, precisions }`; precisions as `load` takes them, undefined for as it comes. Throws `invalid-argument`. */
  read() {
    const options = readLoadAttributes((attribute) => this.#holder.getAttribute(attribute));
    checkLoadOptions(options);
    const checked = [...byId("precisions").querySelectorAll("input:checked")].map(({ value }) => value || undefined);
    return { name: this.#name ?? undefined, options, precisions: checked };
  }

  /** `name`: as for TokenFormer.load; null for the embedded one. */
  choose(name) {
    this.#name = name;
    if (!KNOWN.some((model) => model.name === name)) this.#other = name;
    this.#show();
    this.#tellAddress();
  }

  #show({ keepPrecisions = false } = {}) {
    const other = this.#other;
    const about = { name: other, parameters: isLocal(other) ? "from this computer" : other };
    const models = other === null ? KNOWN : [...KNOWN, { ...about, label: describeModel(other).label }];
    const focused = byId("models").contains(document.activeElement);
    byId("models").replaceChildren(
      byId("models").firstElementChild,
      ...models.map((model) => choice(model, model.name === this.#name, whyNot(model, this.#hasGpu))),
    );
    if (focused) byId("models").querySelector("input:checked").focus();
    if (!keepPrecisions) this.#showPrecisions();
  }

  #showPrecisions() {
    const known = KNOWN.find(({ name }) => name === this.#name);
    const isEmbedded = this.#name === null;
    const values = isEmbedded ? [""] : known ? ["q4", "q8", "f16"] : ["", "q4", "q8", "f16"];
    byId("precisions").replaceChildren(
      byId("precisions").firstElementChild,
      ...values.map((value, i) => {
        const input = make("input", { type: "checkbox", value, checked: i === 0, disabled: isEmbedded });
        return make(
          "label",
          {},
          input,
          isEmbedded ? `as it comes: ${PRECISIONS[EMBEDDED.quantization]}` : PRECISIONS[value],
        );
      }),
    );
    byId("precision-note").textContent = isEmbedded
      ? `This model comes as ${EMBEDDED.quantization} only, so there is nothing of it at another precision to compare with.`
      : known
        ? `Each precision that this browser does not keep yet downloads the whole checkpoint, ${size(known.download)}, and makes it smaller while it arrives.`
        : "A folder that is quantized already runs as it comes only. A published checkpoint can be had at each precision, and is q4 as it comes; each one that this browser does not keep yet downloads all of it.";
  }

  /** Of the precisions that the model has. */
  #check(precisions) {
    const inputs = [...byId("precisions").querySelectorAll("input:enabled")];
    if (!inputs.some(({ value }) => precisions.includes(value))) return;
    for (const input of inputs) input.checked = precisions.includes(input.value);
  }

  #tellAddress() {
    const precisions = [...byId("precisions").querySelectorAll("input:checked:enabled")].map(({ value }) => value);
    history.replaceState(history.state, "", `${location.pathname}${toAddress(this.#name, precisions)}${location.hash}`);
  }
}

function choice({ name, label, parameters, download }, checked, reason) {
  const input = make("input", { type: "radio", value: name ?? "", checked, disabled: reason !== "" && !checked });
  input.name = "model";
  return make(
    "label",
    { className: "choice" },
    input,
    make("strong", { text: label }),
    make("span", { className: "size", text: download ? `${size(download)} download` : "" }),
    make("span", { className: "what", text: [parameters, reason].filter(Boolean).join(" · ") }),
  );
}
