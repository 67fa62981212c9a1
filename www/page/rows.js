// Rows of the panels that set one attribute of the element each. The attribute is the only place where a value is
// kept: a row shows it, and writes it once it is valid.

import { make } from "../lib/element/dom.js";

/**
 * @param {HTMLElement} element whose attribute it is
 * @param {object} row
 * @param {string} row.attribute
 * @param {string} row.label
 * @param {string} row.about one line of explanation
 * @param {HTMLElement} row.control input or select
 * @param {[number, number, number]} [row.slider] least, most, step of the sensible range; the number itself may go beyond
 * @param {(text: string) => string | null} [row.toAttribute] the attribute for what was typed; null for none
 * @param {(value: string | null) => string} [row.toText] the opposite
 * @param {(value: string | null) => void} row.check throws where the value is not possible
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
  if (range) [range.min, range.max, range.step] = slider.map(String);

  const node = make(
    "div",
    { className: "setting" },
    make("label", { htmlFor: id, text: label }),
    control,
    ...(range ? [range] : []),
    make("p", { className: "about", id: `${id}-about`, text: about }),
    wrong,
  );

  function write(text) {
    let value;
    try {
      value = toAttribute(text);
      check(value);
    } catch (error) {
      control.setAttribute("aria-invalid", "true");
      wrong.textContent = error.message;
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

  /** Takes over what the attribute says. */
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

function trimmed(text) {
  return text.trim() === "" ? null : text.trim();
}
