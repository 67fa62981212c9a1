// Creates elements. Texts are inserted as text, never as markup.

/** An element of a shadow tree: its part, text, properties and children. */
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

/** Whether a key press asks for more text: Ctrl or ⌘ + Enter, unless an input method is composing. @param {KeyboardEvent} event */
export function asksToWrite(event) {
  return event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing;
}
