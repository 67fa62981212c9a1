// Making elements. Texts go in as text, never as markup.

/** An element of a shadow tree: its part, its text, its properties, what it holds. */
export function make(name, { part, text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  if (part) element.setAttribute("part", part);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

/** Whether a key asks for more text: Ctrl or ⌘ + Enter, unless it belongs to a word of an input method. */
export function asksToWrite(event) {
  return event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing;
}
