//! Generates what is written once and needed elsewhere: a list of the files of `shaders/` for `src/gpu/shader.rs`, so
//! that a new one needs no entry anywhere; Rust's structs and the shaders' from the table of generate options; and
//! Rust's from that of train options (`build/options.rs`).

use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "build/options.rs"]
mod options;
use options::{Made, Table};

/// The tables of generate and of train options, and one that only tests read: it has every type of an option.
const TABLE: &str = "www/lib/api/generate-options.js";
const TRAIN_TABLE: &str = "www/lib/api/train-options.js";
const TEST_TABLE: &str = "tests/fixtures/every-option.js";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let sampling = write_options();
    write_shaders(&sampling);
}

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it").into()
}

fn write(file: &str, text: &str) {
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join(file);
    fs::write(out, text).expect("cargo's folder for it");
}

/// Rust's options; returns the uniform of the shaders.
fn write_options() -> String {
    let table = |file: &str| {
        println!("cargo::rerun-if-changed={file}");
        Table::read(&fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}")))
    };
    let sampling = Made {
        name: "SamplingOptions",
        about: "How the next token is chosen. Defaults are those of the public interface.",
        integer: "u32",
        extra: "    /// The ids that the completion's first token may be, each with true; `None`: any.
    #[serde(skip)]
    pub first: Option<std::sync::Arc<[bool]>>,
    /// What may not be chosen at its place: the number of a token of the completion, and its id.
    #[serde(skip)]
    pub bars: Vec<(u32, u32)>,
    /// Which ids end a match of `dry`, each with true; `None`: none.
    #[serde(skip)]
    pub dry_breakers: Option<std::sync::Arc<[bool]>>,\n",
    };
    let text = Made {
        name: "GenerateOptions",
        about: "Options of one generation. Defaults are those of the public interface.",
        integer: "usize",
        extra: "    /// How tokens are chosen.
    #[serde(skip)]
    pub sampling: crate::sampling::SamplingOptions,\n",
    };
    let training = Made {
        name: "TrainOptions",
        about: "Options of a training. Defaults are those of the public interface.",
        integer: "usize",
        extra: "",
    };
    write("train_options.rs", &table(TRAIN_TABLE).room("training").rust(&training));
    let own = [
        ("real_ids", "Ids below this are drawn."),
        ("keeps_all", "1 if every one of them stays in the draw."),
        ("prompt", "Tokens of the prompt."),
        ("begin", "Number of the token whose choice the barred ids are barred from."),
    ];
    let rows = table(TABLE).room("sampling");
    write("sampling_options.rs", &rows.rust(&sampling));
    let (wgsl, words) = rows.uniform(&own);
    write("sampling_words.rs", &words);
    write("generate_options.rs", &table(TABLE).room("text").rust(&text));
    let rows = table(TEST_TABLE).room("sampling");
    let (test_wgsl, words) = rows.uniform(&own);
    write("test_options.wgsl", &test_wgsl);
    write("test_options.rs", &(rows.rust(&sampling) + &words));
    wgsl
}

/// Every shader with its text, and the text that is generated here.
fn write_shaders(sampling: &str) {
    println!("cargo::rerun-if-changed=shaders");
    let entries = fs::read_dir(root().join("shaders")).expect("the folder of shaders");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry of it").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "wgsl"));
    files.sort();
    let line = |path: &Path| format!("    ({:?}, include_str!({path:?})),\n", path.file_name().expect("a file"));
    let lines: String = files.iter().map(|path| line(path)).collect();
    write("shaders.rs", &format!("&[\n{lines}    (\"sampling_options.wgsl\", {sampling:?}),\n]\n"));
}
