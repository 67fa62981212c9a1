// Shared by all pages that let a visitor choose a model: the list, the form for any other name or address, and the rows
// for load options.

import { readLoadAttributes } from "../lib/element/attributes.js";
import { make } from "../lib/element/dom.js";
import { DEFAULT_ENDPOINT, resolveName } from "../lib/api/names.js";
import { checkLoadOptions, LOAD_OPTIONS } from "../lib/api/options.js";
import { toTokenFormerError } from "../lib/errors.js";
import { byId } from "./elements.js";
import { isLocal } from "./local-folder.js";
import { describeModel } from "./model-names.js";
import { EMBEDDED, OFFERED, size } from "./published.js";
import { attributeRow } from "./rows.js";
import { bindToken } from "./token-binding.js";

/** @typedef {import("./published.js").Choice} Choice */
/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./rows.js").RowOptions} RowOptions */

/** The model that comes with the page, and the published ones. @type {Choice[]} */
export const KNOWN = [EMBEDDED, ...OFFERED];

/** The known models, plus the one with this name if it is not among them. @param {string} name @returns {Choice[]} */
export function withModel(name) {
  if (KNOWN.some((known) => known.name === name)) return KNOWN;
  const parameters = isLocal(name) ? "from this device" : name;
  return [...KNOWN, { name, label: describeModel(name).label, parameters }];
}

/** Replaces the list of models; the focus stays where it is. @param {HTMLElement[]} choices */
export function showChoices(choices) {
  const list = byId("models");
  const focused = list.contains(document.activeElement);
  list.replaceChildren(...list.querySelectorAll("legend"), ...choices);
  /** @type {HTMLInputElement | null} */
  const chosen = list.querySelector("input:checked");
  if (focused) chosen?.focus();
}

/** A model to choose. @param {Choice} model @param {boolean} checked @param {string} reason why it cannot be chosen, or "" */
export function modelCard({ name, label, parameters, download }, checked, reason) {
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

/** Passes the model chosen in the list to `choose`; null for the embedded one. @param {(name: string | null) => void} choose */
export function onChosen(choose) {
  byId("models").addEventListener("change", ({ target }) => {
    if (target instanceof HTMLInputElement) choose(target.value || null);
  });
}

/**
 * Passes the entered name to `choose`; shows an error beside the form if it is invalid.
 * @param {(name: string) => void} choose
 */
export function onOtherModel(choose) {
  byId("other-model").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("other-name", HTMLInputElement).value.trim();
    const wrong = byId("other-error");
    try {
      resolveName(name);
      wrong.hidden = true;
      byId("other-name").removeAttribute("aria-invalid");
      choose(name);
    } catch (error) {
      const { message, hint } = toTokenFormerError(error);
      wrong.textContent = `${message} ${hint}`;
      wrong.hidden = false;
      byId("other-name").setAttribute("aria-invalid", "true");
    }
  });
}

/** @param {[value: string, text: string][]} values */
function select(...values) {
  return make("select", {}, ...values.map(([value, text]) => make("option", { value, text })));
}

/**
 * Rows for load options, each an attribute of `element`, except the unwanted ones.
 * @param {HTMLElement} element
 * @param {string[]} without
 * @returns {Row[]}
 */
export function loadRows(element, without = []) {
  /** @type {(attribute: string, name: string, label: string, control: RowOptions["control"], more?: Partial<RowOptions>) => Row | null} */
  const row = (attribute, name, label, control, more = {}) =>
    without.includes(attribute)
      ? null
      : attributeRow(element, {
          attribute,
          label,
          control,
          about: LOAD_OPTIONS[name].about,
          check: (value) => checkLoadOptions(readLoadAttributes((other) => (other === attribute ? value : null))),
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
      select(["", "as published"], ["q4", "4 bits"], ["q8", "8 bits"], ["f16", "16 bits"]),
    ),
    row("context-length", "contextLength", "Context", make("input", { type: "number", placeholder: "auto" })),
    row("revision", "revision", "Revision", make("input", { type: "text", placeholder: "main" })),
    row("endpoint", "endpoint", "Hub", make("input", { type: "text", placeholder: DEFAULT_ENDPOINT })),
    tokenRow,
    row("no-cache", "cache", "Save in this browser", select(["", "yes"], ["off", "no"]), {
      toText: (value) => (value === null ? "" : "off"),
    }),
  ];
  return rows.filter((one) => one !== null);
}
