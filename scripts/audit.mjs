// Audits the crates that the project and its fuzz targets depend on, by deny.toml: licences, sources, bans, versions.
//
//     node scripts/audit.mjs
//
// It only needs cargo: cargo-deny, which reads the same file in the GitHub workflow and also knows vulnerabilities,
// takes 10 to 15 minutes to compile.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);
const MANIFESTS = ["Cargo.toml", "fuzz/Cargo.toml"].map((path) => fileURLToPath(new URL(path, ROOT)));
const CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index";

/** The strings of a list in deny.toml; for tables in it, the first string of each. */
const policy = readFileSync(new URL("deny.toml", ROOT), "utf8").replaceAll(/#.*/g, "");
function list(key) {
  const [, body] = policy.match(new RegExp(`^${key} = \\[(.*?)^\\]`, "ms"));
  return new Set(body.split("\n").flatMap((line) => line.match(/"([^"]+)"/)?.slice(1) ?? []));
}
const [allowed, known, banned] = [list("allow"), list("skip"), list("deny")];

/** Whether the allowed licences satisfy an SPDX expression; "/" is an older "OR". */
export function isAllowed(expression, allowed) {
  const words = (expression ?? "").replaceAll("/", " OR ").match(/[()]|[^\s()]+/g) ?? [];
  const any = () => {
    let met = all();
    while (words[0] === "OR") met = (words.shift(), all()) || met;
    return met;
  };
  const all = () => {
    let met = one();
    while (words[0] === "AND") met = (words.shift(), one()) && met;
    return met;
  };
  const one = () => {
    const word = words.shift();
    if (word === "(") {
      const met = any();
      return words.shift() === ")" && met;
    }
    if (words[0] === "WITH") return allowed.has(`${word} WITH ${(words.shift(), words.shift())}`);
    return allowed.has(word);
  };
  return any() && words.length === 0;
}

/** What is wrong with the crates of a manifest. */
function audit(manifest) {
  const args = ["metadata", "--locked", "--all-features", "--format-version", "1", "--manifest-path", manifest];
  const { packages } = JSON.parse(
    execFileSync("cargo", args, { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] }),
  );
  const problems = [];
  const versions = new Map();
  for (const { name, version, license, source } of packages) {
    const crate = `${name}@${version}`;
    if (source !== null && source !== CRATES_IO) problems.push(`${crate} comes from ${source}`);
    if (!isAllowed(license, allowed)) problems.push(`${crate} has the licence ${license}`);
    if (banned.has(name)) problems.push(`${crate} is banned`);
    if (!known.has(crate)) versions.set(name, [...(versions.get(name) ?? []), version]);
  }
  for (const [name, several] of versions)
    if (several.length > 1) problems.push(`${name} is there as ${several.join(" and ")}`);
  console.log(`${manifest}: ${packages.length} crates, ${problems.length} problems`);
  return problems;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = MANIFESTS.flatMap(audit);
  console.log("known vulnerabilities: not looked for here; the GitHub workflow does");
  for (const problem of problems) console.log(`audit: ${problem}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
