//! Writes a checkpoint with random weights in the published format, and the quantized folder that `convert` makes of it,
//! for tests and benchmarks of loading.
//!
//! usage: cargo run --release --example random_checkpoint -- MODEL OUTPUT [HOLE]
//!
//! MODEL is a published model (TokenFormer-150M, …) or "medium", 21 MB. OUTPUT becomes a folder with
//! pytorch_model.bin, config.json and quantized/ ("medium": sharded/ and unaligned.bin as well). HOLE bytes of zeros come before the tensors (they take no room).

#[path = "../tests/common/big_checkpoint.rs"]
mod big_checkpoint;
#[path = "../tests/common/torch_zip.rs"]
#[allow(dead_code)] // the tests use more of it
mod torch_zip;

use std::path::Path;
use tokenformer_web::checkpoint::files::PytorchFile;
use tokenformer_web::checkpoint::layout::Quantization;
use tokenformer_web::checkpoint::write::{SHARD_BYTES, write_folder};
use tokenformer_web::config::{ModelConfig, PartialConfig};
use tokenformer_web::error::{Error, Result};

/// Cuts the medium model into three.
const SMALL_SHARD: u64 = 1_300_000;

const MEDIUM: &str = r#"{"num_layers":4,"hidden_size":256,"num_attention_heads":4,"qkv_slot_num":250,"proj_slot_num":256,
    "ffn_slot_num":1024,"padded_vocab_size":4000,"max_position_embeddings":256}"#;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("random_checkpoint: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let usage = || Error::invalid_argument("usage: random_checkpoint MODEL OUTPUT [HOLE]");
    let [model, output, hole @ ..] = arguments else { return Err(usage()) };
    let config = match model.as_str() {
        "medium" => ModelConfig::from_json(MEDIUM.as_bytes())?,
        name => ModelConfig::preset(name).ok_or_else(usage)?,
    };
    let hole = hole.first().map_or(Ok(0), |n| n.parse()).map_err(|_| usage())?;
    let io = |e: std::io::Error| Error::invalid_argument(format!("{output}: {e}."));
    let folder = Path::new(output);
    let quantized = folder.join("quantized");
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(io)?;
    }
    std::fs::create_dir_all(&quantized).map_err(io)?;
    let json = serde_json::to_vec_pretty(&config).map_err(|e| Error::invalid_config(e.to_string()))?;
    std::fs::write(folder.join("config.json"), &json).map_err(io)?;
    let checkpoint = folder.join("pytorch_model.bin");
    big_checkpoint::write(&checkpoint, &config, 2026, hole, 64).map_err(io)?;
    let mut source = PytorchFile::open(&checkpoint, Some(PartialConfig::from_json(&json)?))?;
    write_folder(&mut source, Quantization::Q4, None, &quantized, SHARD_BYTES, |_| {})?;
    if model == "medium" && hole == 0 {
        let sharded = folder.join("sharded");
        std::fs::create_dir(&sharded).map_err(io)?;
        write_folder(&mut source, Quantization::Q4, None, &sharded, SMALL_SHARD, |_| {})?;
        // The same weights, but laid out as torch.save never does.
        big_checkpoint::write(&folder.join("unaligned.bin"), &config, 2026, 0, 4).map_err(io)?;
    }
    Ok(())
}
