// The code blocks of the documentation, for the tests that compile and run them.

/**
 * The fenced blocks of a Markdown file. `isLive`: the site has a button that runs it.
 *
 * @param {string} text
 * @returns {{ kind: string, isLive: boolean, code: string, line: number }[]}
 */
export function blocksOf(text) {
  return [...text.matchAll(/^```([^\n]*)\n([^]*?)^```$/gm)].map(({ 1: info, 2: code, index }) => {
    const [kind, ...words] = info.trim().split(/\s+/);
    return { kind, isLive: words.includes("live"), code, line: text.slice(0, index).split("\n").length };
  });
}
