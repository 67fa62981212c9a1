//! Lists the files of `shaders/` for `src/gpu/shader.rs`, so that a new one needs no entry anywhere.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shaders");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("shaders");
    let entries = fs::read_dir(&folder).expect("the folder of shaders");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry of it").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "wgsl"));
    files.sort();
    let line = |path: &Path| format!("    ({:?}, include_str!({path:?})),\n", path.file_name().expect("a file"));
    let lines: String = files.iter().map(|path| line(path)).collect();
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("shaders.rs");
    fs::write(out, format!("&[\n{lines}]\n")).expect("cargo's folder for it");
}
