// Hashes, computed by the browser.

/** SHA-256 in hexadecimal digits; null without a secure context, where browsers do not offer it. @param {string} text */
export async function sha256(text) {
  const hash = await globalThis.crypto?.subtle?.digest("SHA-256", new TextEncoder().encode(text));
  return hash ? Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("") : null;
}
