//! Writes what the browser tests compare with: model folders of every fixture at every precision, and
//! what the CPU reference computes from the same dequantized tables.
//!
//! usage: cargo run --example oracle -- OUTPUT
//!
//!   OUTPUT/fixtures/NAME-Q/             a model folder, as `convert` writes it
//!   OUTPUT/fixtures/NAME-Q/oracle.json  { inputIds, lengths, logits: [[V] per length], expected: the same by the
//!                                         published code in float64, steps: last logits of single steps }
//!   OUTPUT/greedy.json                  [{ prompt, promptIds, ids, hasEnded, margins }]: the embedded model, 48 tokens
//!                                         each, less where the text has ended
//!   OUTPUT/inside.json                  { text, word, token, top, up, down, plain, changed }: what wrote a word of a
//!                                         text with the embedded model, and the text as it is and without that
//!                                         parameter token, each { perplexity, ids, margins }

#[path = "../tests/common/embedded.rs"]
#[allow(dead_code)] // the tests use more of it
mod embedded;

use embedded::Embedded;
use serde_json::{Value, json};
use std::path::Path;
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile, read};
use tokenformer_web::checkpoint::layout::Quantization;
use tokenformer_web::checkpoint::write::write_folder;
use tokenformer_web::config::PartialConfig;
use tokenformer_web::engine::AbortFlag;
use tokenformer_web::error::{Error, Result};
use tokenformer_web::generate::{END_OF_TEXT, InspectOptions, Model, Prompt, ScoreItem};
use tokenformer_web::packs::{Ablation, ParameterToken};
use tokenformer_web::pattention::Pattention;
use tokenformer_web::reference::{Reference, ReferenceEngine};
use tokenformer_web::tokenizer::Tokenizer;

const FIXTURES: [&str; 4] = ["head64", "head80", "head96", "uneven-slots"];
/// Tokens of each greedy continuation.
const TOKENS: usize = 48;
/// The initial text of the page that looks inside.
const TEXT: &str = include_str!("../www/page/inspect/sample.js");
/// Its word "small", after "a", and a parameter token that fires on articles and similar words, and pushes away from
/// another one.
const WORD: usize = 17;
const TOKEN: ParameterToken = ParameterToken { layer: 9, kind: Pattention::Mlp, slot: 1664, pack: None };

fn main() -> std::process::ExitCode {
    let Some(output) = std::env::args().nth(1) else {
        eprintln!("usage: oracle OUTPUT");
        return std::process::ExitCode::from(2);
    };
    match run(Path::new(&output)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("oracle: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn io(e: std::io::Error) -> Error {
    Error::invalid_argument(format!("A file cannot be written: {e}."))
}

fn run(output: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in FIXTURES {
        for quantization in Quantization::ALL {
            let folder = output.join(format!("fixtures/{name}-{}", quantization.as_str()));
            if folder.exists() {
                std::fs::remove_dir_all(&folder).map_err(io)?;
            }
            std::fs::create_dir_all(&folder).map_err(io)?;
            fixture(&root.join("tests/fixtures").join(name), quantization, &folder)?;
        }
    }
    std::fs::write(output.join("greedy.json"), greedy()?.to_string()).map_err(io)?;
    std::fs::write(output.join("inside.json"), pollster::block_on(inside())?.to_string()).map_err(io)
}

fn fixture(source: &Path, quantization: Quantization, folder: &Path) -> Result<()> {
    let config = PartialConfig::from_json(&read(&source.join("config.json"))?)?;
    let mut checkpoint = PytorchFile::open(&source.join("pytorch_model.bin"), Some(config))?;
    write_folder(&mut checkpoint, quantization, None, folder, u64::MAX, |_| {})?;
    let mut model = Reference::load(&mut ModelFolder::open(folder)?, true)?;
    let vocab = model.config().padded_vocab_size;
    let file = read(&source.join("expected.safetensors"))?;
    let file = safetensors::SafeTensors::deserialize(&file).map_err(|e| Error::unsupported(e.to_string()))?;
    let tensor = |name: &str| file.tensor(name).map_err(|e| Error::unsupported(e.to_string()));
    let ids: Vec<u32> = tensor("input_ids")?.data().as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    let expected: Vec<f32> =
        tensor("logits")?.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let lengths = [1, 2, 31, ids.len()];
    let h = model.forward(&ids, false)?.last;
    let logits = model.logits(&h);
    let rows = |all: &[f32]| -> Vec<Value> { lengths.iter().map(|n| json!(all[(n - 1) * vocab..n * vocab])).collect() };
    let oracle = json!({ "inputIds": ids, "lengths": lengths, "logits": rows(&logits), "expected": rows(&expected) });
    std::fs::write(folder.join("oracle.json"), oracle.to_string()).map_err(io)
}

fn greedy() -> Result<Value> {
    let folder = Embedded::read()?.folder();
    let tokenizer = Tokenizer::from_json(&read(&folder.join("tokenizer.json"))?)?;
    let mut model = Reference::load(&mut ModelFolder::open(&folder)?, true)?;
    let golden: Value =
        serde_json::from_slice(&read(&embedded::golden())?).map_err(|e| Error::unsupported(e.to_string()))?;
    let mut cases = Vec::new();
    for case in golden["cases"].as_array().into_iter().flatten() {
        let prompt = case["prompt"].as_str().unwrap_or_default();
        let prompt_ids = tokenizer.encode(prompt)?;
        let (mut ids, mut margins) = (Vec::new(), Vec::new());
        model.truncate(0);
        let mut next = prompt_ids.clone();
        let mut has_ended = false;
        while ids.len() < TOKENS {
            let h = model.forward(&next, false)?.last;
            let d = model.config().hidden_size;
            let logits = model.logits(&h[h.len() - d..]);
            let (id, margin) = best(&logits[..tokenizer.size()]);
            has_ended = id == END_OF_TEXT;
            if has_ended {
                break;
            }
            ids.push(id);
            margins.push(margin);
            next = vec![id];
        }
        cases.push(
            json!({ "prompt": prompt, "promptIds": prompt_ids, "ids": ids, "hasEnded": has_ended, "margins": margins }),
        );
    }
    Ok(Value::Array(cases))
}

async fn inside() -> Result<Value> {
    let folder = Embedded::read()?.folder();
    let tokenizer = Tokenizer::from_json(&read(&folder.join("tokenizer.json"))?)?;
    let text = TEXT.split('`').nth(1).ok_or_else(|| Error::invalid_argument("sample.js has no text."))?;
    let ids = tokenizer.encode(text)?;
    let real_ids = tokenizer.size();
    let reference = Reference::load(&mut ModelFolder::open(&folder)?, true)?;
    let mut model = Model::new(ReferenceEngine::new(reference, 1024), Some(tokenizer))?;
    let abort = AbortFlag::default();
    let options = InspectOptions {
        positions: Some(vec![WORD - 1]),
        layers: Some(vec![TOKEN.layer]),
        kinds: Some(vec![TOKEN.kind]),
        top: 8,
    };
    let fired = model.inspect(&Prompt::Ids(ids.clone()), &options, &abort).await?;
    let promotes = model.promotes(&TOKEN, &[], 10).await?;
    let mut versions = Vec::new();
    for ablations in [vec![], vec![Ablation { token: TOKEN, scale: 0.0 }]] {
        model.ablate(&ablations).await?;
        let item = ScoreItem { text: Prompt::Ids(ids.clone()), context: Prompt::Ids(Vec::new()) };
        let perplexity = model.score(&[item], &abort).await?.pop().and_then(|score| score.perplexity);
        let (mut all, mut margins) = (ids[..WORD].to_vec(), Vec::new());
        while margins.len() < TOKENS {
            let (id, margin) = best(&model.logits(&all, &abort).await?[..real_ids]);
            all.push(id);
            margins.push(margin);
        }
        versions.push(json!({ "perplexity": perplexity, "ids": all[WORD..], "margins": margins }));
    }
    let token = json!({ "layer": TOKEN.layer, "kind": TOKEN.kind.name(), "slot": TOKEN.slot });
    Ok(json!({
        "text": text, "word": WORD, "token": token, "top": fired[0].top, "up": promotes.up, "down": promotes.down,
        "plain": versions[0], "changed": versions[1],
    }))
}

/// The most probable id, and how far its logit is above the next.
fn best(logits: &[f32]) -> (u32, f32) {
    let (mut id, mut first, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (i, &x) in (0..).zip(logits) {
        if x > first {
            (id, first, second) = (i, x, first);
        } else if x > second {
            second = x;
        }
    }
    (id, first - second)
}
