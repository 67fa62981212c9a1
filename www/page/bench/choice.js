// The form of the benchmark: which model, at which precision if its weights are made here, and where it runs.

import { make } from "../../lib/element/dom.js";
import { EMBEDDED_MODEL } from "../../lib/locations.js";
import { resolveName } from "../../lib/api/names.js";
import { TokenFormer } from "../../tokenformer.js";
import { byId } from "../elements.js";
import { gpuHere } from "../gpu.js";
import { isLocal } from "../local-folder.js";
import { describeModel, modelInWords } from "../model-names.js";
import { EMBEDDED, OFFERED, size } from "../published.js";
import { keyOf, modelLabel, readTarget, SHAPES, shapeInWords, toQuery } from "./target.js";

/** @typedef {import("../../tokenformer.js").LoadOptions} LoadOptions */
/** @typedef {import("../../tokenformer.js").StoredModel} StoredModel */
/** @typedef {import("./target.js").Target} Target */
/** An option of the form. @typedef {{ target: Target, text: string, disabled?: boolean }} Item */

/** @type {Target} */
const EMBEDDED_TARGET = { kind: "model", name: null, options: {} };

export class Choice {
  /** @type {Target} */
  #target;
  /** The options, by value. @type {Map<string, Item>} */
  #items = new Map();
  /** @type {StoredModel[]} */
  #stored = [];
  #hasGpu = true;

  constructor() {
    this.#target = readTarget(new URLSearchParams(location.search), document.baseURI);
    this.#show();
    const [model, precision, backend] = ["model", "precision", "backend"].map((id) => byId(id, HTMLSelectElement));
    model.addEventListener("change", () => {
      const item = this.#items.get(model.value);
      if (item) this.#choose(item.target);
    });
    precision.addEventListener("change", () => {
      if (this.#target.kind === "shapes") this.#choose({ ...this.#target, quantization: precision.value });
    });
    backend.addEventListener("change", () => {
      if (this.#target.kind === "shapes") return;
      const place = /** @type {LoadOptions["backend"]} */ (backend.value || undefined);
      this.#choose({ ...this.#target, options: { ...this.#target.options, backend: place } });
    });
    this.#ask();
  }

  /** The chosen target. */
  get target() {
    return this.#target;
  }

  /** Whether it would be fetched from another site: then nothing starts without a press. */
  get isFromElsewhere() {
    return this.#target.kind === "model" && this.#target.name !== null;
  }

  /** @param {boolean} isDisabled */
  set isDisabled(isDisabled) {
    for (const id of ["model", "precision", "backend"]) byId(id, HTMLSelectElement).disabled = isDisabled;
  }

  /** This page's address with the same choice and all its other parameters, for sharing. */
  get address() {
    return `${location.origin}${location.pathname}${toQuery(this.#target, new URLSearchParams(location.search))}`;
  }

  /** @param {Target} target */
  #choose(target) {
    this.#target = target;
    history.replaceState(history.state, "", this.address + location.hash);
    this.#show();
  }

  /** Looks up what is saved on this device, and whether there is a GPU. */
  async #ask() {
    const [stored, gpu] = await Promise.all([TokenFormer.models().catch(() => []), gpuHere()]);
    this.#stored = stored.filter(({ id, complete }) => complete && id !== EMBEDDED_MODEL && !isLocal(id));
    this.#hasGpu = gpu !== "none";
    this.#show();
  }

  /** The stored model that is chosen: the last used one, if the choice leaves it open. */
  get #meant() {
    return this.#stored.find((model) => isMeantBy(model, this.#target));
  }

  #show() {
    const select = byId("model", HTMLSelectElement);
    this.#items.clear();
    const groups = this.#groups().map(([label, items]) => {
      const options = items.map((item) => {
        const value = keyOf(item.target);
        this.#items.set(value, item);
        return make("option", { value, text: item.text, disabled: item.disabled ?? false });
      });
      return make("optgroup", { label }, ...options);
    });
    select.replaceChildren(...groups);
    select.value = keyOf(this.#target);
    const isShapes = this.#target.kind === "shapes";
    byId("precision-row").hidden = !isShapes;
    byId("backend-row").hidden = isShapes;
    if (this.#target.kind === "shapes") byId("precision", HTMLSelectElement).value = this.#target.quantization;
    else byId("backend", HTMLSelectElement).value = this.#target.options.backend ?? "";
    byId("model-note").textContent = this.#note();
  }

  /** @returns {[label: string, items: Item[]][]} */
  #groups() {
    const meant = this.#meant;
    const saved = this.#stored.map((model) => savedItem(model, model === meant, this.#target));
    const shapes = SHAPES.map(({ name }) => this.#shapesItem([name]));
    const here = [EMBEDDED_TARGET, ...[...saved, ...shapes].map(({ target }) => target)];
    const isListed = here.some((target) => keyOf(target) === keyOf(this.#target));
    const linked = isListed ? [] : [this.#linkedItem()];
    /** @type {[string, Item[]][]} */
    const groups = [
      ["Comes with this page", [{ target: EMBEDDED_TARGET, text: `${EMBEDDED.label}, ${EMBEDDED.parameters}` }]],
      ["Named by the link", linked],
      ["Saved on this device", saved],
      ["Published sizes, made here of random weights", shapes],
    ];
    return groups.filter(([, items]) => items.length > 0);
  }

  /** @param {string[]} names @returns {Item} */
  #shapesItem(names) {
    const quantization = this.#target.kind === "shapes" ? this.#target.quantization : "q4";
    /** @type {Target} */
    const target = { kind: "shapes", names, quantization };
    const needs = this.#hasGpu ? "" : ": needs WebGPU, which is not available here";
    const disabled = !this.#hasGpu && keyOf(target) !== keyOf(this.#target);
    return { target, text: `${names.map(shapeInWords).join("; ")}${needs}`, disabled };
  }

  /** @returns {Item} */
  #linkedItem() {
    const target = this.#target;
    if (target.kind === "shapes") return this.#shapesItem(target.names);
    return { target, text: modelInWords(target.name) };
  }

  /** The costs of a run, or its requirements. */
  #note() {
    const target = this.#target;
    if (target.kind === "shapes")
      return this.#hasGpu
        ? "Nothing is downloaded. It is as fast as the real model, and needs its memory."
        : "This browser has no WebGPU, which a model of random weights needs. The one that comes with this page runs on the CPU.";
    if (target.name === null || this.#meant) return "";
    const { host } = describeModel(target.name);
    const bytes = OFFERED.find(({ name }) => name === target.name)?.download;
    return `A run downloads ${bytes ? size(bytes) : "the model"} from ${host}, unless it is saved already.`;
  }
}

/** A stored model as an option; `isMeant`: `chosen` refers to it. @param {StoredModel} model @param {boolean} isMeant @param {Target} chosen @returns {Item} */
function savedItem({ id, revision, quantization, bytes }, isMeant, chosen) {
  const text = `${modelLabel(id)}, ${quantization}, ${size(bytes)}`;
  if (isMeant) return { target: chosen, text };
  // A folder has no revisions; of a repository, a commit is stored, so no request is made for it.
  const options = id.includes("://") ? { quantization } : { quantization, revision };
  return { target: { kind: "model", name: id, options }, text };
}

/** Whether loading `target` would find this. @param {StoredModel} model @param {Target} target */
function isMeantBy({ id, revision, quantization }, target) {
  if (target.kind !== "model" || target.name === null) return false;
  const { options, name } = target;
  return (
    resolveName(name).id === id &&
    (options.quantization ?? quantization) === quantization &&
    (options.revision ?? revision) === revision
  );
}
