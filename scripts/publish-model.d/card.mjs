// The card of a model made by scripts/publish-model.

import { howCalibrated, PRECISIONS, table } from "../embed-model.d/written.mjs";
import { Refused } from "./options.mjs";

/** Parts of a card that also apply to the small model. */
const KEPT = ["license_name", "license_link", "language", "datasets"];

/** The lines of a card's front matter by field, each with the lines indented below it. */
export function frontMatter(card) {
  const [, matter] = /^---\r?\n([^]*?)\r?\n---(?:\r?\n|$)/.exec(card) ?? [];
  const fields = new Map();
  let last = null;
  for (const line of (matter ?? "").split(/\r?\n/)) {
    const [, name] = /^([A-Za-z_]+):/.exec(line) ?? [];
    if (name) fields.set((last = name), line);
    else if (last && /^(\s|-)/.test(line)) fields.set(last, `${fields.get(last)}\n${line}`);
  }
  return fields;
}

/** The licence's id. */
export function licenseOf(card, asked) {
  const told = frontMatter(card)
    .get("license")
    ?.replace(/^license:\s*/, "")
    .trim();
  const license = (told ?? asked)?.replace(/^(["'])(.*)\1$/, "$2");
  if (!license)
    throw new Refused(
      "The checkpoint's card names no licence. Find out whether it may be published, then pass --license ID.",
    );
  return license;
}

const megabytes = (bytes) => `${Math.round(bytes / 1e6).toLocaleString("en")} MB`;

/** @param {{ repository: string, commit: string, as: string, quantization: string, calibrated: number, license: string, bytes: number, original: number, row: object }} facts @param {string} own the checkpoint's own card */
export function card({ repository, commit, as, quantization, calibrated, license, bytes, original, row }, own) {
  const fields = frontMatter(own);
  const kept = KEPT.flatMap((name) => fields.get(name) ?? []);
  const how = howCalibrated(calibrated);
  return `---
license: ${license}
${kept.map((lines) => `${lines}\n`).join("")}base_model: ${repository}
base_model_relation: quantized
pipeline_tag: text-generation
library_name: tokenformer-web
tags:
- tokenformer
- compressed-tensors
---

# ${as.split("/")[1]}

[${repository}](https://huggingface.co/${repository}) at commit \`${commit.slice(0, 12)}\`, made small for web pages: \`${quantization}\` (${PRECISIONS[quantization]})${how}. ${megabytes(bytes)} to download instead of ${megabytes(original)}.

\`\`\`js
import { TokenFormer } from "tokenformer-web";
const model = await TokenFormer.load("${as}");
const { text } = await model.complete("The old man looked at the sea and");
\`\`\`

It is a base model: it continues text and does not chat. The tables follow compressed-tensors' \`pack-quantized\`.

Perplexity per token by a CPU reference, in windows of 512 tokens, each scored alone from its second token on:

${table(quantization, [row])}

The model, and all that is said of it there, is by the authors of [${repository}](https://huggingface.co/${repository}), under the same licence (${license}).
`;
}
