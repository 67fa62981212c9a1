// scripts/embed-model, after building what it calls. First everything is generated and checked, then it is written.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { read, Refused } from "./options.mjs";
import { card, evaluation, factsOf, parametersOf, readme, withFacts, withSettings } from "./written.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const at = (path) => join(root, path);
const target = process.env.CARGO_TARGET_DIR ? resolve(process.env.CARGO_TARGET_DIR) : at("target");
const FACTS = at("www/lib/embedded.js");
const GOLDEN = at("tests/fixtures/embedded/golden.json");
/** The text used for golden.json, and how much of it. */
const TEXT = {
  name: "*Northanger Abbey*, first 40,000 characters",
  file: at("eval/tokenformer_eval/data/northanger_abbey.txt"),
  characters: 40_000,
};
/** Files that contain the model's settings, or name it. */
const PAGES = ["index.html", "examples/plain/index.html", "examples/vite/src/main.ts", "README.md"].concat(
  ["index", "element", "api"].map((name) => `docs/${name}.md`),
);
const NEEDED = ["pytorch_model.bin", "config.json", "tokenizer.json", "README.md", "golden.json"];

const say = (text) => console.error(`embed-model: ${text}`);
const json = (path) => JSON.parse(readFileSync(path, "utf8"));
const nameOf = (folder) => basename(resolve(folder));

function run(program, given, { isRead = false } = {}) {
  const { status, stdout, error } = spawnSync(join(target, "debug", program), given, {
    stdio: ["ignore", isRead ? "pipe" : "inherit", "inherit"],
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (error) throw error;
  if (status !== 0) throw new Refused(`${basename(program)} failed; why is said above.`);
  return stdout;
}

/** The folder that `convert` writes with these options, from target/embed if it exists. */
function converted(folder, { quantization, calibrated, contextLength }) {
  const config = join(target, "embed/config.json");
  const shape = json(join(folder, "config.json"));
  mkdirSync(join(target, "embed"), { recursive: true });
  writeFileSync(config, JSON.stringify({ ...shape, ...(contextLength && { max_position_embeddings: contextLength }) }));
  const hash = createHash("sha256").update(JSON.stringify([quantization, calibrated]));
  for (const path of [config, join(folder, "pytorch_model.bin"), join(folder, "tokenizer.json")])
    hash.update(readFileSync(path));
  const output = join(target, `embed/${nameOf(folder)}-${quantization}-${hash.digest("hex").slice(0, 12)}`);
  if (existsSync(output)) {
    say(`taking the conversion in ${output}; delete that to convert again`);
    return output;
  }
  const input = join(folder, "pytorch_model.bin");
  const calibration = calibrated > 0 ? ["--calibrate", calibrated] : [];
  say(`converting to ${quantization}${calibrated > 0 ? ", calibrated: minutes" : ""}`);
  run("convert", [
    "--input",
    input,
    "--config",
    config,
    "--quantization",
    quantization,
    ...calibration,
    "--output",
    output,
  ]);
  return output;
}

/** `{ name, exact, shipped }` for a text; the first float32 measurement also compares its greedy ids. */
function measured(folder, output, { name, file, characters }, golden) {
  const measure = (model, ...more) => {
    const given = [model, resolve(file), join(folder, "tokenizer.json"), ...(characters ? [characters] : []), ...more];
    return JSON.parse(run("examples/perplexity", given.map(String), { isRead: true }));
  };
  say(`measuring ${name}`);
  const exact = measure(join(folder, "pytorch_model.bin"), ...(golden ? ["--golden", golden] : []));
  return { name, exact, shipped: measure(output) };
}

function check(golden, [{ exact, shipped }], { limit }) {
  const { tokens_scored: tokens, value } = golden.perplexity;
  if (exact.tokensScored !== tokens || Math.abs(exact.perplexity / value - 1) > 1e-4)
    throw new Refused(
      `float32 has a perplexity of ${exact.perplexity} over ${exact.tokensScored} tokens, golden.json ${value} over ${tokens}.`,
    );
  const part = shipped.perplexity / exact.perplexity - 1;
  if (part > limit)
    throw new Refused(
      `Perplexity grows by ${(part * 100).toFixed(2)} %, more than --limit ${limit * 100}. Try --calibrate, or --quantization q8.`,
    );
}

function main() {
  const last = factsOf(readFileSync(FACTS, "utf8"));
  const asked = read(process.argv.slice(2), nameOf, last);
  const folder = resolve(asked.folder);
  const name = nameOf(folder);
  const missing = NEEDED.filter((file) => !existsSync(join(folder, file)));
  if (missing.length > 0) throw new Refused(`${folder} lacks ${missing.join(", ")}.`);
  if (!/^[a-z0-9][a-z0-9.-]*$/.test(name))
    throw new Refused(
      `The folder's name becomes a part of addresses: ${name} should be small letters, digits, - and .`,
    );
  for (const option of ["label", "about"])
    if (!asked[option]) throw new Refused(`--${option} is missing: the model is new.`);

  const output = converted(folder, asked);
  const rows = [measured(folder, output, TEXT, join(folder, "golden.json"))];
  check(json(join(folder, "golden.json")), rows, asked);
  rows.push(...asked.texts.map((text) => measured(folder, output, text)));

  const config = json(join(output, "config.json"));
  const bytesOf = (file) => statSync(join(output, file)).size;
  const files = readdirSync(output);
  const sum = (all) => all.map(bytesOf).reduce((a, b) => a + b);
  const facts = {
    name,
    label: asked.label,
    about: asked.about,
    parameters: parametersOf(config),
    quantization: asked.quantization,
    calibrated: asked.calibrated,
    contextLength: config.max_position_embeddings,
    weightBytes: sum(files.filter((file) => file.endsWith(".safetensors"))),
    downloadBytes: sum(files),
    sampling: asked.sampling,
    perplexity: Number(rows[0].shipped.perplexity.toFixed(4)),
    perplexityLimit: asked.limit,
  };
  write(folder, output, facts, rows, last.name);
  say(
    `${name} is embedded: ${(facts.downloadBytes / 1e6).toFixed(1)} MB to download. Now build, run scripts/test, and look at the page.`,
  );
}

function write(folder, output, facts, rows, before) {
  const models = at("www/models");
  const partial = join(models, `${facts.name}.partial`);
  rmSync(partial, { recursive: true, force: true });
  cpSync(output, partial, { recursive: true });
  writeFileSync(join(partial, "README.md"), card(readFileSync(join(folder, "README.md"), "utf8"), facts, rows));
  if (existsSync(join(folder, "credits.tsv"))) cpSync(join(folder, "credits.tsv"), join(partial, "credits.tsv"));
  for (const other of readdirSync(models))
    if (join(models, other) !== partial) rmSync(join(models, other), { recursive: true });
  renameSync(partial, join(models, facts.name));
  writeFileSync(GOLDEN, readFileSync(join(folder, "golden.json")));
  const edit = (path, change) => writeFileSync(path, change(readFileSync(path, "utf8")));
  edit(FACTS, (text) => withFacts(text, facts));
  for (const page of PAGES) edit(at(page), (text) => withSettings(text, facts));
  edit(at("README.md"), (text) => readme(text, before, facts));
  edit(at("docs/evaluation.md"), (text) => evaluation(text, facts, rows));
}

try {
  main();
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  say(error.message);
  process.exitCode = 1;
}
