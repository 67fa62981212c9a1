// How many continuations are written at once: an attribute of the page's own on the element, stored and shared like the settings.

import { byId } from "./elements.js";

/** The attribute; without it there is one continuation. */
export const WAYS = "ways";
export const MOST_WAYS = 6;

/** Whether the attribute's value is valid. @param {string | null} value */
export const isWays = (value) => value === null || (/^[1-9]$/.test(value) && Number(value) <= MOST_WAYS);

/** @param {Pick<Element, "getAttribute">} writer */
export function waysOf(writer) {
  const value = writer.getAttribute(WAYS);
  return value !== null && isWays(value) ? Number(value) : 1;
}

/** The list in which the visitor chooses the number. @param {Element} writer */
export function chooseWays(writer) {
  const select = byId("ways", HTMLSelectElement);
  const show = () => (select.value = String(waysOf(writer)));
  select.addEventListener("change", () => {
    if (select.value === "1") writer.removeAttribute(WAYS);
    else writer.setAttribute(WAYS, select.value);
  });
  new MutationObserver(show).observe(writer, { attributeFilter: [WAYS] });
  show();
}
