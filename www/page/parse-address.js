// Parsing of addresses that may be invalid.

/** The URL that `text` is, or null. Not with `URL.canParse`, which browsers only have since 2023. @param {string} text @param {string} [base] */
export function parseAddress(text, base) {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}
