// Addresses that may be none.

/** The URL that `text` is, or null. Not by `URL.canParse`, which browsers have since 2023 only. @param {string} text @param {string} [base] */
export function parseAddress(text, base) {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}
