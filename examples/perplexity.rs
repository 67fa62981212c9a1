//! Perplexity of a model on a text, by the CPU reference: consecutive windows of 512 tokens, each scored
//! alone from its second token on, over all V logits.
//!
//! usage: cargo run --release --example perplexity -- MODEL TEXT TOKENIZER [CHARACTERS] [--golden GOLDEN]
//!
//! MODEL is a pytorch_model.bin or a model folder; only the first CHARACTERS characters of TEXT are read. With a
//! golden.json its greedy ids are compared first; it fails where the model has others. Prints
//!
//!   { tokensScored, bytes, perplexity, windows: [[nats, tokens], …] }

#[path = "../tests/common/golden.rs"]
#[allow(dead_code)] // the tests use more of it
mod golden;

use golden::{Scores, difference};
use serde_json::json;
use std::path::Path;
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile, read};
use tokenformer_web::config::PartialConfig;
use tokenformer_web::error::{Error, Result};
use tokenformer_web::reference::Reference;
use tokenformer_web::tokenizer::Tokenizer;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("perplexity: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let [model, text, tokenizer, rest @ ..] = arguments else {
        return Err(Error::invalid_argument("usage: perplexity MODEL TEXT TOKENIZER [CHARACTERS] [--golden GOLDEN]"));
    };
    let characters = rest.first().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let model = Path::new(model);
    let mut model = if model.is_dir() {
        Reference::load(&mut ModelFolder::open(model)?, true)?
    } else {
        let config = PartialConfig::from_json(&read(&model.with_file_name("config.json"))?)?;
        Reference::load(&mut PytorchFile::open(model, Some(config))?, false)?
    };
    let tokenizer = Tokenizer::from_json(&read(Path::new(tokenizer))?)?;
    if let Some(at) = rest.iter().position(|argument| argument == "--golden") {
        let path = rest.get(at + 1).ok_or_else(|| Error::invalid_argument("--golden names no file."))?;
        let golden = serde_json::from_slice(&read(Path::new(path))?)
            .map_err(|e| Error::invalid_argument(format!("{path} cannot be read: {e}.")))?;
        if let Some(difference) = difference(&mut model, &tokenizer, &golden)? {
            return Err(Error::invalid_argument(format!("The model does not write what {path} says. {difference}.")));
        }
    }
    let text = String::from_utf8_lossy(&read(Path::new(text))?).into_owned();
    let scores = Scores::of(&mut model, &tokenizer, &text, characters)?;
    let (tokens, perplexity) = (scores.tokens(), scores.perplexity());
    println!(
        "{}",
        json!({ "tokensScored": tokens, "bytes": scores.bytes, "perplexity": perplexity, "windows": scores.windows })
    );
    Ok(())
}
