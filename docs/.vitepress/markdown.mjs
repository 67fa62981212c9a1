// What the site's Markdown can do beyond GitHub's. The same files are read on GitHub, so it is little.

/** The anchor that GitHub gives a heading: one address for both. @param {string} heading */
export function slug(heading) {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
}

/**
 * Braces in code are no expressions of Vue's.
 *
 * @param {import("markdown-it")} md
 */
export function literalCode(md) {
  const code = md.renderer.rules.code_inline;
  md.renderer.rules.code_inline = (tokens, at, ...rest) => {
    tokens[at].attrSet("v-pre", "");
    return code(tokens, at, ...rest);
  };
}

/**
 * A code block that begins with ```js live or ```html live gets a button that runs it.
 *
 * @param {import("markdown-it")} md
 */
export function liveFences(md) {
  const fence = md.renderer.rules.fence;
  md.renderer.rules.fence = (tokens, at, ...rest) => {
    const token = tokens[at];
    const [kind, ...words] = token.info.trim().split(/\s+/);
    const isLive = words.includes("live");
    if (isLive) token.info = kind;
    const block = fence(tokens, at, ...rest);
    if (!isLive) return block;
    return `<LiveExample kind="${kind}" code="${encodeURIComponent(token.content)}">${block}</LiveExample>`;
  };
}

/**
 * Links out of docs/ lead to the repository where that is known, and are plain text where it is not.
 *
 * @param {import("markdown-it")} md
 * @param {string} source the repository's address, or ""
 */
export function outsideLinks(md, source) {
  md.core.ruler.push("outside-links", ({ tokens, env }) => {
    // Its table is ARCHITECTURE.md's, where an anchor alone is one of that file.
    const isDecisions = env.relativePath === "decisions.md";
    for (const { children } of tokens) {
      let isRemoved = false;
      for (const token of children ?? []) {
        const href = (token.attrGet("href") ?? "").replace(isDecisions ? /^(?=#)/ : /$^/, "../ARCHITECTURE.md");
        const outside = token.type === "link_open" && /^\.\.\/(.+)$/.exec(href);
        if (outside && source) token.attrSet("href", `${source}/blob/main/${outside[1]}`);
        else if (outside || (isRemoved && token.type === "link_close")) {
          isRemoved = token.type === "link_open";
          token.type = "html_inline";
          token.tag = "";
          token.content = "";
        }
      }
    }
  });
}
