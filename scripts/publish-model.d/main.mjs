// scripts/publish-model, after building what it calls.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { difference } from "../embed-model.d/written.mjs";
import { card, licenseOf } from "./card.mjs";
import { Repository } from "./hub.mjs";
import { read, Refused } from "./options.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const target = process.env.CARGO_TARGET_DIR ? resolve(process.env.CARGO_TARGET_DIR) : join(root, "target");
const TEXT = { file: join(root, "eval/tokenformer_eval/data/northanger_abbey.txt"), characters: 10_000 };
const [CHECKPOINT, CONFIG, TOKENIZER, CARD] = ["pytorch_model.bin", "config.json", "tokenizer.json", "README.md"];
/** The repository whose tokenizer the published models share. */
const SHARED_TOKENIZER = "EleutherAI/gpt-neox-20b";
const LICENSE = /^LICEN[CS]E(\.\w+)?$/i;

const say = (text) => console.error(`publish-model: ${text}`);

function run(program, given, { isRead = false } = {}) {
  const { status, stdout, error } = spawnSync(join(target, "debug", program), given.map(String), {
    stdio: ["ignore", isRead ? "pipe" : 2, "inherit"],
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (error) throw error;
  if (status !== 0) throw new Refused(`${basename(program)} failed; why is said above.`);
  return stdout;
}

/** All files needed from the checkpoint, in a folder of its own for each commit. */
async function download(asked) {
  const hub = { endpoint: asked.endpoint, token: process.env.HF_TOKEN };
  const source = await Repository.open(hub, asked.repository, asked.revision);
  if (!source.has(CHECKPOINT)) throw new Refused(`${asked.repository} has no ${CHECKPOINT}.`);
  // convert derives the shape of a published model from the folder's name if config.json lacks it.
  const folder = join(target, "publish", source.commit, asked.repository.split("/")[1]);
  const wanted = [CONFIG, TOKENIZER, CARD, CHECKPOINT].filter((path) => source.has(path));
  for (const path of [...wanted, ...source.paths.filter((path) => LICENSE.test(path))]) {
    say(`${path}, ${(source.size(path) / 1e6).toFixed(1)} MB`);
    await source.download(path, join(folder, path), say);
  }
  if (!source.has(TOKENIZER)) {
    const shared = await Repository.open(hub, SHARED_TOKENIZER, "main");
    await shared.download(TOKENIZER, join(folder, TOKENIZER), say);
  }
  return { folder, commit: source.commit };
}

function measured(folder, output, { file, characters }) {
  const measure = (model) => {
    const given = [model, resolve(file), join(folder, TOKENIZER), ...(characters ? [characters] : [])];
    return JSON.parse(run("examples/perplexity", given, { isRead: true }));
  };
  const name = `${basename(file)}${characters ? `, first ${characters.toLocaleString("en")} characters` : ""}`;
  say(`comparing perplexity on ${name}`);
  return { name, exact: measure(join(folder, CHECKPOINT)), shipped: measure(output) };
}

/** The licence's text: the checkpoint's own, or this repository's text of Apache-2.0. */
function writeLicense(folder, output, license) {
  const own = readdirSync(folder).filter((path) => LICENSE.test(path));
  for (const path of own) copyFileSync(join(folder, path), join(output, path));
  if (own.length > 0) return;
  if (license === "apache-2.0") copyFileSync(join(root, "LICENSE"), join(output, "LICENSE"));
  else say(`add the text of the licence ${license} as ${join(output, "LICENSE")}: the checkpoint has none`);
}

async function main() {
  const asked = read(process.argv.slice(2), TEXT);
  const output = resolve(asked.to);
  if (existsSync(output) && readdirSync(output).length > 0)
    throw new Refused(`${output} exists and is not empty. Name a new folder.`);
  const { folder, commit } = await download(asked);
  const own = existsSync(join(folder, CARD)) ? readFileSync(join(folder, CARD), "utf8") : "";
  const license = licenseOf(own, asked.license);
  const { quantization, calibrated, limit } = asked;
  say(`converting to ${quantization}${calibrated > 0 ? ", calibrated: many minutes, for large models hours" : ""}`);
  const calibration = calibrated > 0 ? ["--calibrate", calibrated] : [];
  const input = ["--input", join(folder, CHECKPOINT)];
  run("convert", [...input, "--quantization", quantization, ...calibration, "--output", output]);
  const row = measured(folder, output, asked.text);
  const { part } = difference(row.exact, row.shipped);
  if (part > limit) {
    rmSync(output, { recursive: true });
    const grown = `Perplexity grows by ${(part * 100).toFixed(2)} %, more than --limit ${limit * 100}.`;
    throw new Refused(`${grown} Nothing was written. Try --calibrate with more tokens, or --quantization q8.`);
  }
  const bytes = readdirSync(output).reduce((sum, path) => sum + statSync(join(output, path)).size, 0);
  const original = statSync(join(folder, CHECKPOINT)).size;
  writeFileSync(join(output, CARD), card({ ...asked, commit, license, bytes, original, row }, own));
  writeLicense(folder, output, license);
  say(
    `${output}: ${(bytes / 1e6).toFixed(1)} MB, perplexity ${part < 0 ? "−" : "+"}${Math.abs(part * 100).toFixed(2)} %. Read its README.md; this uploads it:`,
  );
  console.log(`hf upload ${asked.as} ${JSON.stringify(output)} .`);
  say("For the page to offer it, name it in QUANTIZED of www/page/published.js.");
}

try {
  await main();
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  say(error.message);
  process.exitCode = 1;
}
