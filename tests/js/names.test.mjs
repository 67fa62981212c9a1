import assert from "node:assert/strict";
import { test } from "node:test";
import { EMBEDDED_FOLDER } from "../../www/lib/locations.js";
import { normalizeEndpoint, resolveName } from "../../www/lib/names.js";

const BASE = "https://site.example/blog/post.html";

test("no name is the embedded model, next to the module", () => {
  assert.deepEqual(resolveName(undefined, BASE), {
    id: "tokenformer-38m-gutenberg",
    repository: null,
    folderUrl: EMBEDDED_FOLDER,
  });
  assert.equal(EMBEDDED_FOLDER, new URL("../../www/models/tokenformer-38m-gutenberg/", import.meta.url).href);
});

test("owner/name is a hub repository", () => {
  for (const name of ["Haiyang-W/TokenFormer-450M", "a/b", "_a/-b", "a.b/c..d", "1/2"]) {
    assert.deepEqual(resolveName(name, BASE), { id: name, repository: name, folderUrl: null });
  }
});

test("addresses are resolved against the document", () => {
  const cases = {
    "./m": "https://site.example/blog/m/",
    "../m/": "https://site.example/m/",
    "/m": "https://site.example/m/",
    "//cdn.example/m": "https://cdn.example/m/",
    "https://cdn.example": "https://cdn.example/",
    "HTTP://cdn.example/a/b": "http://cdn.example/a/b/",
  };
  for (const [name, folderUrl] of Object.entries(cases)) {
    assert.deepEqual(resolveName(name, BASE), { id: folderUrl, repository: null, folderUrl });
  }
});

test("anything else is refused", () => {
  const bad = [
    "",
    "a",
    "a/b/c",
    ".a/b",
    "a/.b",
    "a/..",
    ".",
    "..",
    "a b/c",
    "ä/b",
    " /m",
    "/m\n",
    "./a\\b",
    "./m?x",
    "./m#x",
    "ftp://a/b",
    "file:///m",
    "data:,x",
    "blob:https://a/b",
    "javascript:1",
    "https://",
    "https://u:p@a/b",
    null,
    5,
    {},
    [],
    new URL("https://a/"),
  ];
  for (const name of bad) {
    assert.throws(() => resolveName(name, BASE), { code: "invalid-argument" }, String(name));
  }
  assert.throws(() => resolveName("./m", undefined), { code: "invalid-argument" }); // no document
});

test("endpoints lose their last slash", () => {
  assert.equal(normalizeEndpoint("https://hub.example/"), "https://hub.example");
  assert.equal(normalizeEndpoint("http://127.0.0.1:80/a//"), "http://127.0.0.1/a");
  assert.equal(normalizeEndpoint("https:hub.example"), undefined);
});
