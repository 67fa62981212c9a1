//! Perplexity of a model on a text, by the CPU reference: consecutive windows of 512 tokens, each scored
//! alone from its second token on, over all V logits.
//!
//! usage: cargo run --release --example perplexity -- MODEL TEXT TOKENIZER [CHARACTERS]
//!
//! MODEL is a pytorch_model.bin or a model folder; only the first CHARACTERS characters of TEXT are read.

use std::path::Path;
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile, read};
use tokenformer_web::config::PartialConfig;
use tokenformer_web::error::{Error, Result};
use tokenformer_web::reference::Reference;
use tokenformer_web::sampling::LogProbs;
use tokenformer_web::tokenizer::Tokenizer;

const WINDOW: usize = 512;

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
        return Err(Error::invalid_argument("usage: perplexity MODEL TEXT TOKENIZER [CHARACTERS]"));
    };
    let characters = rest.first().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let model = Path::new(model);
    let mut model = if model.is_dir() {
        Reference::load(&mut ModelFolder::open(model)?, true)?
    } else {
        let config = PartialConfig::from_json(&read(&model.with_file_name("config.json"))?)?;
        Reference::load(&mut PytorchFile::open(model, Some(config))?, false)?
    };
    let text = String::from_utf8_lossy(&read(Path::new(text))?).into_owned();
    let text: String = text.chars().take(characters).collect();
    let ids = Tokenizer::from_json(&read(Path::new(tokenizer))?)?.encode(&text)?;
    let vocab = model.config().padded_vocab_size;
    let (mut sum, mut scored) = (0.0, 0);
    for window in ids.chunks(WINDOW) {
        model.truncate(0);
        let h = model.forward(&window[..window.len() - 1], false)?.last;
        for (row, id) in model.logits(&h).chunks(vocab).zip(&window[1..]) {
            sum -= LogProbs::new(row).of(*id);
            scored += 1;
        }
    }
    println!("{{\"tokensScored\": {scored}, \"perplexity\": {:.4}}}", (sum / f64::from(scored)).exp());
    Ok(())
}
