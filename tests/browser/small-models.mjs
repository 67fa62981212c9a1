// Small models that can read and write text.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const TOKENIZER = fileURLToPath(new URL("../fixtures/gpt-neox/tokenizer.json", import.meta.url));

/** GPT-NeoX-20B's tokenizer, cut to a small vocabulary, as text. */
function tokenizerOf(vocabulary) {
  const tokenizer = JSON.parse(readFileSync(TOKENIZER, "utf8"));
  const isKept = (id) => id < vocabulary;
  tokenizer.added_tokens = tokenizer.added_tokens.filter(({ id }) => isKept(id));
  const { vocab, merges } = tokenizer.model;
  tokenizer.model.vocab = Object.fromEntries(Object.entries(vocab).filter(([, id]) => isKept(id)));
  tokenizer.model.merges = merges.filter((merge) => isKept(vocab[[merge].flat().join(" ").replace(/ /, "")]));
  return JSON.stringify(tokenizer);
}

/** A folder with these files from another one, and a tokenizer of this many ids. */
export function withTokenizer(source, files, vocabulary, folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of files) copyFileSync(`${source}/${name}`, `${folder}/${name}`);
  writeFileSync(`${folder}/tokenizer.json`, tokenizerOf(vocabulary));
}
