// The model picker: the model that comes with the page, the published ones, any other by name, address or from this
// device.

import { TokenFormer } from "../tokenformer.js";
import { LOADING_ATTRIBUTES } from "../lib/element/attributes.js";
import { make } from "../lib/element/dom.js";
import { EMBEDDED_MODEL } from "../lib/locations.js";
import { isLocalFolder, resolveName } from "../lib/api/names.js";
import { progressInWords } from "../lib/element/status.js";
import { byId } from "./elements.js";
import { hasGpu } from "./gpu.js";
import { isLocal, remedyFor } from "./local-folder.js";
import { KNOWN, loadRows, onChosen, onOtherModel, showChoices, withModel } from "./model-choices.js";
import { describeModel } from "./model-names.js";
import { size, whyNot } from "./published.js";

/** @typedef {import("./published.js").Choice} Choice */

export class ModelPanel {
  #writer;
  #rows;
  /** Stored models by id, once listed. @type {Map<string, import("../tokenformer.js").StoredModel>} */
  #stored = new Map();
  /** Whether there is a GPU; null until that is known. @type {boolean | null} */
  #hasGpu = null;

  /** The last load requested here. @type {Promise<unknown> | null} */
  #loading = null;

  /** @param {import("../tokenformer.js").TokenFormerElement} writer */
  constructor(writer) {
    this.#writer = writer;
    this.#rows = loadRows(writer);
    byId("load-options").append(...this.#rows.map((row) => row.node));
    onChosen((name) => this.choose(name));
    onOtherModel((name) => this.choose(name));
    byId("load-now").addEventListener("click", () => this.#load());
    // Not in the live region: a screen reader would never stop reading.
    writer.addEventListener("progress", ({ detail }) => {
      this.#tell("");
      byId("load-progress").textContent = progressInWords(detail, isLocalFolder(writer.getAttribute("model")));
    });
    writer.addEventListener("load", () => {
      this.#tell("Loaded.");
      if (byId("model", HTMLDialogElement).open) this.#readStored();
    });
    writer.addEventListener("error", ({ detail }) => {
      const remedy = remedyFor(detail, writer.getAttribute("model")) ?? detail.hint;
      this.#tell(detail.code === "aborted" ? "Stopped." : `${detail.message} ${remedy}`);
    });
    // Choosing another model aborts a load in progress.
    new MutationObserver(() => (byId("load-now", HTMLButtonElement).disabled = false)).observe(writer, {
      attributes: true,
      attributeFilter: [...LOADING_ATTRIBUTES],
    });
  }

  open() {
    this.#tell("");
    for (const row of this.#rows) row.show();
    this.#show();
    this.#readStored();
    hasGpu().then((has) => {
      this.#hasGpu = has;
      if (!has) this.#show();
    });
  }

  /** `name`: as in the attribute `model`; null for the page's model. @param {string | null} name */
  choose(name) {
    if (name === null) this.#writer.removeAttribute("model");
    else this.#writer.setAttribute("model", name);
    this.#tell("");
    this.#show();
  }

  #show() {
    const chosen = this.#writer.getAttribute("model");
    const models = chosen === null ? KNOWN : withModel(chosen);
    showChoices(models.map((model) => this.#choice(model, model.name === chosen)));
  }

  /** @param {Choice} model @param {boolean} checked */
  #choice(model, checked) {
    const { name, label, parameters, download, kept } = model;
    const reason = whyNot(model, this.#hasGpu);
    const input = make("input", { type: "radio", value: name ?? "", checked, disabled: reason !== "" && !checked });
    input.name = "model";
    const stored = this.#stored.get(name ?? EMBEDDED_MODEL) ?? this.#stored.get(idOf(name));
    const host = isLocal(name) ? "" : describeModel(name, this.#writer.getAttribute("endpoint")).host;
    const more = [
      name !== null && kept && `${size(kept)} on disk (4-bit)`,
      host && host !== parameters && `from ${host}`,
    ].filter(Boolean);
    const state = !stored
      ? null
      : make("span", {
          className: "kept",
          text: stored.complete
            ? `Saved: ${size(stored.bytes)}, ${stored.quantization}`
            : `Partly saved: ${size(stored.bytes)}`,
        });
    const what = make("span", { className: "what" }, [parameters, ...more].join(" · "));
    if (state) what.append(" · ", state);
    if (reason) what.append(make("span", { className: "why-not", text: reason }));
    return make(
      "label",
      { className: "choice" },
      input,
      make("strong", { text: label }),
      make("span", { className: "size", text: download ? `${size(download)} download` : "" }),
      what,
    );
  }

  async #readStored() {
    const models = await TokenFormer.models();
    this.#stored = new Map(models.reverse().map((model) => [model.id, model]));
    this.#show();
  }

  async #load() {
    const button = byId("load-now", HTMLButtonElement);
    const loading = this.#writer.load();
    this.#loading = loading;
    button.disabled = true;
    await loading.catch(() => {}); // told by the error event
    if (this.#loading === loading) button.disabled = false;
  }

  /** @param {string} text */
  #tell(text) {
    byId("load-progress").textContent = "";
    if (byId("load-status").textContent !== text) byId("load-status").textContent = text;
  }
}

/** @param {string | null} name */
function idOf(name) {
  try {
    return name === null ? "" : resolveName(name).id;
  } catch {
    return ""; // a name that an address brought
  }
}
