// The model picker: what comes with the page, what is published, any other by name, address or from this computer.

import { LOADING_ATTRIBUTES, readLoadAttributes } from "../lib/element/attributes.js";
import { make } from "../lib/element/dom.js";
import { EMBEDDED_MODEL } from "../lib/locations.js";
import { isLocalFolder, resolveName } from "../lib/api/names.js";
import { checkLoadOptions, LOAD_OPTIONS } from "../lib/api/options.js";
import { progressInWords } from "../lib/element/status.js";
import { hasGpu } from "./gpu.js";
import { isLocal, remedyFor } from "./local-folder.js";
import { describeModel } from "./model-names.js";
import { EMBEDDED, PUBLISHED, size, whyNot } from "./published.js";
import { attributeRow } from "./rows.js";
import { storedModels } from "./stored.js";
import { bindToken } from "./token-binding.js";

const byId = (id) => document.getElementById(id);
const KNOWN = [EMBEDDED, ...PUBLISHED];

export class ModelPanel {
  #writer;
  #rows;
  /** Stored models by id, once the panel asked. */
  #stored = new Map();
  /** Whether there is a GPU; null until that is known. */
  #hasGpu = null;

  /** The last loading that was asked for here. */
  #loading = null;

  constructor(writer) {
    this.#writer = writer;
    this.#rows = loadRows(writer);
    byId("load-options").append(...this.#rows.map((row) => row.node));
    byId("models").addEventListener("change", ({ target }) => this.choose(target.value || null));
    onOtherModel((name) => this.choose(name));
    byId("load-now").addEventListener("click", () => this.#load());
    // Not in the live region: a screen reader would never come to an end.
    writer.addEventListener("progress", ({ detail }) => {
      this.#tell("");
      byId("load-progress").textContent = progressInWords(detail, isLocalFolder(writer.getAttribute("model")));
    });
    writer.addEventListener("load", () => {
      this.#tell("Loaded.");
      if (byId("model").open) this.#readStored();
    });
    writer.addEventListener("error", ({ detail }) => {
      const remedy = remedyFor(detail, writer.getAttribute("model")) ?? detail.hint;
      this.#tell(detail.code === "aborted" ? "Stopped." : `${detail.message} ${remedy}`);
    });
    // Another model can be loaded while one is, which then ends.
    new MutationObserver(() => (byId("load-now").disabled = false)).observe(writer, {
      attributes: true,
      attributeFilter: LOADING_ATTRIBUTES,
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

  /** `name`: as the attribute `model` has it; null for the model of the page. */
  choose(name) {
    if (name === null) this.#writer.removeAttribute("model");
    else this.#writer.setAttribute("model", name);
    this.#tell("");
    this.#show();
  }

  #show() {
    const chosen = this.#writer.getAttribute("model");
    const models = KNOWN.some(({ name }) => name === chosen)
      ? KNOWN
      : [
          ...KNOWN,
          {
            name: chosen,
            label: describeModel(chosen).label,
            parameters: isLocal(chosen) ? "from this computer" : chosen,
          },
        ];
    const legend = byId("models").firstElementChild;
    const focused = byId("models").contains(document.activeElement);
    byId("models").replaceChildren(legend, ...models.map((model) => this.#choice(model, model.name === chosen)));
    if (focused) byId("models").querySelector("input:checked").focus();
  }

  #choice(model, checked) {
    const { name, label, parameters, download, kept } = model;
    const reason = whyNot(model, this.#hasGpu);
    const input = make("input", { type: "radio", value: name ?? "", checked, disabled: reason !== "" && !checked });
    input.name = "model";
    const stored = this.#stored.get(name ?? EMBEDDED_MODEL) ?? this.#stored.get(idOf(name));
    const { host } = isLocal(name) ? {} : describeModel(name, this.#writer.getAttribute("endpoint"));
    const more = [
      name !== null && download && `${size(kept)} on disk (4-bit)`,
      host && host !== parameters && `from ${host}`,
    ].filter(Boolean);
    const state = !stored
      ? null
      : make("span", {
          className: "kept",
          text: stored.complete
            ? `Kept here: ${size(stored.bytes)}, ${stored.quantization}`
            : `Partly here: ${size(stored.bytes)}`,
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
    // Without the engine, or without storage, nothing is known to be kept.
    const models = await storedModels().catch(() => []);
    this.#stored = new Map(models.reverse().map((model) => [model.id, model]));
    this.#show();
  }

  async #load() {
    const button = byId("load-now");
    const loading = this.#writer.load();
    this.#loading = loading;
    button.disabled = true;
    await loading.catch(() => {}); // told by the error event
    if (this.#loading === loading) button.disabled = false;
  }

  #tell(text) {
    byId("load-progress").textContent = "";
    if (byId("load-status").textContent !== text) byId("load-status").textContent = text;
  }
}

/** Has `choose` told the name or address that the form of the page asks for; one that is none is told beside the form. */
export function onOtherModel(choose) {
  byId("other-model").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("other-name").value.trim();
    const wrong = byId("other-error");
    try {
      resolveName(name);
      wrong.hidden = true;
      byId("other-name").removeAttribute("aria-invalid");
      choose(name);
    } catch (error) {
      wrong.textContent = `${error.message} ${error.hint}`;
      wrong.hidden = false;
      byId("other-name").setAttribute("aria-invalid", "true");
    }
  });
}

function idOf(name) {
  try {
    return name === null ? null : resolveName(name).id;
  } catch {
    return null; // a name that an address brought
  }
}

/** Rows for what loading can be told, each an attribute of `element`, but those that are not wanted. */
export function loadRows(element, without = []) {
  const check = (attribute) => (value) =>
    checkLoadOptions(readLoadAttributes((other) => (other === attribute ? value : null)));
  const select = (...values) => make("select", {}, ...values.map(([value, text]) => make("option", { value, text })));
  const row = (attribute, name, label, control, more = {}) =>
    without.includes(attribute)
      ? null
      : attributeRow(element, {
          attribute,
          label,
          control,
          about: LOAD_OPTIONS[name].about,
          check: check(attribute),
          ...more,
        });
  const tokenRow = row("token", "token", "Access token", make("input", { type: "password" }), {
    about: "for private models; sent to this hub only, and forgotten when the hub is changed or the page closed",
  });
  bindToken(element, () => tokenRow?.show());
  const rows = [
    row(
      "quantization",
      "quantization",
      "Precision",
      select(["", "as it comes"], ["q4", "4 bits"], ["q8", "8 bits"], ["f16", "16 bits"]),
    ),
    row("context-length", "contextLength", "Context", make("input", { type: "number", placeholder: "auto" })),
    row("revision", "revision", "Revision", make("input", { type: "text", placeholder: "main" })),
    row("endpoint", "endpoint", "Hub", make("input", { type: "text", placeholder: LOAD_OPTIONS.endpoint.default })),
    tokenRow,
    row("no-cache", "cache", "Keep in this browser", select(["", "yes"], ["off", "no"]), {
      toText: (value) => (value === null ? "" : "off"),
    }),
  ];
  return rows.filter(Boolean);
}
