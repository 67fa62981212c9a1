// Text size and column width: the visitor's own, for every visit. Links cannot set them, and they combine with the
// browser's zoom.

import { byId } from "./elements.js";

const KEY = "tokenformer-web-reading";
/** Text size, as a multiple of the page's own. */
const SIZES = Object.freeze({ small: 0.875, medium: 1, large: 1.25, larger: 1.6 });
/** Width of the column. */
const WIDTHS = Object.freeze({ narrow: "34rem", medium: "42rem", wide: "56rem" });

/** @typedef {{ size: keyof typeof SIZES, width: keyof typeof WIDTHS }} Looks */

/** The stored settings, as far as they are valid. @param {string | null} kept @returns {Looks} */
export function looksIn(kept) {
  const { size, width } = Object(parsed(kept));
  return {
    size: Object.hasOwn(SIZES, size) ? size : "medium",
    width: Object.hasOwn(WIDTHS, width) ? width : "medium",
  };
}

/** The page's CSS properties for them. @param {Looks} looks */
export function propertiesOf({ size, width }) {
  return { "--reading-scale": String(SIZES[size]), "--reading-width": WIDTHS[width] };
}

/** Applies the stored settings, and later choices, in this tab or another. */
export function keepLooks() {
  const chosen = byId("reading");
  /** @param {Looks} looks */
  function apply(looks) {
    for (const [name, value] of Object.entries(propertiesOf(looks)))
      document.documentElement.style.setProperty(name, value);
    for (const input of chosen.querySelectorAll("input"))
      input.checked = input.value === looks[/** @type {keyof Looks} */ (input.name)];
  }
  chosen.addEventListener("change", () => {
    const marked = Array.from(chosen.querySelectorAll("input")).filter(({ checked }) => checked);
    const looks = looksIn(JSON.stringify(Object.fromEntries(marked.map(({ name, value }) => [name, value]))));
    apply(looks);
    try {
      localStorage.setItem(KEY, JSON.stringify(looks));
    } catch {
      // No storage, or it is full: the setting holds until the page is left.
    }
  });
  addEventListener("storage", ({ key, newValue }) => key === KEY && apply(looksIn(newValue)));
  apply(looksIn(read()));
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** @param {string | null} text JSON, or not @returns {unknown} */
function parsed(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}
