//! The convert tool as it is called.

mod common;

use common::fixture;
use std::process::Command;
use tokenformer_web::checkpoint::files::ModelFolder;

#[test]
fn the_output_may_end_with_a_slash_and_must_be_new() {
    let folder = tempfile::tempdir().expect("folder");
    let output = folder.path().join("made");
    let convert = || {
        let input = fixture("head64").join("pytorch_model.bin");
        let mut command = Command::new(env!("CARGO_BIN_EXE_convert"));
        command.arg("--input").arg(input).args(["--quantization", "q8", "--output"]);
        command.arg(format!("{}/", output.display())).output().expect("run")
    };
    let done = convert();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    ModelFolder::open(&output).expect("a model");
    let names: Vec<_> = folder.path().read_dir().expect("folder").map(|f| f.expect("entry").file_name()).collect();
    assert_eq!(names, ["made"], "nothing else is left");
    let again = convert();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("not empty"));
    ModelFolder::open(&output).expect("what was there is untouched");
}
