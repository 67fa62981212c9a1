// What documents say about the file tree is true.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const at = (path) => new URL(`../../${path}`, import.meta.url);
const read = (path) => readFileSync(at(path), "utf8");

test("the version is the same everywhere, and the changelog has it", () => {
  const [, version] = read("Cargo.toml").match(/^version = "(.+)"$/m);
  for (const lock of ["Cargo.lock", "fuzz/Cargo.lock"]) {
    assert.match(read(lock), new RegExp(`name = "tokenformer-web"\nversion = "${version}"`), lock);
  }
  assert.match(read("eval/pyproject.toml"), new RegExp(`^version = "${version}"$`, "m"));
  const sections = [...read("CHANGELOG.md").matchAll(/^## \[(.+?)\]/gm)].map(([, name]) => name);
  assert.deepEqual(sections.slice(0, 2), ["Unreleased", version]);
});

/** Folders that are built, installed or checked out elsewhere. */
const APART = /^(\.git|\.tools|dist|node_modules|npm|target|__pycache__|\.venv|.*\.egg-info)$/;
/** Extensions of files that are written here; a name with another one may be a model's file. */
const SOURCE = /\.(rs|wgsl|js|mjs|ts|html|css|py|sh|toml|md)$/;

/** Files and folders below `folder`, by their paths. */
function tree(folder = ".") {
  return readdirSync(at(folder), { withFileTypes: true }).flatMap((entry) => {
    if (APART.test(entry.name)) return [];
    const path = folder === "." ? entry.name : `${folder}/${entry.name}`;
    return entry.isDirectory() ? [path, ...tree(path)] : [path];
  });
}

/** Paths of this repository that a document names in backquotes or links to. */
function namedIn(text) {
  const prose = text.replace(/^ *```[^]*?^ *```/gm, "");
  const quoted = [...prose.matchAll(/`([\w.*-]+(?:\/[\w.*-]+)*\/?)`/g)].map(([, path]) => path);
  const links = [...prose.matchAll(/\]\(([\w./-]+)\)/g)].map(([, path]) => path);
  return new Set([...quoted.filter((path) => path.includes("/") || SOURCE.test(path)), ...links]);
}

test("documents name files and folders that exist", () => {
  const paths = tree();
  const exists = (named) => {
    // Where it is clear which folder is meant, its name is left out: the end of a path is enough.
    const pattern = named.replace(/\/$/, "").replace(/[.]/g, "\\$&").replaceAll("*", "[^/]*");
    const end = new RegExp(`(^|/)${pattern}$`);
    return paths.some((path) => end.test(path));
  };
  assert.deepEqual(
    ["src/lib.rs", "indexed_db/others.rs", "tests/*.rs", "src/nothing.rs", "src/*.py", "ib.rs"].map(exists),
    [true, true, true, false, false, false],
  );
  const others = {
    "ARCHITECTURE.md": ["shaders/NAME.wgsl", "src/model/kernels/NAME.rs", "local/", ".d.ts", "tokenformer.bundle.js"],
    "README.md": [],
    "docs/api.md": ["./", "../", "owner/name"],
    "docs/install.md": ["tokenformer.bundle.js"],
    "CONTRIBUTING.md": ["shaders/name.wgsl", "tests/out/looks"],
    "SECURITY.md": [],
  };
  for (const [document, known] of Object.entries(others)) {
    const named = namedIn(read(document));
    assert.ok(named.size > 0, document);
    for (const path of known) assert.ok(named.has(path), `${document} names ${path} no more`);
    for (const path of named)
      if (!/^(dist|npm|npm-stories|target|tokenformer-web)\//.test(path))
        assert.ok(known.includes(path) || exists(path.replace(/^\.\.\//, "")), `${document} names ${path}`);
  }
});
