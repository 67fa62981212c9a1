// Three ways to write: settings that are set together. The selected one follows from the settings themselves, wherever
// they come from.

import { GENERATE_OPTIONS } from "../lib/api/options.js";
import { attributeName } from "../lib/element/attributes.js";
import { byId } from "./elements.js";

/** @typedef {Record<string, string | null>} Attributes */

/** The options that a preset sets: how likely a token must be, and how much repetition costs. */
const OPTIONS = ["temperature", "topP", "topK", "minP", "repetitionPenalty", "presencePenalty", "frequencyPenalty"];
/** Their attributes. */
const DECIDED = OPTIONS.map((name) => attributeName(name, GENERATE_OPTIONS[name]));
const NONE = Object.freeze(Object.fromEntries(DECIDED.map((name) => [name, null])));

/**
 * Chosen by reading what the embedded model makes of several openings. Below a temperature of 0.5 it goes round in
 * circles (a bed in a bed in a bed), and even at 0.5 only a higher penalty than the default prevents that. At 1.3,
 * min-p instead of top-p keeps words and sentences intact while people and things become unlikely ones; above that,
 * non-words appear. "Balanced" is the page's own settings, which come with the model.
 */
const CALM = { temperature: "0.5", "top-p": "0.9", "repetition-penalty": "1.15" };
const WILD = { temperature: "1.3", "min-p": "0.04", "repetition-penalty": "1.1" };

/** The attributes of every preset, by its name; null for an attribute that must be absent. @param {Attributes} own the page's own @returns {Record<string, Attributes>} */
export function presetsOf(own) {
  const balanced = Object.fromEntries(DECIDED.map((name) => [name, own[name] ?? null]));
  return { calm: { ...NONE, ...CALM }, balanced, wild: { ...NONE, ...WILD } };
}

/**
 * The name of the preset that the attributes match; null if none. Numbers are compared by value, and an absent one is
 * the option's default.
 * @param {Attributes} attributes
 * @param {Record<string, Attributes>} presets
 */
export function presetIn(attributes, presets) {
  const numberOf = (/** @type {string | null | undefined} */ value, /** @type {number} */ i) =>
    Number(value ?? GENERATE_OPTIONS[OPTIONS[i]].default);
  const isSame = (/** @type {Attributes} */ preset) =>
    DECIDED.every((name, i) => numberOf(attributes[name], i) === numberOf(preset[name], i));
  return Object.keys(presets).find((name) => isSame(presets[name])) ?? null;
}

/** The radio buttons. @param {HTMLElement} writer the element whose attributes they set, which still has the page's own @param {() => void} onChosen */
export function showPresets(writer, onChosen) {
  const read = () => Object.fromEntries(DECIDED.map((name) => [name, writer.getAttribute(name)]));
  const presets = presetsOf(read());
  const group = byId("presets");
  const inputs = Array.from(group.querySelectorAll("input"));

  function show() {
    const chosen = presetIn(read(), presets);
    for (const input of inputs) input.checked = input.value === chosen;
    byId("preset-own").hidden = chosen !== null;
  }
  group.addEventListener("change", ({ target }) => {
    const preset = presets[/** @type {HTMLInputElement} */ (target).value];
    for (const [name, value] of Object.entries(preset)) {
      if (value === null) writer.removeAttribute(name);
      else writer.setAttribute(name, value);
    }
    onChosen();
  });
  new MutationObserver(show).observe(writer, { attributes: true, attributeFilter: DECIDED });
  show();
}
