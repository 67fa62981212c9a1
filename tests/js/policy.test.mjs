// The page's policy, the one that the documentation recommends, and that the code needs nothing beyond these.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { underPolicy } from "../../www/lib/engine/policy.js";

const ROOT = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, ROOT), "utf8");
const files = (folder, ...endings) =>
  readdirSync(new URL(folder, ROOT), { recursive: true })
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .map((name) => `${folder}${name}`);
const policyOf = (path) => {
  const [, policy] = read(path).match(/http-equiv="Content-Security-Policy"\s+content="([^"]+)"/);
  return Object.fromEntries(policy.split(";").map((part) => part.trim().split(/ (.*)/s)));
};
const HUB = "https://huggingface.co https://*.huggingface.co https://*.hf.co";
const STRICT = {
  "default-src": "'none'",
  "script-src": "'self' 'wasm-unsafe-eval'",
  "style-src": "'self'",
  "img-src": "'self'",
  "base-uri": "'none'",
  "form-action": "'none'",
};

test("the pages run under a strict policy, and the documentation recommends the same", () => {
  const withEngine = { ...STRICT, "worker-src": "'self'", "connect-src": `'self' ${HUB}` };
  assert.deepEqual(policyOf("index.html"), { ...withEngine, "manifest-src": "'self'" });
  for (const page of ["www/evaluate.html", "www/inspect.html", "www/bench.html"])
    assert.deepEqual(policyOf(page), withEngine);
  assert.deepEqual(policyOf("www/conformance.html"), { ...STRICT, "connect-src": "'self'" });
  const page = read("docs/hosting.md");
  for (const part of [`connect-src 'self' ${HUB}`, "script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self'"]) {
    assert.ok(page.includes(part), part);
  }
});

test("text is put into the page as text, nothing is evaluated, and nothing is logged", () => {
  const code = files("www/", ".js", ".html").filter((path) => !path.startsWith("www/models/"));
  assert.ok(code.length > 40);
  for (const path of [...code, "index.html"]) {
    const found = read(path).match(
      /innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|createContextualFragment|DOMParser|srcdoc|document\.write|\beval\(|new Function|\bconsole\.| on\w+="|javascript:/,
    );
    assert.equal(found?.[0], undefined, path);
  }
  // The engine knows the access token, too: anything it prints would be in the browser's console.
  for (const path of files("src/", ".rs").filter((path) => !/^src\/bin\/|tests?\.rs$|\/tests\//.test(path))) {
    assert.doesNotMatch(
      read(path),
      /\b(e?println|dbg)!|web_sys::console|derive\([^)]*Debug[^)]*\)\]\s*pub struct Client/,
      path,
    );
  }
});

/** Where policy violations are reported. */
const events = new EventTarget();
const violate = (blockedURI, more) =>
  events.dispatchEvent(
    Object.assign(new Event("securitypolicyviolation"), {
      effectiveDirective: "connect-src",
      disposition: "enforce",
      blockedURI,
      ...more,
    }),
  );
/** Has one request blocked, or none, while a load runs. */
const loadWhile = (act, signal) =>
  underPolicy(
    ["https://a.example/m/", undefined, "https://hub.example"],
    signal,
    async (signal) => {
      act();
      if (signal.aborted) throw new Error("aborted");
      return "loaded";
    },
    events,
  );

test("a load that the policy blocks ends at once, and says what to allow", async () => {
  for (const url of ["https://a.example/m/config.json", "https://hub.example"]) {
    await assert.rejects(
      loadWhile(() => violate(url)),
      (e) => {
        assert.equal(e.code, "network");
        assert.match(e.message, /Content-Security-Policy/);
        assert.ok(e.hint.includes(new URL(url).origin) && e.hint.includes("connect-src"), e.hint);
        return true;
      },
    );
  }
  const others = [
    ["https://b.example/"],
    ["inline"],
    ["https://a.example/", { disposition: "report" }],
    ["https://a.example/", { effectiveDirective: "img-src" }],
  ];
  for (const args of others) assert.equal(await loadWhile(() => violate(...args)), "loaded", args[0]);
  assert.equal(await loadWhile(() => {}), "loaded");
  const controller = new AbortController();
  await assert.rejects(
    loadWhile(() => controller.abort(), controller.signal),
    /^Error: aborted$/,
    "the caller's own signal",
  );
});
