// The service worker keeps what the page consists of, no less and no more.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const path = (relative) => new URL(`../../${relative}`, import.meta.url);

test("its list is that of the folders", () => {
  const source = readFileSync(path("www/service-worker.js"), "utf8");
  const list = JSON.parse(/const SHELL = (\[[^\]]*\])/.exec(source)[1].replace(/,\s*\]/, "]"));
  const bench = ["bench.js", "bench-address.js", "bench-check.js"];
  const wanted = ["./", "tokenformer.js",
    ...["lib", "page"].flatMap((folder) => readdirSync(path(`www/${folder}`)).filter((name) => !bench.includes(name)).map((name) => `${folder}/${name}`))];
  assert.deepEqual(list.toSorted(), wanted.toSorted());
});
