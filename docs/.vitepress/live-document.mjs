// What a live example's frame holds: the example as it stands on the page, with this site's module in the place of an
// installed one.

/** Shows what the example logs, and what goes wrong in it. It runs in the frame, so it is text here. */
const SHOW = `
const show = (text, kind) => {
  const line = document.createElement("pre");
  line.className = kind;
  line.textContent = text;
  document.body.append(line);
};
const told = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));
console.log = (...values) => show(values.map(told).join(" "), "log");
const fail = (error) => show([error?.message ?? error, error?.hint].filter(Boolean).join(" "), "failed");
addEventListener("error", (event) => fail(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => fail(event.reason));
`;

const STYLE = `
body { margin: 1rem; font: 16px/1.5 Georgia, serif; overflow-wrap: anywhere; }
pre { font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; margin: 0.5rem 0; }
.failed { color: #b3261e; }
`;

/**
 * The document.
 *
 * @param {string} kind "js" or "html"
 * @param {string} code
 * @param {string} moduleUrl the absolute address of tokenformer.js
 * @param {{ scheme?: "light" | "dark" }} [looks]
 */
export function liveDocument(kind, code, moduleUrl, { scheme = "light" } = {}) {
  const entry = (file) => new URL(file, moduleUrl).href;
  const imports = {
    "tokenformer-web": moduleUrl,
    "tokenformer-web/ai-sdk": entry("ai-sdk.js"),
    "tokenformer-web/service-worker": entry("requests.js"),
  };
  const isHtml = kind === "html";
  const head = `<meta charset="utf-8" /><meta name="color-scheme" content="${scheme}" /><style>${STYLE}</style>
<script type="importmap">${inScript(JSON.stringify({ imports }))}</script>
<script>${SHOW}</script>`;
  const body = isHtml
    ? code.replace(/(\bsrc=)"[^"]*\btokenformer(?:\.bundle)?\.js"/g, `$1"${moduleUrl}"`)
    : `<script type="module">${inScript(code)}</script>`;
  return `<!doctype html><html lang="en"><head>${head}</head><body>${body}</body></html>`;
}

/** Text that no script element ends before its time. @param {string} text */
function inScript(text) {
  return text.replace(/<\/(script)/gi, "<\\/$1");
}
