//! All native tests outside of the crate, as one program: each one more costs seconds to compile and to link, and again
//! to lint. A test is called `FILE::NAME`: `cargo test --test all -- FILE::` runs those of one file.

mod common;

mod compressed_tensors;
mod convert;
mod formats_fixtures;
mod golden;
mod growth;
mod hostile;
mod hostile_json;
mod hostile_packs;
mod inspect;
mod mutations;
mod reference;
mod stream;
mod trained;

#[test]
fn every_file_is_here() {
    let here = include_str!("main.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for entry in std::fs::read_dir(folder).expect("the folder of tests") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        if path.extension().is_some_and(|end| end == "rs") && name != "main" {
            assert!(
                here.contains(&format!("\nmod {name};\n")),
                "tests/main.rs does not name {name}: none of its tests run"
            );
        }
    }
}
