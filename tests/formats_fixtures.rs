//! The published format: the committed checkpoints are read whole.

use std::path::PathBuf;
use tokenformer_web::checkpoint::TableSource;
use tokenformer_web::checkpoint::files::PytorchFile;
use tokenformer_web::checkpoint::layout::tensors;
use tokenformer_web::config::{ModelConfig, PartialConfig};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn fixtures_are_read_and_agree_with_their_config() {
    for name in ["head64", "head80", "head96", "uneven-slots"] {
        let json = std::fs::read(fixture(name).join("config.json")).expect("config.json");
        let partial = PartialConfig::from_json(&json).expect("config");
        let mut model = PytorchFile::open(&fixture(name).join("pytorch_model.bin"), Some(partial)).expect(name);
        assert_eq!(*model.config(), ModelConfig::from_json(&json).expect("config"));
        for id in tensors(&model.config().clone()) {
            let table = model.table(id).expect("table");
            let shape = id.shape(model.config());
            assert_eq!(table.len(), shape.rows * shape.cols, "{name} {}", id.name());
            assert!(table.iter().all(|x| x.is_finite()) && table.iter().any(|&x| x != 0.0), "{name} {}", id.name());
        }
    }
}
