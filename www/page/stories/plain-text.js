// Text from outside, in the form of the text field.

/**
 * Line ends as in the field, and no lone surrogates, which no model can read: a script, a text expander or another
 * program's clipboard may produce them.
 * @param {string} text
 */
export function plainText(text) {
  return text.replace(/\r\n?/g, "\n").replace(/\p{Surrogate}/gu, "\ufffd");
}
