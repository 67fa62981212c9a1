//! Writes the embedded model as a checkpoint of the published format, for tests that need one that can write: its
//! tables, dequantized and rounded to f16, with its config.json and tokenizer.json.
//!
//! usage: cargo run --example embedded_checkpoint -- OUTPUT

#[path = "../tests/common/big_checkpoint.rs"]
#[allow(dead_code)] // only its names and shapes are of use here
mod big_checkpoint;
#[path = "../tests/common/embedded.rs"]
#[allow(dead_code)] // the tests use more of it
mod embedded;
#[path = "../tests/common/torch_zip.rs"]
#[allow(dead_code)] // the tests use more of it
mod torch_zip;

use big_checkpoint::{key, shape};
use embedded::Embedded;
use std::path::Path;
use tokenformer_web::checkpoint::TableSource;
use tokenformer_web::checkpoint::files::{ModelFolder, transpose};
use tokenformer_web::checkpoint::layout::{Side, TensorId, tensors};
use tokenformer_web::error::{Error, Result};
use torch_zip::{Kind, Storage, Variant, View, archive};

fn main() -> std::process::ExitCode {
    let output = std::env::args().nth(1).ok_or_else(|| Error::invalid_argument("usage: embedded_checkpoint OUTPUT"));
    match output.and_then(|output| run(Path::new(&output))) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("embedded_checkpoint: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(output: &Path) -> Result<()> {
    let io = |e: std::io::Error| Error::invalid_argument(format!("{}: {e}.", output.display()));
    let embedded = Embedded::read()?.folder();
    let mut source = ModelFolder::open(&embedded)?;
    let config = source.config().clone();
    let (mut storages, mut views) = (Vec::new(), Vec::new());
    for id in tensors(&config) {
        let (table, stored, published) = (source.table(id)?, id.shape(&config), shape(id, &config));
        let mut values = match id {
            TensorId::Tokens { side: Side::Values, .. } => transpose(&table, stored.rows, stored.cols, stored.rows),
            _ => table,
        };
        values.truncate(published.iter().product()); // less the tokens that padding added
        views.push(View::new(&key(id, config.num_layers), storages.len(), 0, &published));
        storages.push(Storage { kind: Kind::F16, values });
    }
    std::fs::create_dir_all(output).map_err(io)?;
    let bytes = archive(&storages, &views, Variant::default());
    std::fs::write(output.join("pytorch_model.bin"), bytes).map_err(io)?;
    let json = serde_json::to_vec_pretty(&config).map_err(|e| Error::invalid_config(e.to_string()))?;
    std::fs::write(output.join("config.json"), json).map_err(io)?;
    std::fs::copy(embedded.join("tokenizer.json"), output.join("tokenizer.json")).map_err(io)?;
    Ok(())
}
