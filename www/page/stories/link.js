// A story in a link: title and text in two inks, compressed, in the part of an address that no server sees. What else a
// link may say is the page's (address.js).

import { invalidArgument } from "../../lib/errors.js";
import { merged, plain } from "./passages.js";
import { plainText } from "./plain-text.js";
import { asTitle, newStory } from "./story.js";
import { isObject, parsed } from "./reading.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./story.js").Story} Story */

/**
 * Characters of a link. Browsers take a hundred times as much (Safari 80,000, others over a million); mail, chat and trackers cut off or
 * refuse long messages earlier, many at some ten thousand characters. This is a story of about 2,500 words.
 */
export const LONGEST_LINK = 8000;
/** Characters of a link that is opened: others may make longer ones, and browsers take them. */
const LONGEST_OPENED = 100_000;
/** Bytes of what was compressed: a link of this length can say a thousand times as much. */
const MOST_BYTES = 2 ** 21;
const FORMAT = "deflate-raw";

/** Whether this browser can make and open such links. */
export const canShare = () => "CompressionStream" in globalThis && "DecompressionStream" in globalThis;

/** Title and text as letters that an address may have. @param {Pick<Story, "title" | "passages">} story */
export async function toCode({ title, passages }) {
  // One hand after the other: that the first is the model's is all that must be told.
  const few = merged(passages);
  const told = { t: title ?? undefined, m: few[0]?.written || undefined, p: few.map(({ text }) => text) };
  const bytes = await through(new CompressionStream(FORMAT), new TextEncoder().encode(JSON.stringify(told)), Infinity);
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The opposite. Rejects with a TokenFormerError where it is none. @param {string} code @returns {Promise<Story>} */
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

/** What a stream makes of bytes. Throws where that is more than `most`. @param {CompressionStream | DecompressionStream} stream @param {Uint8Array<ArrayBuffer>} bytes @param {number} most */
async function through(stream, bytes, most) {
  const writer = stream.writable.getWriter();
  // What goes wrong is told by the reader as well.
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
