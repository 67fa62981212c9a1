// Tokens and probabilities in words.

/** "37 %", "0.4 %", "< 0.1 %". @param {number} logprob */
export function percent(logprob) {
  const value = Math.exp(logprob) * 100;
  if (value < 0.1) return "< 0.1 %";
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** A token's text with invisible characters made visible. @param {string} text */
export function visible(text) {
  return text === ""
    ? "(part of a character)"
    : text
        .replace(/\n/g, "⏎")
        .replace(/\t/g, "⇥")
        .replace(/^ +| +$/g, (s) => "␣".repeat(s.length));
}

/** A token's text for a screen reader: without the signs for invisible characters. @param {string} text */
export function spoken(text) {
  if (text === "") return "part of a character";
  if (text.trim() !== "") return text.trim();
  /** @type {Record<string, string>} */
  const words = { "\n": "new line", "\t": "tab" };
  return words[text[0]] ?? (text.length > 1 ? `${text.length} spaces` : "space");
}

/** Shade of a token, 0 (expected) to 4 (a surprise). @param {number | undefined} logprob */
export function surprise(logprob) {
  return logprob === undefined ? 0 : Math.max(0, Math.min(4, Math.floor(-logprob / Math.log(4))));
}

/** Two tokens' texts in quotes, for use in a sentence; blanks are made visible if they differ in nothing else. @param {string} a @param {string} b */
export function quoted(a, b) {
  const isAlike = a !== b && a.trim() === b.trim();
  return [a, b].map((text) => {
    if (text.trim() === "") return spoken(text);
    return `“${isAlike ? visible(text) : text.trim()}”`;
  });
}
