//! `config.json`, of a folder and of a published checkpoint.
use tokenformer_web::checkpoint::layout::tensors;
use tokenformer_web::config::{ModelConfig, PartialConfig};

/// What no input may bring to panic, to hang, or to take too much memory.
pub fn run(data: &[u8]) {
    let _ =
        PartialConfig::of_published(data).or(PartialConfig::preset("TokenFormer-150M").unwrap_or_default()).finish();
    if let Ok(config) = ModelConfig::from_json(data) {
        assert!(config.rotary_dims() <= config.head_size());
        assert!(tensors(&config).all(|id| id.shape(&config).cols > 0));
    }
}
