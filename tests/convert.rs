//! The convert tool, run as a command.

use crate::common::fixture;
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

#[test]
fn calibrated_tables_are_others_and_what_cannot_be_calibrated_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let convert = |name: &str, more: &[&str]| {
        let input = fixture("head64").join("pytorch_model.bin");
        let mut command = Command::new(env!("CARGO_BIN_EXE_convert"));
        command.arg("--input").arg(input).arg("--output").arg(folder.path().join(name)).args(more);
        command.output().expect("run")
    };
    let plain = convert("plain", &["--quantization", "q4"]);
    let calibrated = convert("calibrated", &["--quantization", "q4", "--calibrate", "600"]);
    assert!(plain.status.success() && calibrated.status.success(), "{}", String::from_utf8_lossy(&calibrated.stderr));
    let file = |name| std::fs::read(folder.path().join(name).join("model.safetensors")).expect("weights");
    let (plain, calibrated) = (file("plain"), file("calibrated"));
    assert_eq!(plain.len(), calibrated.len());
    assert_ne!(plain, calibrated);
    ModelFolder::open(&folder.path().join("calibrated")).expect("a model");
    for more in [["--quantization", "f16", "--calibrate", "600"], ["--quantization", "q4", "--calibrate", "0"]] {
        let refused = convert("refused", &more);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--calibrate takes"), "{more:?}");
    }
}
