// Settings that are JSON in their attribute, as something that can be typed into one line, and back.

/** What stands for itself nowhere: it would end a text, be trimmed, or be lost in a field of one line. */
const ESCAPES = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "|": "\\|" };
const LETTERS = { n: "\n", t: "\t", r: "\r", s: " " };

/** Texts of an attribute to what is typed. An attribute that somebody's address brought may be anything. */
export const TO_TEXT = {
  stop: (value) => list(value).map(escape).join(" | "),
  logitBias: (value) =>
    Object.entries(object(value))
      .map(([id, bias]) => `${id}: ${bias}`)
      .join(", "),
};

/** What is typed to an attribute; null for none. Throws what to tell about a mistake. */
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

function escape(text) {
  return text
    .replace(/[\n\t\r\\|]/g, (letter) => ESCAPES[letter])
    .replace(/^ +| +$/g, (spaces) => "\\s".repeat(spaces.length));
}

function unescape(text) {
  return text.replace(/\\(.)/g, (_, letter) => LETTERS[letter] ?? letter);
}

function list(value) {
  const parsed = parse(value);
  return Array.isArray(parsed) ? parsed.map(String) : [];
}

function object(value) {
  const parsed = parse(value);
  return parsed && typeof parsed === "object" ? parsed : {};
}

function parse(value) {
  try {
    return JSON.parse(value ?? "null");
  } catch {
    return null;
  }
}
