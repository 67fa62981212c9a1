// A story in a link: title and text with its authors, compressed, in the part of an address that no server sees. The
// rest of what a link may say is up to the page (address.js).

import { invalidArgument } from "../../lib/errors.js";
import { merged, plain } from "./passages.js";
import { plainText } from "./plain-text.js";
import { asTitle, newStory } from "./story.js";
import { isObject, parsed } from "./reading.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./story.js").Story} Story */

/**
 * Maximum length of a link. Browsers accept much more (Safari 80,000, others over a million); mail, chat and trackers
 * truncate or reject long messages earlier, many at about ten thousand characters. This is a story of about 2,500
 * words.
 */
export const LONGEST_LINK = 8000;
/** Maximum length of a link to open: others may make longer ones, and browsers accept them. */
const LONGEST_OPENED = 100_000;
/** Maximum decompressed size in bytes: a link of this length can expand a thousandfold. */
const MOST_BYTES = 2 ** 21;
const FORMAT = "deflate-raw";

/** Whether this browser can make and open such links. */
export const canShare = () => "CompressionStream" in globalThis && "DecompressionStream" in globalThis;

/** Title and text in characters that an address may contain. @param {Pick<Story, "title" | "passages">} story */
export async function toCode({ title, passages }) {
  // Authors alternate: it is enough to store whether the first passage is the model's.
  const few = merged(passages);
  const told = { t: title ?? undefined, m: few[0]?.written || undefined, p: few.map(({ text }) => text) };
  const bytes = await through(new CompressionStream(FORMAT), new TextEncoder().encode(JSON.stringify(told)), Infinity);
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The reverse. Rejects with a TokenFormerError if the code is invalid. @param {string} code @returns {Promise<Story>} */
export async function fromCode(code) {
  if (code.length > LONGEST_OPENED) throw damaged("The story in this link is too long");
  let value;
  try {
    const letters = atob(code.replaceAll("-", "+").replaceAll("_", "/"));
    const packed = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const bytes = await through(new DecompressionStream(FORMAT), packed, MOST_BYTES);
    value = parsed(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw damaged("The story in this link is not whole");
  }
  if (!isObject(value) || !Array.isArray(value.p) || !value.p.every((text) => typeof text === "string"))
    throw damaged("The story in this link is not whole");
  const begins = value.m === true ? 1 : 0;
  const passages = value.p.map((text, i) => ({ text, written: (i + begins) % 2 === 1 }));
  const title = typeof value.t === "string" ? asTitle(plainText(value.t)) : null;
  return newStory({ title, passages: plain(passages) });
}

/** @param {string} what */
const damaged = (what) =>
  invalidArgument(`${what}.`, "Ask who sent it for the link once more, or for the story as a file.");

/** The output of a stream for some bytes. Throws if that is more than `most`. @param {CompressionStream | DecompressionStream} stream @param {Uint8Array<ArrayBuffer>} bytes @param {number} most */
async function through(stream, bytes, most) {
  const writer = stream.writable.getWriter();
  // The reader reports errors as well.
  const written = writer.write(bytes).then(() => writer.close());
  written.catch(() => {});
  const reader = stream.readable.getReader();
  /** @type {Uint8Array[]} */
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw new RangeError("More than it may be.");
    }
    parts.push(value);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
