//! The beginning of `model.safetensors`, and its index.
use std::sync::LazyLock;
use tokenformer_web::checkpoint::folder::{Shard, check_complete, header_len, quantization, shard_names};
use tokenformer_web::checkpoint::unit::pieces;
use tokenformer_web::config::ModelConfig;
use tokenformer_web::sizes::{cut, unit_bytes};

/// The model of the seeds.
static CONFIG: LazyLock<ModelConfig> = LazyLock::new(|| {
    ModelConfig::from_json(include_bytes!("../seeds/config/tiny.json")).expect("the seed is a configuration")
});

/// What no input may bring to panic, to hang, or to take too much memory.
pub fn run(data: &[u8]) {
    let _ = shard_names(data);
    let Some((first, rest)) = data.split_first_chunk() else { return };
    let Ok(len) = header_len(*first) else { return };
    let Ok(shard) = Shard::parse(&rest[..len.min(rest.len())], &CONFIG) else { return };
    for unit in cut(shard.file_bytes, unit_bytes(shard.file_bytes)) {
        assert!(pieces(&unit, &shard.sections).iter().all(|p| u64::from(p.at + p.len) <= unit.end - unit.start));
    }
    let shards = [shard];
    let _ = (quantization(&shards), check_complete(&shards, &CONFIG));
}
