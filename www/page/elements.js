// The page's own elements, by the ids that its HTML gives them.

/**
 * The element with an id, of the type that a script needs. Throws if HTML and script do not agree.
 * @template {HTMLElement | SVGElement} [E=HTMLElement]
 * @param {string} id
 * @param {new () => E} [kind]
 * @returns {E}
 */
export function byId(id, kind) {
  const wanted = kind ?? /** @type {new () => E} */ (/** @type {unknown} */ (HTMLElement));
  const element = document.getElementById(id);
  if (!(element instanceof wanted)) throw new Error(`This page has no ${wanted.name} with the id "${id}".`);
  return element;
}
