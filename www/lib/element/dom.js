// Making elements. Texts go in as text, never as markup.

/** An element of a shadow tree: its part, its text, its properties, what it holds. */
/**
 * @template {keyof HTMLElementTagNameMap} N
 * @param {N} name
 * @param {{ part?: string, text?: string | null } & Omit<Partial<HTMLElementTagNameMap[N]>, "part" | "text" | "children">} [properties]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[N]}
 */
export function make(name, properties, ...children) {
  const { part, text, ...rest } = properties ?? {};
  const element = document.createElement(name);
  Object.assign(/** @type {object} */ (element), rest);
  if (part) element.setAttribute("part", part);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

/** Whether a key asks for more text: Ctrl or ⌘ + Enter, unless it belongs to a word of an input method. @param {KeyboardEvent} event */
export function asksToWrite(event) {
  return event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing;
}
