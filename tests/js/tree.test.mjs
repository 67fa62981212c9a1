// What documents say of the tree is true of it.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
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

test("CONTRIBUTING.md and SECURITY.md name files that exist", () => {
  for (const document of ["CONTRIBUTING.md", "SECURITY.md"]) {
    const paths = [...read(document).matchAll(/`([\w.-]+\/[\w./-]*)`|\]\(([\w./-]+)\)/g)].map(([, a, b]) => a ?? b);
    assert.notEqual(paths.length, 0);
    for (const path of paths) {
      // The first is to be written, the second stands beside what was named before it, the rest is built.
      if (["shaders/name.wgsl", "setup.d/"].includes(path) || /^(target|dist)\//.test(path)) continue;
      assert.ok(existsSync(at(path)), `${document} names ${path}`);
    }
  }
});
