// Text that comes from outside, as the text field holds it.

/**
 * Line ends as the field has them, and no half characters, which no model can read: a script, a text expander or another
 * program's clipboard leaves such halves.
 * @param {string} text
 */
export function plainText(text) {
  return text.replace(/\r\n?/g, "\n").replace(/\p{Surrogate}/gu, "\ufffd");
}
