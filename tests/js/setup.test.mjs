// scripts/setup and scripts/serve on a fake machine: a PATH of fake programs, in a folder of its own.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TRUNK = readFileSync(join(ROOT, "scripts/setup"), "utf8").match(/^TRUNK_VERSION=([\d.]+)/m)[1];
const BINDGEN = readFileSync(join(ROOT, "Cargo.lock"), "utf8").match(/name = "wasm-bindgen"\nversion = "([\d.]+)"/)[1];

/** The system programs that the scripts use: macOS has shasum instead of sha256sum. */
const REAL =
  "bash env sh cat chmod cmp cp cut dirname find grep gzip head id mkdir mktemp mv rm sed sha256sum shasum sort tar tr";

/** A machine with everything that a build needs; `lacks`: programs that it does not have, `hasPackages`: what package-lock.json names is installed. */
function machine(t, { lacks = [], hasPackages = true, node = "v22.1.0", system = "Linux x86_64" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "setup-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [bin, cargoBin, server] = ["bin", "cargo/bin", "server"].map((name) => join(folder, name));
  const std = join(folder, "sysroot/lib/rustlib/wasm32-unknown-unknown/lib");
  for (const path of [bin, cargoBin, server, std]) mkdirSync(path, { recursive: true });
  writeFileSync(join(std, "libstd-0.rlib"), "");
  // The scripts in a separate clone, which requires a newer Rust than any real one in /usr/bin.
  cpSync(join(ROOT, "scripts"), join(folder, "clone/scripts"), { recursive: true });
  for (const lock of ["Cargo.lock", "package-lock.json"]) cpSync(join(ROOT, lock), join(folder, "clone", lock));
  mkdirSync(join(folder, "clone/node_modules"));
  if (hasPackages) cpSync(join(ROOT, "package-lock.json"), join(folder, "clone/node_modules/.installed-lock"));
  writeFileSync(join(folder, "clone/Cargo.toml"), 'rust-version = "999.0"\n');
  for (const name of REAL.split(" ")) {
    const { stdout } = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" });
    if (stdout) symlinkSync(stdout.trim(), join(bin, name));
  }
  const program = (path, body) => writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  const log = join(folder, "log");
  writeFileSync(log, "");
  const fakes = {
    rustc: `case "$1" in --print) echo ${folder}/sysroot ;; *) echo "rustc 1.95.0" ;; esac`,
    // Compiles by writing a program that knows its version.
    cargo: `echo "cargo $*" >>${log}
      for name in trunk wasm-bindgen; do case " $* " in
        *" $name "*|*" $name-cli "*) printf '#!/bin/sh\\necho %s %s\\n' $name "$(echo "$*" | sed 's/.*--version \\([0-9.]*\\).*/\\1/')" >${cargoBin}/$name; chmod +x ${cargoBin}/$name ;;
      esac; done`,
    cc: "",
    uname: `case "$1" in -s) echo ${system.split(" ")[0]} ;; *) echo ${system.split(" ")[1]} ;; esac`,
    node: `case "$1" in --version) echo ${node} ;; *) echo "node $*" >>${log} ;; esac`,
    npm: `echo "npm $*" >>${log}`,
    trunk: `case "$1" in --version) echo "trunk ${TRUNK}" ;; *) echo "trunk $*" >>${log} ;; esac`,
    "wasm-bindgen": `echo "wasm-bindgen ${BINDGEN}"`,
    "wasm-opt": 'echo "wasm-opt version 132"',
    // Serves a folder; without it there is no answer.
    curl: `for address; do :; done
      echo "curl $address" >>${log}
      [ ! -e ${server}/closed ] || exit 6
      while [ "$1" != --output ]; do shift; done
      [ -e "${server}/\${address##*/}" ] || exit 22
      cp "${server}/\${address##*/}" "$2"`,
  };
  for (const [name, body] of Object.entries(fakes)) {
    if (lacks.includes(name)) continue;
    program(join(["rustc", "cargo"].includes(name) ? cargoBin : bin, name), body);
  }

  return {
    cargoBin,
    server,
    calls: () => readFileSync(log, "utf8").trim().split("\n").filter(Boolean),
    /** Publishes an archive with a program, in the form of the projects' releases. */
    publish(archive, name, says, { checksum } = {}) {
      const inside = join(folder, "inside");
      mkdirSync(inside, { recursive: true });
      program(join(inside, name), says);
      execFileSync("tar", ["-czf", join(server, archive), "-C", inside, name]);
      const sum =
        checksum ??
        createHash("sha256")
          .update(readFileSync(join(server, archive)))
          .digest("hex");
      for (const suffix of [".sha256", ".sha256sum"]) writeFileSync(join(server, archive + suffix), `${sum}\n`);
    },
    /** Runs one of the scripts; returns its output, line by line. */
    run(script, args = [], env = {}) {
      const { status, stdout, stderr } = spawnSync(join(folder, "clone/scripts", script), args, {
        encoding: "utf8",
        env: {
          PATH: bin,
          HOME: folder,
          CARGO_HOME: join(folder, "cargo"),
          CARGO_TARGET_DIR: join(folder, "t"),
          ...env,
        },
      });
      return { status, lines: (stderr + stdout).trim().split("\n") };
    },
  };
}

const trunkArchive = "trunk-x86_64-unknown-linux-gnu.tar.gz";
const bindgenArchive = `wasm-bindgen-${BINDGEN}-x86_64-unknown-linux-musl.tar.gz`;
const names = (calls, program) => calls.filter((call) => call.startsWith(`${program} `));

test("where nothing is missing, setup installs nothing and says so", (t) => {
  const here = machine(t);
  const { status, lines } = here.run("setup");
  assert.equal(status, 0, lines.join("\n"));
  assert.equal(lines.length, 1);
  assert.match(lines[0], /^setup: everything is there \(rustc 1\.95\.0, node 22\.1\.0, trunk /);
  assert.deepEqual(here.calls(), []);
});

test("a build gets the npm packages that it is bundled with", (t) => {
  const here = machine(t, { hasPackages: false });
  const { status, lines } = here.run("setup");
  assert.equal(status, 0, lines.join("\n"));
  assert.match(lines[1], /^setup: {3}- the npm packages of package-lock\.json/);
  assert.deepEqual(here.calls(), ["npm ci --no-audit --no-fund --silent"]);
});

test("serve says first what will be installed and how long it takes, and only what is missing", (t) => {
  const here = machine(t, { lacks: ["wasm-bindgen"] });
  here.publish(bindgenArchive, "wasm-bindgen", `echo "wasm-bindgen ${BINDGEN}"`);
  const { status, lines } = here.run("serve", ["--port", "8099"]);
  assert.equal(status, 0, lines.join("\n"));
  assert.match(lines[0], /^serve: the first build compiles the crate: about 3 minutes/);
  assert.match(lines[1], /^setup: this is missing and will be installed now:$/);
  assert.match(lines[2], /^setup: {3}- wasm-bindgen-cli [\d.]+ \(seconds from GitHub; .*minutes to compile/);
  assert.match(lines[3], /^setup: installed the prebuilt wasm-bindgen/);
  assert.deepEqual(here.calls().slice(-2), [
    "trunk build --release",
    "node scripts/static-server.mjs dist --port 8099",
  ]);
});

test("trunk and wasm-bindgen come prebuilt where GitHub answers", (t) => {
  const here = machine(t, { lacks: ["trunk", "wasm-bindgen"] });
  here.publish(trunkArchive, "trunk", `echo "trunk ${TRUNK}"`);
  here.publish(bindgenArchive, "wasm-bindgen", `echo "wasm-bindgen ${BINDGEN} (0123456789)"`);
  const { status, lines } = here.run("setup");
  assert.equal(status, 0, lines.join("\n"));
  assert.ok(existsSync(join(here.cargoBin, "trunk")) && existsSync(join(here.cargoBin, "wasm-bindgen")));
  assert.deepEqual(names(here.calls(), "cargo"), []);
  assert.ok(here.calls().every((call) => /^curl https:\/\/github\.com\//.test(call)));
  assert.equal(here.run("setup").lines.length, 1);
});

test("an archive with another checksum than the published one is refused", (t) => {
  for (const checksum of ["0".repeat(64), "", "<html>"]) {
    const here = machine(t, { lacks: ["trunk"] });
    here.publish(trunkArchive, "trunk", `touch ${here.server}/ran; echo "trunk ${TRUNK}"`, { checksum });
    const { status, lines } = here.run("setup");
    assert.equal(status, 0, lines.join("\n"));
    assert.ok(
      lines.some((line) => line.startsWith(`setup: REFUSED: https://github.com/`)),
      lines.join("\n"),
    );
    assert.ok(!existsSync(join(here.server, "ran")));
    assert.match(names(here.calls(), "cargo")[0], /^cargo install .*trunk --version/);
  }
});

test("a closed network is asked once, and both tools are compiled", (t) => {
  const here = machine(t, { lacks: ["trunk", "wasm-bindgen"] });
  writeFileSync(join(here.server, "closed"), "");
  const { status, lines } = here.run("setup");
  assert.equal(status, 0, lines.join("\n"));
  assert.equal(names(here.calls(), "curl").length, 1);
  assert.equal(names(here.calls(), "cargo").length, 2);
});

test("what does not run here, what is not published and what nobody wants is compiled", (t) => {
  const foreign = machine(t, { lacks: ["trunk"] });
  foreign.publish(trunkArchive, "trunk", "exit 127");
  assert.equal(foreign.run("setup").status, 0);
  assert.equal(names(foreign.calls(), "cargo").length, 1);

  const unpublished = machine(t, { lacks: ["trunk", "wasm-bindgen"] });
  unpublished.publish(bindgenArchive, "wasm-bindgen", `echo "wasm-bindgen ${BINDGEN}"`);
  assert.equal(unpublished.run("setup").status, 0);
  assert.match(names(unpublished.calls(), "cargo").join(), /^cargo install .*trunk [^,]*$/);

  const unwanted = machine(t, { lacks: ["trunk"] });
  const { lines } = unwanted.run("setup", [], { TOKENFORMER_SETUP_PREBUILT: "0" });
  assert.match(lines[1], /trunk [\d.]+ \(5 to 10 minutes to compile on 2 cores\)$/);
  assert.deepEqual(names(unwanted.calls(), "curl"), []);

  const other = machine(t, { lacks: ["trunk"], system: "Linux riscv64" });
  assert.equal(other.run("setup").status, 0);
  assert.deepEqual(names(other.calls(), "curl"), []);
});

test("what it cannot install it names, with what to do", (t) => {
  const ending = (options, ...args) => {
    const { status, lines } = machine(t, options).run("setup", args);
    assert.notEqual(status, 0, lines.join("\n"));
    return lines.at(-1);
  };
  assert.match(ending({ lacks: ["rustc", "cargo"] }), /error: Rust is not installed; .*rustup\.rs/);
  assert.match(
    ending({ node: "v18.19.0" }),
    /error: Node\.js 20\.19 or newer is needed, and this is v18\.19\.0; .*nodejs\.org/,
  );
  assert.match(ending({ node: "v20.18.3" }), /error: Node\.js 20\.19 or newer/);
  const mac = "Darwin arm64";
  assert.match(ending({ lacks: ["cc"], system: mac }), /error: .*run: xcode-select --install/);
  assert.match(ending({ lacks: ["node", "npm"], system: mac }), /error: .*run: brew install node/);
  assert.match(ending({}, "--everything"), /unknown arguments --everything; usage: /);
  assert.match(ending({}, "--lint", "--js"), /unknown arguments --lint --js; usage: /);
});
