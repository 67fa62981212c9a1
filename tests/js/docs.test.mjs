// The documentation matches the code: its tables are current, its links lead somewhere, its examples compile, and it
// keeps its form. Whether the examples do what they say is tested in a browser (tests/browser/examples.test.mjs).

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild";
import ts from "typescript";
import { liveDocument } from "../../docs/.vitepress/live-document.mjs";
import { slug } from "../../docs/.vitepress/markdown.mjs";
import {
  attributeRow,
  errorRow,
  optionMember,
  optionRows,
  orderInWords,
  PAGES,
  tablesOf,
  writtenPage,
  writtenTypes,
} from "../../scripts/options.mjs";
import { COMPLETION_OPTIONS } from "../../www/lib/api/completions.js";
import { ALTERNATIVES_OPTIONS, complete, LOAD_OPTIONS, TRAIN_OPTIONS } from "../../www/lib/api/options.js";
import { ATTRIBUTE_TABLE } from "../../www/lib/element/attributes.js";
import { ERROR_CODES } from "../../www/lib/errors.js";
import { ROWS } from "../fixtures/every-option.js";
import { blocksOf } from "../snippets.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path) => readFileSync(join(root, path), "utf8");
const DOCS = readdirSync(join(root, "docs"))
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/${name}`);
/** The documents that are read on GitHub and on the site. */
const PAGES_AND_README = ["README.md", ...DOCS];

// ---- Tables ----

test("tables of options, attributes and errors are the code's", () => {
  const hint = "run: node scripts/options.mjs";
  const types = read("www/tokenformer.d.ts");
  assert.equal(types, writtenTypes(types), hint);
  for (const path of PAGES) assert.equal(read(path), writtenPage(read(path), types), `${path}: ${hint}`);
  const tables = PAGES.flatMap((path) => tablesOf(read(path)));
  assert.deepEqual(tables.toSorted(), [
    "alternatives",
    "attributes",
    "completions",
    "errors",
    "generate",
    "load",
    "order",
    "train",
  ]);
});

test("every type of an option can be written", () => {
  const table = complete(ROWS);
  assert.deepEqual(optionRows("dry", table.dry), [
    "| `dry` | object |  | an object |",
    "| `dry.multiplier` | number from 0 | `0` | how much |",
    "| `dry.base` | number from 1 | `1.75` | how steep |",
    "| `dry.allowedLength` | integer from 1 | `2` | from where |",
    '| `dry.breakers` | array of strings | `["\\n","\\""]` | what ends a match |',
  ]);
  assert.deepEqual(optionRows("overflow", table.overflow), [
    '| `overflow` | `"stop"`, `"slide"` | `"stop"` | one of two |',
  ]);
  assert.equal(
    optionMember("dry", table.dry),
    '  /** An object. Default: {"multiplier":0,"base":1.75,"allowedLength":2,"breakers":["\\n","\\""]}. */\n' +
      "  dry?: { multiplier?: number; base?: number; allowedLength?: number; breakers?: readonly string[] };\n",
  );
  assert.equal(optionMember("key", table.key), "  /** A wide integer. Default: a random one. */\n  key?: number;\n");
  assert.match(optionMember("overflow", { ...table.overflow, doc: "One." }), /overflow\?: "stop" \| "slide";/);
  assert.throws(() => optionMember("banned", table.banned), /lacks doc of banned/);
  assert.equal(orderInWords(table), "1. dry\n2. the share\n");
});

test("attributes and errors can be written", () => {
  const row = (name) => attributeRow(ATTRIBUTE_TABLE.find(({ attribute }) => attribute === name));
  assert.match(row("backend"), /^\| `backend` \| `auto`, `webgpu`, `cpu` \| `auto` \| \w/);
  assert.match(row("no-cache"), /^\| `no-cache` \| on or off \| {2}\| do not keep /);
  assert.match(row("stop"), /^\| `stop` \| JSON \| {2}\| /);
  assert.match(
    errorRow("quota", read("www/tokenformer.d.ts")),
    /^\| `quota` \| The browser's storage is full \| Free /,
  );
  assert.throws(() => errorRow("quota", ""), /does not say what quota means/);
});

test("the types name every load option and its default", () => {
  const [, body] = read("www/tokenformer.d.ts").split("export interface LoadOptions {");
  const declared = body.slice(0, body.indexOf("\n}"));
  assert.deepEqual(
    [...declared.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name),
    Object.keys(LOAD_OPTIONS),
  );
  for (const [name, option] of Object.entries(LOAD_OPTIONS)) {
    const [comment] = declared.match(new RegExp(`/\\*\\*[^\\n]*\\n {2}${name}\\?:`));
    if (option.default !== undefined)
      assert.ok(comment.includes(`Default: ${JSON.stringify(option.default)}.`), `${name}: ${comment}`);
  }
});

for (const [type, table] of [
  ["CompletionParams", COMPLETION_OPTIONS],
  ["AlternativesOptions extends GenerateOptions", ALTERNATIVES_OPTIONS],
  ["TrainOptions", TRAIN_OPTIONS],
])
  test(`the types name every parameter of ${type} and its default`, () => {
    const [, body] = read("www/tokenformer.d.ts").split(`export interface ${type} {`);
    const declared = body.slice(0, body.indexOf("\n}"));
    for (const [name, option] of Object.entries(table)) {
      const [comment] =
        declared.match(new RegExp(`/\\*\\*[^\\n]*\\n {2}${name}\\?:`)) ?? assert.fail(`${name} is not typed`);
      if (option.default !== undefined)
        assert.ok(comment.includes(`Default: ${JSON.stringify(option.default)}.`), `${name}: ${comment}`);
    }
  });

test("every error code is typed and has its remedy in the documentation", () => {
  const [types, page] = [read("www/tokenformer.d.ts"), read("docs/troubleshooting.md")];
  for (const code of ERROR_CODES) {
    assert.ok(types.includes(`| "${code}"`), code);
    assert.match(page, new RegExp(`^\\| \`${code}\` \\| .+ \\| .+ \\|$`, "m"), code);
  }
});

// ---- Form ----

/** The lines of a page that are not code, with their numbers. */
function proseLines(text) {
  let isCode = false;
  return text.split("\n").flatMap((line, i) => {
    if (line.startsWith("```")) isCode = !isCode;
    return isCode || line.startsWith("```") ? [] : [{ line, number: i + 1 }];
  });
}

test("a page says first what it is for, is wrapped at 100 columns, and has no paragraph in a table", () => {
  for (const path of DOCS) {
    const [title, empty, purpose] = read(path).split("\n");
    assert.match(title, /^# \S/, path);
    assert.equal(empty, "", path);
    assert.match(purpose, /^[A-Z`].*/, `${path} does not say what it is for`);
  }
  for (const path of PAGES_AND_README)
    for (const { line, number } of proseLines(read(path))) {
      const at = `${path}:${number}`;
      if (!line.startsWith("|")) assert.ok(line.length <= 100 || /^ *<|\]\(/.test(line), `${at} is too long`);
      else for (const cell of line.split("|")) assert.ok(cell.length <= 160, `${at} has a paragraph in a cell`);
    }
  assert.ok(Buffer.byteLength(read("README.md")) <= 8192, "README.md has more than 8 kB");
});

// ---- Links ----

/** The targets of a page's links and pictures. */
function linksIn(text) {
  const prose = proseLines(text)
    .map(({ line }) => line)
    .join("\n");
  return [
    ...[...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target),
    ...[...prose.matchAll(/^\[[\w-]+\]: (\S+)/gm)].map(([, target]) => target),
    ...[...prose.matchAll(/(?:src|srcset)="([^"]+)"/g)].map(([, target]) => target),
  ];
}

function anchorsIn(text) {
  const headings = proseLines(text).flatMap(({ line }) => line.match(/^#{1,6} (.*)/)?.[1] ?? []);
  return headings.map((heading) => slug(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")));
}

/** Links of a document that lead nowhere in this repository. */
function deadLinks(path, text) {
  return linksIn(text).filter((target) => {
    if (/^(https?|mailto):/.test(target)) return false;
    const [file, anchor] = target.split("#");
    const found = file === "" ? path : normalize(join(dirname(path), file));
    if (!existsSync(join(root, found))) return true;
    if (anchor === undefined) return false;
    return (
      statSync(join(root, found)).isDirectory() || !anchorsIn(found === path ? text : read(found)).includes(anchor)
    );
  });
}

test("links lead to files and headings that exist", () => {
  const text = "# A `b` c\n[1](#a-b-c) [2](#d) [3](api.md#options-of-load) [4](api.md#no) [5](no.md) <img src='x'>\n";
  assert.deepEqual(deadLinks("docs/index.md", text), ["#d", "api.md#no", "no.md"]);
  for (const path of [...PAGES_AND_README, "ARCHITECTURE.md", "CONTRIBUTING.md", "BENCHMARKS.md", "SECURITY.md"])
    assert.deepEqual(deadLinks(path, read(path)), [], path);
});

test("the site's menu has every page", () => {
  const config = read("docs/.vitepress/config.mjs");
  for (const path of DOCS) {
    const name = path.slice("docs/".length, -".md".length);
    assert.ok(config.includes(`link: "/${name === "index" ? "" : name}"`), `${path} is not in the menu`);
  }
});

// ---- Examples ----

/** Declarations that code examples rely on. */
const GIVEN = `
import type { TokenFormer as Model } from "tokenformer-web";
declare global { const model: Model; }
`;

test("examples in JavaScript use what the types have", () => {
  const files = new Map([
    ["given.d.ts", GIVEN],
    // Their own types are large, and not the subject here.
    ["foreign.d.ts", "declare const client: any;\nexport default client;\nexport const generateText: any;\n"],
  ]);
  for (const path of PAGES_AND_README)
    for (const { kind, code, line } of blocksOf(read(path)))
      if (kind === "js") files.set(`${path.replace(/\W/g, "_")}_${line}.mjs`, `${code}\nexport {};\n`);
  assert.ok(files.size > 15, `only ${files.size} examples`);
  // An example that must not pass.
  files.set("wrong.mjs", 'import { TokenFormer } from "tokenformer-web";\n(await TokenFormer.load()).write("a");\n');
  const options = {
    allowJs: true,
    checkJs: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ["lib.esnext.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
    paths: {
      "tokenformer-web": [join(root, "www/tokenformer.d.ts")],
      "tokenformer-web/ai-sdk": [join(root, "www/ai-sdk.d.ts")],
      "tokenformer-web/service-worker": [join(root, "www/requests.d.ts")],
      openai: [join(root, "foreign.d.ts")],
      ai: [join(root, "foreign.d.ts")],
    },
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  const own = (name) => files.get(name.startsWith(root) ? name.slice(root.length) : name);
  host.getCurrentDirectory = () => root;
  host.fileExists = (name) => own(name) !== undefined || fileExists(name);
  host.readFile = (name) => own(name) ?? readFile(name);
  host.getSourceFile = (name, version, ...rest) => {
    const text = own(name);
    return text === undefined ? getSourceFile(name, version, ...rest) : ts.createSourceFile(name, text, version, true);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const found = ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    return `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
  const [wrong, rest] = [
    found.filter((one) => one.startsWith("wrong")),
    found.filter((one) => !one.startsWith("wrong")),
  ];
  assert.match(wrong.join("\n"), /Property 'write' does not exist/);
  assert.deepEqual(rest, []);
});

test("other examples can be parsed", async () => {
  const LOADERS = { jsx: "jsx", css: "css", json: "json" };
  const known = new Set(["js", "html", "wgsl", ...Object.keys(LOADERS)]);
  for (const path of PAGES_AND_README)
    for (const { kind, code, line } of blocksOf(read(path))) {
      assert.ok(known.has(kind), `${path}:${line}: nobody tests examples in ${kind || "no language"}`);
      if (LOADERS[kind]) await esbuild.transform(code, { loader: LOADERS[kind], jsx: "preserve" });
    }
});

test("a live example is the example, with this site's module", () => {
  const at = "https://site.example/sub/tokenformer.js";
  const js = liveDocument("js", 'console.log("</script>");', at, { scheme: "dark" });
  assert.ok(js.includes('"tokenformer-web":"https://site.example/sub/tokenformer.js"'));
  assert.ok(js.includes('"tokenformer-web/ai-sdk":"https://site.example/sub/ai-sdk.js"'));
  assert.ok(js.includes('console.log("<\\/script>");') && js.includes('content="dark"'));
  const html = liveDocument("html", '<script type="module" src="dist/tokenformer.js"></script><p>', at);
  assert.ok(html.includes(`<script type="module" src="${at}"></script><p>`) && html.includes('content="light"'));
  for (const path of DOCS)
    for (const { kind, isLive, line } of blocksOf(read(path)))
      if (isLive) assert.ok(["js", "html"].includes(kind), `${path}:${line} cannot be run`);
});
