// Licences as crates spell them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isAllowed } from "../../scripts/audit.mjs";

test("a licence is allowed if every part that must be met can be", () => {
  const allowed = new Set(["MIT", "Zlib", "X WITH y"]);
  for (const [expression, met] of [
    ["MIT", true],
    ["GPL-3.0", false],
    ["MIT OR GPL-3.0", true],
    ["GPL-3.0/MIT", true],
    ["MIT AND GPL-3.0", false],
    ["(GPL-3.0 OR MIT) AND Zlib", true],
    ["(GPL-3.0 OR MIT) AND BSD", false],
    ["GPL-3.0 AND BSD OR MIT", true],
    ["X", false],
    ["X WITH y", true],
    ["MIT WITH y", false],
    ["MIT GPL-3.0", false],
    ["(MIT", false],
    ["", false],
    [null, false],
  ]) {
    assert.equal(isAllowed(expression, allowed), met, expression);
  }
});
