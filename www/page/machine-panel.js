// What is stored in this browser, and where the loaded model runs.

import { make } from "../lib/element/dom.js";
import { EMBEDDED_MODEL } from "../lib/locations.js";
import { adapterInWords } from "../lib/element/status.js";
import { TokenFormer } from "../tokenformer.js";
import { toTokenFormerError } from "../lib/errors.js";
import { byId } from "./elements.js";
import { isLocal } from "./local-folder.js";
import { describeModel } from "./model-names.js";
import { size } from "./published.js";

/** @typedef {import("../tokenformer.js").ModelInfo} ModelInfo */

/** Whether the panel is open. */
const isOpen = () => byId("machine", HTMLDialogElement).open;

export class MachinePanel {
  #writer;
  /** The model whose details are shown. @type {TokenFormer | null} */
  #shown = null;

  /** @param {import("../tokenformer.js").TokenFormerElement} writer */
  constructor(writer) {
    this.#writer = writer;
    byId("persist").addEventListener("click", async () => {
      this.#tell("Asking the browser …");
      const kept = await TokenFormer.persist();
      this.#tell(kept ? "Protected." : "Your browser said no for now; it usually agrees for sites you visit often.");
      this.#showStorage();
    });
    const refresh = () => isOpen() && this.open();
    writer.addEventListener("load", refresh);
    writer.addEventListener("done", refresh);
    // Another model is being loaded: the details of the previous one are obsolete.
    writer.addEventListener("progress", () => isOpen() && this.#shown !== writer.model && this.#showDetails());
    writer.addEventListener("error", () => isOpen() && this.#showDetails());
  }

  open() {
    this.#tell("");
    this.#showDetails();
    return this.#showStorage();
  }

  async #showStorage() {
    const [models, storage] = await Promise.all([TokenFormer.models(), TokenFormer.storage()]);
    const list = byId("stored");
    if (models.length === 0) list.replaceChildren(make("li", { text: "None yet." }));
    else list.replaceChildren(...models.map((model) => this.#item(model)));
    byId("quota").textContent =
      storage.quota > 0
        ? `${size(storage.usage)} used of the ${size(storage.quota)} that the browser allows this site.${storage.persisted ? " Protected from automatic clean-up." : ""}`
        : "The browser does not say how much space there is.";
    byId("persist").hidden = storage.persisted;
  }

  /** @param {import("../tokenformer.js").StoredModel} model */
  #item({ id, revision, quantization, bytes, complete, lastUsed }) {
    const remove = make("button", {
      type: "button",
      className: "plain",
      text: "Delete",
      ariaLabel: `Delete ${nameOf(id)}`,
    });
    let sure = false;
    remove.addEventListener("click", async () => {
      if (!sure) {
        sure = true;
        remove.textContent = `Delete ${size(bytes)}?`;
        remove.removeAttribute("aria-label");
        return;
      }
      remove.disabled = true;
      try {
        const freed = await TokenFormer.delete(id, { revision, quantization });
        this.#tell(`Deleted ${nameOf(id)}: ${size(freed)} freed.`);
      } catch (error) {
        const { message, hint } = toTokenFormerError(error);
        this.#tell(`${message} ${hint}`);
      }
      await this.#showStorage();
      /** @type {HTMLElement | null} */
      const next = byId("stored").querySelector("button") ?? byId("machine").querySelector(".close");
      next?.focus();
    });
    remove.addEventListener("blur", () => {
      if (remove.disabled) return;
      sure = false;
      remove.textContent = "Delete";
      remove.setAttribute("aria-label", `Delete ${nameOf(id)}`);
    });
    const used = new Date(lastUsed).toLocaleDateString(undefined, { dateStyle: "medium" });
    return make(
      "li",
      {},
      make("span", { text: nameOf(id) }),
      make("span", {
        className: "about",
        text: `${size(bytes)} · ${quantization} · ${complete ? "" : "incomplete · "}last used ${used}`,
      }),
      remove,
    );
  }

  #showDetails() {
    const { model, state } = this.#writer;
    this.#shown = model;
    byId("details-none").hidden = model !== null;
    byId("details-none").textContent = state === "loading" ? "The model is being loaded." : "Nothing is loaded.";
    const info = model?.info;
    const rows = info ? detailsOf(info) : [];
    byId("details").replaceChildren(
      ...rows.map(([name, value]) => make("div", {}, make("dt", { text: name }), make("dd", { text: value }))),
    );
    byId("notes").replaceChildren(...(info?.notes ?? []).map((text) => make("li", { text })));
  }

  /** @param {string} text */
  #tell(text) {
    byId("storage-status").textContent = text;
  }
}

const THREADS = { worker: "in a worker, beside the page", main: "in the page's own thread" };

const BACKENDS = { webgpu: "WebGPU", cpu: "the CPU" };

/** Name and value of the details that are known. @param {ModelInfo} info @returns {[name: string, value: string][]} */
function detailsOf({
  id,
  revision,
  config,
  quantization,
  backend,
  thread,
  adapter,
  features,
  variants,
  contextLength,
  weightBytes,
  kvBytes,
  gpuBytes,
  wasmHeapBytes,
}) {
  /** @type {[name: string, value: string | false | undefined][]} */
  const rows = [
    ["Model", nameOf(id)],
    ["Revision", revision?.slice(0, 12)],
    [
      "Shape",
      `${config.num_layers} layers of ${config.hidden_size}, ${config.num_attention_heads} heads, ${config.qkv_slot_num} / ${config.ffn_slot_num} parameter tokens`,
    ],
    ["Precision", quantization],
    ["Backend", BACKENDS[backend]],
    ["Adapter", backend === "webgpu" && (adapterInWords(adapter) || "not reported by the browser")],
    ["Runs", THREADS[thread]],
    ["Features", features?.join(", ") || "none"],
    ["Kernels", variants?.join(", ")],
    ["Context", `${contextLength.toLocaleString("en")} tokens, ${size(kvBytes)}`],
    ["Weights", size(weightBytes)],
    ["On the GPU", backend === "webgpu" && size(gpuBytes)],
    ["In the engine", size(wasmHeapBytes)],
  ];
  return rows.flatMap(([name, value]) => (value ? [[name, value]] : []));
}

/** @param {string} id */
function nameOf(id) {
  if (id === EMBEDDED_MODEL) return describeModel(null).label;
  return isLocal(id) ? `${describeModel(id).label}, from this device` : id;
}
