// Rows of the panels, each of which sets one attribute of the element. The attribute is the only place that holds the
// value: a row shows it, and sets it once the input is valid.

import { make } from "../lib/element/dom.js";

/** Minimum, maximum and step of the sensible range; the number itself may exceed it. @typedef {[number, number, number]} Slider */

/**
 * The description of a row.
 * @typedef {object} RowOptions
 * @property {string} attribute
 * @property {string} label
 * @property {string} [about] one line of explanation
 * @property {HTMLInputElement | HTMLSelectElement} control
 * @property {Slider} [slider]
 * @property {(text: string) => string | null} [toAttribute] the attribute's value for the input; null for none
 * @property {(value: string | null) => string} [toText] the reverse
 * @property {(value: string | null) => void} check throws for an invalid value
 */

/** A row in the page. `show` updates it from the attribute. @typedef {{ node: HTMLElement, show: () => void }} Row */

/**
 * @param {HTMLElement} element whose attribute it is
 * @param {RowOptions} row
 * @returns {Row}
 */
export function attributeRow(
  element,
  { attribute, label, about, control, slider, check, toAttribute = trimmed, toText = (value) => value ?? "" },
) {
  const id = `row-${attribute}`;
  const range = slider && make("input", { type: "range", ariaLabel: `${label}, slider` });
  const wrong = make("p", { className: "wrong", hidden: true, id: `${id}-wrong` });
  Object.assign(control, { id, autocomplete: "off", spellcheck: false });
  control.setAttribute("aria-describedby", `${id}-about ${id}-wrong`);
  if (range && slider) [range.min, range.max, range.step] = slider.map(String);

  const node = make(
    "div",
    { className: "setting" },
    make("label", { htmlFor: id, text: label }),
    control,
    ...(range ? [range] : []),
    make("p", { className: "about", id: `${id}-about`, text: about }),
    wrong,
  );

  /** @param {string} text */
  function write(text) {
    let value;
    try {
      value = toAttribute(text);
      check(value);
    } catch (error) {
      control.setAttribute("aria-invalid", "true");
      wrong.textContent = error instanceof Error ? error.message : String(error);
      wrong.hidden = false;
      return;
    }
    settle();
    if (value === element.getAttribute(attribute)) return;
    if (value === null) element.removeAttribute(attribute);
    else element.setAttribute(attribute, value);
  }

  function settle() {
    control.removeAttribute("aria-invalid");
    wrong.hidden = true;
  }

  /** Updates the row from the attribute. */
  function show() {
    settle();
    control.value = toText(element.getAttribute(attribute));
    if (range) range.value = control.value;
  }

  control.addEventListener("input", () => {
    if (range) range.value = control.value;
    write(control.value);
  });
  range?.addEventListener("input", () => {
    control.value = range.value;
    write(range.value);
  });
  return { node, show };
}

/** @param {string} text */
function trimmed(text) {
  return text.trim() === "" ? null : text.trim();
}
