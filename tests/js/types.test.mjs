// The published types in a project that has none of the frameworks that they mention.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("a strict project without frameworks takes the types, and its libraries are checked too", (t) => {
  const project = mkdtempSync(join(tmpdir(), "tokenformer-types-"));
  t.after(() => rmSync(project, { recursive: true }));
  const installed = join(project, "node_modules/tokenformer-web");
  mkdirSync(installed, { recursive: true });
  cpSync(fileURLToPath(new URL("../../www/tokenformer.d.ts", import.meta.url)), join(installed, "index.d.ts"));
  writeFileSync(
    join(project, "story.ts"),
    `import "tokenformer-web";
import type { TokenFormer } from "tokenformer-web";
const element = document.createElement("token-former");
element.maxTokens = 5;
element.logitBias = { 11: -5 };
element.noCache = true;
element.stop = ["\\n"];
element.stop();
element.ondone = ({ detail }) => detail.finishReason.at(0);
element.quantization satisfies "q4" | "q8" | "f16" | null;
const { signal } = new AbortController();
export async function write(model: TokenFormer) {
  const written = model.alternatives("a", { n: 2, seed: 5, maxTokens: 5, signal, signals: [signal, undefined, null] });
  for await (const { index, text, tokenId } of written) [index, tokenId, text] satisfies [number, number, string];
  for await (const chunk of model.generate("a")) {
    // @ts-expect-error: one text has no number
    chunk.index;
  }
  const { done, value } = await written.next();
  if (done) value[0]?.finishReason satisfies string | undefined;
  // @ts-expect-error: of several texts only
  model.complete("a", { n: 2 });
  // @ts-expect-error: an array
  model.alternatives("a", { signals: signal });
}
// @ts-expect-error: an attribute's text is not its property's value
element.maxTokens = "5";
`,
  );
  writeFileSync(
    join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        module: "ESNext",
        moduleResolution: "bundler",
        lib: ["ES2022", "DOM", "DOM.Iterable"],
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
      },
    }),
  );
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  try {
    execFileSync(process.execPath, [tsc, "-p", project], { encoding: "utf8" });
  } catch ({ stdout }) {
    assert.fail(stdout);
  }
});
