// Settings whose attributes are JSON, as something that can be typed into one line, and back.

/** Characters that need escaping: they would end a text, be trimmed, or be lost in a single-line field. */
/** @type {Record<string, string>} */
const ESCAPES = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "|": "\\|" };
/** @type {Record<string, string>} */
const LETTERS = { n: "\n", t: "\t", r: "\r", s: " " };

/**
 * From an attribute's texts to typed text, by option. An attribute from a link may be anything.
 * @type {Record<string, (value: string | null) => string>}
 */
export const TO_TEXT = {
  stop: (value) => list(value).map(escape).join(" | "),
  logitBias: (value) =>
    Object.entries(object(value))
      .map(([id, bias]) => `${id}: ${bias}`)
      .join(", "),
};

/**
 * From typed text to an attribute, by option; null for none. Throws the message to show for invalid input.
 * @type {Record<string, (text: string) => string | null>}
 */
export const TO_ATTRIBUTE = {
  stop(text) {
    const parts = (text.match(/(?:\\.|[^|])+/g) ?? []).map((part) => part.trim()).filter(Boolean);
    return parts.length > 0 ? JSON.stringify(parts.map(unescape)) : null;
  },
  logitBias(text) {
    const parts = text
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean);
    const pairs = parts.map((part) => {
      const match = /^(\d+)\s*:\s*([+-]?[\d.]+(?:e[+-]?\d+)?)$/i.exec(part);
      if (!match || Number.isNaN(Number(match[2]))) throw new Error(`“${part}” is not of the form “id: number”.`);
      return [match[1], Number(match[2])];
    });
    return pairs.length > 0 ? JSON.stringify(Object.fromEntries(pairs)) : null;
  },
};

/** @param {string} text */
function escape(text) {
  return text
    .replace(/[\n\t\r\\|]/g, (letter) => ESCAPES[letter])
    .replace(/^ +| +$/g, (spaces) => "\\s".repeat(spaces.length));
}

/** @param {string} text */
function unescape(text) {
  return text.replace(/\\(.)/g, (_, letter) => LETTERS[letter] ?? letter);
}

/** @param {string | null} value */
function list(value) {
  const parsed = parse(value);
  return Array.isArray(parsed) ? parsed.map(String) : [];
}

/** @param {string | null} value */
function object(value) {
  const parsed = parse(value);
  return parsed && typeof parsed === "object" ? parsed : {};
}

/** @param {string | null} value JSON, or not @returns {unknown} */
function parse(value) {
  try {
    return JSON.parse(value ?? "null");
  } catch {
    return null;
  }
}
