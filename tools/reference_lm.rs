//! The CPU reference, in float32, behind a pipe: what evaluations compare the browser with (eval/).
//!
//! usage: cargo run --release --example reference_lm -- MODEL
//!
//! MODEL is a pytorch_model.bin (its config.json and tokenizer.json beside it) or a model folder of any kind. Prints
//!
//!   {"ready": {"id", "contextLength", "vocab", "quantization"}}
//!
//! and then answers each line of its input with one of its output:
//!
//!   {"encode": ["text", …]}                           {"ids": [[…], …]}
//!   {"score": [{"context": [ids], "text": [ids]}, …]} {"scores": [{"tokenIds", "logprobs", "isGreedy", "perplexity"}, …]}
//!   {"complete": {"prompt": [ids], "maxTokens", …}}   {"text": "…"}
//!   whatever fails                                    {"error": {"code", "message", "hint"}}

use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile, read};
use tokenformer_web::config::PartialConfig;
use tokenformer_web::engine::{AbortFlag, Backend};
use tokenformer_web::error::{Error, Result};
use tokenformer_web::generate::{GenerateOptions, Generation, Model, Prompt, ScoreItem};
use tokenformer_web::reference::{Reference, ReferenceEngine};
use tokenformer_web::sampling::SamplingOptions;
use tokenformer_web::tokenizer::Tokenizer;

/// A line of the input.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Request {
    Encode(Vec<String>),
    Score(Vec<Item>),
    Complete(Complete),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    context: Vec<u32>,
    text: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Complete {
    prompt: Vec<u32>,
    max_tokens: usize,
    temperature: f64,
    top_p: f64,
    min_p: f64,
    repetition_penalty: f64,
    top_k: u32,
    seed: u64,
    stop: Vec<String>,
}

impl Default for Complete {
    fn default() -> Self {
        let (prompt, stop) = (Vec::new(), Vec::new());
        let (max_tokens, temperature, top_p) = (256, 0.8, 0.95); // the module's
        Self { prompt, max_tokens, temperature, top_p, min_p: 0.0, repetition_penalty: 1.0, top_k: 0, seed: 0, stop }
    }
}

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("reference_lm: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| Error::invalid_argument("usage: reference_lm MODEL"))?;
    let (mut model, quantization) = load(Path::new(&path))?;
    let config = model.backend().config();
    let (vocab, context_length) = (config.padded_vocab_size, model.backend().context_length());
    let ready = json!({ "id": path, "contextLength": context_length, "vocab": vocab, "quantization": quantization });
    let io = |e: std::io::Error| Error::invalid_argument(format!("The pipe broke: {e}."));
    let mut output = std::io::stdout();
    writeln!(output, "{}", json!({ "ready": ready })).map_err(io)?;
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&mut model, &line.map_err(io)?)
            .unwrap_or_else(|e| json!({ "error": { "code": e.code.as_str(), "message": e.message, "hint": e.hint } }));
        writeln!(output, "{answer}").map_err(io)?;
    }
    Ok(())
}

fn load(path: &Path) -> Result<(Model<ReferenceEngine>, &'static str)> {
    let checkpoint = if path.is_dir() { path.join("pytorch_model.bin") } else { path.to_owned() };
    let tokenizer = Tokenizer::from_json(&read(&checkpoint.with_file_name("tokenizer.json"))?)?;
    let (reference, quantization) = if checkpoint.exists() {
        let config = PartialConfig::from_json(&read(&checkpoint.with_file_name("config.json"))?)?;
        (Reference::load(&mut PytorchFile::open(&checkpoint, Some(config))?, false)?, "f32")
    } else {
        let mut folder = ModelFolder::open(path)?;
        let quantization = folder.quantization.as_str();
        (Reference::load(&mut folder, false)?, quantization)
    };
    let context_length = reference.config().default_context_length();
    Ok((Model::new(ReferenceEngine::new(reference, context_length), Some(tokenizer))?, quantization))
}

fn answer(model: &mut Model<ReferenceEngine>, line: &str) -> Result<Value> {
    let request = serde_json::from_str(line).map_err(|e| Error::invalid_argument(format!("No request: {e}.")))?;
    Ok(match request {
        Request::Encode(texts) => {
            let ids: Result<Vec<_>> = texts.iter().map(|text| model.tokenizer()?.encode(text)).collect();
            json!({ "ids": ids? })
        }
        Request::Score(items) => {
            let item = |Item { context, text }| ScoreItem { context: Prompt::Ids(context), text: Prompt::Ids(text) };
            let items: Vec<_> = items.into_iter().map(item).collect();
            json!({ "scores": pollster::block_on(model.score(&items, &AbortFlag::default()))? })
        }
        Request::Complete(c) => {
            // As JavaScript passes them: so they are brought into the ranges of 32 bits as a browser's are.
            let options = json!({
                "temperature": c.temperature,
                "topK": c.top_k,
                "topP": c.top_p,
                "minP": c.min_p,
                "repetitionPenalty": c.repetition_penalty,
                "seed": c.seed,
            });
            let unusable = |e| Error::invalid_argument(format!("No options: {e}."));
            let sampling: SamplingOptions = serde_json::from_value(options).map_err(unusable)?;
            let options = GenerateOptions { max_tokens: c.max_tokens, sampling, stop: c.stop, ..Default::default() };
            let mut generation = Generation::start(model, &Prompt::Ids(c.prompt), options, AbortFlag::default())?;
            while pollster::block_on(generation.next(model))?.is_some() {}
            json!({ "text": generation.result().text })
        }
    })
}
