import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { embeddedFolders } from "../../www/lib/locations.js";
import { isLocalFolder, normalizeEndpoint, resolveName } from "../../www/lib/api/names.js";

const BASE = "https://site.example/blog/post.html";

test("no name is the embedded model, next to the module", () => {
  assert.deepEqual(resolveName(undefined, BASE), {
    id: EMBEDDED.name,
    repository: null,
    folderUrl: embeddedFolders()[0],
  });
  assert.equal(embeddedFolders()[0], new URL(`../../www/models/${EMBEDDED.name}/`, import.meta.url).href);
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
});

test("outside of a page addresses are paths of the disk", (t) => {
  const here = pathToFileURL(`${process.cwd()}/`).href;
  const cases = {
    "./m": `${here}m/`,
    "./a b/c%20#d?/": `${here}a%20b/c%2520%23d%3F/`,
    "../m": new URL("../m/", here).href,
    "/m/ä": "file:///m/%C3%A4/",
    "file:///m": "file:///m/",
    "https://cdn.example/m": "https://cdn.example/m/",
  };
  for (const [name, folderUrl] of Object.entries(cases))
    assert.deepEqual(resolveName(name), { id: folderUrl, repository: null, folderUrl }, name);
  assert.equal(resolveName("a/b").repository, "a/b");
  for (const name of ["./m/config.json", "file:///m?x", "ftp://a/b"])
    assert.throws(() => resolveName(name), { code: "invalid-argument" }, name);
  // A page has no disk.
  globalThis.document = {};
  t.after(() => delete globalThis.document);
  for (const name of ["./m", "file:///m"]) assert.throws(() => resolveName(name), { code: "invalid-argument" }, name);
});

test("a page of the hub means the repository that it shows", () => {
  const HUB = "https://huggingface.co";
  const repository = "Haiyang-W/TokenFormer-150M";
  const cases = {
    [`${HUB}/${repository}`]: undefined,
    [`${HUB}/${repository}/`]: undefined,
    [`${HUB}/${repository}?library=transformers`]: undefined,
    [`${HUB}/${repository}#model-card`]: undefined,
    [`https://hf.co/${repository}`]: undefined,
    [`${HUB}/${repository}/tree/main`]: "main",
    [`${HUB}/${repository}/tree/v1.0`]: "v1.0",
    [`${HUB}/${repository}/tree/refs%2Fpr%2F1`]: "refs/pr/1",
    [`${HUB}/${repository}/blob/main/config.json`]: "main",
    [`${HUB}/${repository}/resolve/main/pytorch_model.bin`]: "main",
    [`${HUB}/${repository}/resolve/main/pytorch_model.bin?download=true`]: "main",
    [`${HUB}/${repository}/discussions`]: undefined,
  };
  for (const [name, revision] of Object.entries(cases)) {
    const expected = { id: repository, repository, folderUrl: null, ...(revision && { revision }) };
    assert.deepEqual(resolveName(name, BASE), expected, name);
  }
  // A repository of another hub only with that hub's endpoint.
  const other = "https://hub.example/mirror/o/n";
  assert.equal(resolveName(other, BASE).folderUrl, `${other}/`);
  assert.equal(resolveName(other, BASE, "https://hub.example/mirror").repository, "o/n");
  // An address that is not a repository's page is an ordinary one.
  for (const folder of [
    `${HUB}/models/`,
    `${HUB}/datasets/o/n/`,
    `${HUB}/spaces/o/`,
    `${HUB}/o/n/resolve/main/`,
    `${HUB}/o/n/resolve/main/folder/`,
    `${HUB}.example/o/n/`,
  ]) {
    assert.equal(resolveName(folder, BASE).folderUrl, folder, folder);
  }
  // An address of this site stays one, also on the hub's own host.
  assert.equal(resolveName("/o/n/", `${HUB}/x`).folderUrl, `${HUB}/o/n/`);
});

test("the address of a file is refused with that of its folder", () => {
  for (const [name, folder] of [
    ["/models/plain/pytorch_model.bin", "https://site.example/models/plain/"],
    ["./m/model.safetensors", "https://site.example/blog/m/"],
    ["https://cdn.example/m/config.json", "https://cdn.example/m/"],
  ]) {
    assert.throws(
      () => resolveName(name, BASE),
      (e) => e.code === "invalid-argument" && /file/.test(e.message) && e.hint.includes(`"${folder}"`),
      name,
    );
  }
  assert.equal(resolveName("./m.bin/", BASE).folderUrl, "https://site.example/blog/m.bin/", "a folder, by its slash");
});

test("folders of this computer are known by their address", () => {
  assert.ok(isLocalFolder("./local/~1a2b~my%20model/") && isLocalFolder("https://a/b/local/~1a2b~m/"));
  assert.ok(![undefined, null, "./local/m/", "o/n", "https://a/local/~1~m/x/"].some(isLocalFolder));
});

test("endpoints lose their last slash", () => {
  assert.equal(normalizeEndpoint("https://hub.example/"), "https://hub.example");
  assert.equal(normalizeEndpoint("http://127.0.0.1:80/a//"), "http://127.0.0.1/a");
  assert.equal(normalizeEndpoint("https:hub.example"), undefined);
});
