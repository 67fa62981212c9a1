import assert from "node:assert/strict";
import { test } from "node:test";
import { ERROR_CODES, TokenFormerError, toTokenFormerError } from "../../www/lib/errors.js";

test("the codes are those of the contract, each with a next step", () => {
  assert.deepEqual(ERROR_CODES, [
    "webgpu-unavailable",
    "model-not-found",
    "unauthorized",
    "rate-limited",
    "network",
    "integrity",
    "quota",
    "unsupported-checkpoint",
    "invalid-config",
    "invalid-argument",
    "out-of-memory",
    "device-lost",
    "aborted",
    "disposed",
    "internal",
  ]);
  for (const code of ERROR_CODES) assert.match(new TokenFormerError(code, "x").hint, /^[A-Z].*\.$/);
});

const CASES = [
  [Object.assign(new Error("Gone."), { code: "model-not-found", hint: "Look." }), "model-not-found"],
  [new DOMException("x", "AbortError"), "aborted"],
  [new DOMException("x", "QuotaExceededError"), "quota"],
  [new WebAssembly.RuntimeError("unreachable"), "device-lost"],
  [
    new WebAssembly.CompileError("Refused to compile: violates the Content Security Policy directive"),
    "webgpu-unavailable",
  ],
  [new WebAssembly.CompileError("expected magic word"), "integrity"],
  [new WebAssembly.LinkError("no import"), "integrity"],
  [new RangeError("Array buffer allocation failed"), "out-of-memory"],
  [new RangeError("WebAssembly.Memory.grow(): Unable to grow instance memory"), "out-of-memory"],
  [new TypeError("Failed to fetch"), "network"],
  [new TypeError("error loading dynamically imported module: a.js"), "network"],
  [new TypeError("x is not a function"), "device-lost"],
  [Object.assign(new Error("odd"), { code: "ENOENT" }), "device-lost"],
  ["a string", "device-lost"],
  [undefined, "device-lost"],
];

test("whatever is thrown becomes a TokenFormerError with its cause", () => {
  for (const [thrown, code] of CASES) {
    const error = toTokenFormerError(thrown);
    assert.ok(error instanceof TokenFormerError);
    assert.equal(error.code, code, String(thrown));
    assert.equal(error.cause, thrown);
    assert.notEqual(error.hint, "");
  }
});

test("the engine's sentence and hint are kept; our own errors pass through", () => {
  const error = toTokenFormerError(CASES[0][0]);
  assert.deepEqual([error.message, error.hint], ["Gone.", "Look."]);
  assert.equal(toTokenFormerError(error), error);
});
