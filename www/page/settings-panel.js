// The settings: how the next token is chosen.

import { attributeName, readGenerateAttributes } from "../lib/element/attributes.js";
import { make } from "../lib/element/dom.js";
import { checkGenerateOptions, GENERATE_OPTIONS } from "../lib/api/options.js";
import { byId } from "./elements.js";
import { showPresets } from "./presets.js";
import { attributeRow } from "./rows.js";
import { TO_ATTRIBUTE, TO_TEXT } from "./setting-texts.js";

/**
 * Label and slider of every option, in order of importance. Their meaning and range are in the API's table.
 * @type {[name: string, label: string, slider?: import("./rows.js").Slider][]}
 */
const ROWS = [
  ["maxTokens", "Length", [16, 1024, 16]],
  ["temperature", "Temperature", [0, 2, 0.05]],
  ["topP", "Top-p", [0.05, 1, 0.01]],
  ["topK", "Top-k", [0, 200, 1]],
  ["minP", "Min-p", [0, 0.5, 0.01]],
  ["repetitionPenalty", "Repetition penalty", [0.8, 2, 0.01]],
  ["presencePenalty", "Presence penalty", [-2, 2, 0.1]],
  ["frequencyPenalty", "Frequency penalty", [-2, 2, 0.1]],
  ["seed", "Seed"],
  ["stop", "Stop at"],
  ["logitBias", "Token bias"],
  ["logprobs", "Alternatives", [0, 20, 1]],
];

/** @param {string} name */
const nameOf = (name) => attributeName(name, GENERATE_OPTIONS[name]);

/** Attributes that have a row here: visitors see them and can change them. */
export const SETTINGS = Object.freeze(ROWS.map(([name]) => nameOf(name)));

/** @type {Record<string, string>} */
const PLACEHOLDERS = { seed: "random", stop: "\\n\\n | THE END", logitBias: "11: -5, 42: 2" };
/** @type {Record<string, string>} */
const HOW = {
  stop: "strings that end the output, separated by |; \\n is a new line, \\s a space at an end, \\| a bar",
  logitBias: "numbers added to the logits of token ids",
  logprobs: "how many of the most likely tokens to keep with each token, for the token view",
};

export class SettingsPanel {
  #rows;

  /** @param {HTMLElement} writer */
  constructor(writer) {
    const initial = new Map(ROWS.map(([name]) => [nameOf(name), writer.getAttribute(nameOf(name))]));
    this.#rows = ROWS.map(([name, label, slider]) => attributeRow(writer, rowOf(name, label, slider)));
    byId("setting-rows").append(...this.#rows.map((row) => row.node));
    showPresets(writer, () => this.open());
    byId("reset-settings").addEventListener("click", () => {
      for (const [attribute, value] of initial) {
        if (value === null) writer.removeAttribute(attribute);
        else writer.setAttribute(attribute, value);
      }
      this.open();
    });
  }

  open() {
    for (const row of this.#rows) row.show();
  }
}

/**
 * @param {string} name
 * @param {string} label
 * @param {import("./rows.js").Slider} [slider]
 * @returns {import("./rows.js").RowOptions}
 */
function rowOf(name, label, slider) {
  const option = GENERATE_OPTIONS[name];
  const attribute = nameOf(name);
  const isNumber = option.type === "integer" || option.type === "number";
  const control = make("input", { type: isNumber ? "number" : "text", placeholder: PLACEHOLDERS[name] ?? "" });
  if (isNumber) control.step = "any";
  // An absent attribute means the API's default, except if that is random or empty.
  const standard = isNumber && option.default !== undefined ? String(option.default) : "";
  return {
    attribute,
    label,
    slider,
    control,
    about: HOW[name] ?? option.about,
    check: (value) => checkGenerateOptions(readGenerateAttributes((other) => (other === attribute ? value : null))),
    toText: TO_TEXT[name] ?? ((value) => value ?? standard),
    ...(TO_ATTRIBUTE[name] && { toAttribute: TO_ATTRIBUTE[name] }),
  };
}
