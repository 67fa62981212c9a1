// Text for the clipboard.

/** Returns whether it worked: an insecure page has no clipboard, and a browser may refuse. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
