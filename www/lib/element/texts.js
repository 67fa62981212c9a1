// Texts as a text field holds them, and how much two of them have in common.

/** How much is compared at a time: engines compare whole strings many times faster than a loop compares letters. */
const BLOCK = 4096;

/**
 * A text as a text field holds it: lines end in "\n" alone. `before` is the text received just before it, since "\r"
 * and "\n" may arrive separately.
 * @param {string} text
 */
export function asInField(text, before = "") {
  const rest = before.endsWith("\r") && text.startsWith("\n") ? text.slice(1) : text;
  return rest.replace(/\r\n?/g, "\n");
}

/** Length of the common start of two texts, in code units. @param {string} a @param {string} b */
export function commonStart(a, b) {
  const most = Math.min(a.length, b.length);
  let n = 0;
  while (n + BLOCK <= most && a.slice(n, n + BLOCK) === b.slice(n, n + BLOCK)) n += BLOCK;
  while (n < most && a.charCodeAt(n) === b.charCodeAt(n)) n += 1;
  return n;
}

/** Length of the common end of two texts in code units, at most `most`. @param {string} a @param {string} b @param {number} most */
export function commonEnd(a, b, most) {
  const sliced = (/** @type {string} */ text, /** @type {number} */ n) =>
    text.slice(text.length - n - BLOCK, text.length - n);
  let n = 0;
  while (n + BLOCK <= most && sliced(a, n) === sliced(b, n)) n += BLOCK;
  while (n < most && a.charCodeAt(a.length - 1 - n) === b.charCodeAt(b.length - 1 - n)) n += 1;
  return n;
}
