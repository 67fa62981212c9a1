// A text as tokens: those that the model chose, and between them the tokens of the text that the visitor wrote.

/** @typedef {import("./manuscript.js").Piece} Piece */
/** `logprob`: undefined if unknown, null at the start of the text. @typedef {{ tokenId: number, logprob?: number | null, topLogprobs?: import("../../tokenformer.js").TopLogprob[], isHealed?: boolean }} Token */
/**
 * A stretch of the text that is shown as one.
 * @typedef {object} Item
 * @property {string} text may be empty: a token may be half a character
 * @property {boolean} isTyped whether the visitor wrote part of it
 * @property {Token | null} token null: a text whose tokens are not known
 * @property {number} piece where it begins: the piece, and the offset in it in code units
 * @property {number} offset
 */

/** @param {Piece} piece @param {number} index @returns {Item} */
export function itemOf({ text, run, token }, index) {
  // What the page did not request is unknown.
  return { text, isTyped: run === 0, token: token && { ...token }, piece: index, offset: 0 };
}

/**
 * @param {readonly Piece[]} pieces
 * @param {object} model
 * @param {(text: string) => Promise<ArrayLike<number>>} model.encode
 * @param {(ids: number[]) => Promise<string>} model.decode
 * @param {Map<number, string>} model.texts of single tokens, filled as they become known
 * @returns {Promise<Item[]>}
 */
export async function tokensOf(pieces, model) {
  /** @type {Item[]} */
  const items = [];
  for (let i = 0; i < pieces.length; i += 1) {
    if (pieces[i].token) {
      items.push(itemOf(pieces[i], i));
      continue;
    }
    const begin = i;
    while (pieces[i + 1] && !pieces[i + 1].token) i += 1;
    items.push(...(await readTokens(pieces.slice(begin, i + 1), begin, pieces[i + 1], model)));
  }
  return items;
}

/**
 * Pieces without tokens, as a model tokenizes their text.
 * @param {readonly Piece[]} pieces
 * @param {number} first the first one's index
 * @param {Piece | undefined} next
 * @param {Parameters<typeof tokensOf>[1]} model
 */
async function readTokens(pieces, first, next, { encode, decode, texts }) {
  const text = pieces.map((piece) => piece.text).join("");
  // A trailing space is read as the start of the token after it.
  const isHealed = text.endsWith(" ") && (next === undefined || next.token?.isHealed === true);
  const read = isHealed ? text.slice(0, -1) : text;
  const ids = read === "" ? [] : Array.from(await encode(read));
  const unknown = [...new Set(ids)].filter((id) => !texts.has(id));
  await Promise.all(unknown.map(async (id) => texts.set(id, await decode([id]))));
  /** @type {Item[]} */
  const items = [];
  let at = 0;
  /** The ids of a character that takes several tokens. @type {number[]} */
  let parts = [];
  const add = (/** @type {string} */ some, /** @type {number | null} */ tokenId) => {
    const place = placeOf(pieces, at, Math.max(1, some.length));
    const token = tokenId === null ? null : { tokenId };
    items.push({ text: some, isTyped: place.isTyped, token, piece: first + place.piece, offset: place.offset });
    at += some.length;
  };
  for (const id of ids) {
    parts.push(id);
    const own = parts.length === 1 ? (texts.get(id) ?? "") : await decode(parts);
    if (own === "" || !read.startsWith(own, at)) continue;
    for (const part of parts.slice(0, -1)) add("", part);
    add(own, id);
    parts = [];
  }
  // The rest, which these tokens do not reproduce letter by letter.
  const rest = read.slice(at);
  for (const part of parts.slice(0, -1)) add("", part);
  if (parts.length > 0) add(rest, parts[parts.length - 1]);
  else if (rest !== "") add(rest, null);
  if (isHealed) add(" ", null);
  return items;
}

/** @param {readonly Piece[]} pieces @param {number} at @param {number} length */
function placeOf(pieces, at, length) {
  let end = 0;
  let place = null;
  let isTyped = false;
  for (const [piece, { text, run }] of pieces.entries()) {
    const start = end;
    end += text.length;
    if (end > at && !place) place = { piece, offset: at - start };
    if (run === 0 && start < at + length && end > at) isTyped = true;
  }
  return { ...(place ?? { piece: pieces.length - 1, offset: pieces[pieces.length - 1].text.length }), isTyped };
}
