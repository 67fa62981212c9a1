//! The embedded model against what PyTorch measured of it in float32 (tests/fixtures/embedded/golden.json).
//!
//! The original checkpoint (76 MB) is not in the repository: the float32 comparison runs where
//! TOKENFORMER_CHECKPOINT names it. What is shipped is compared always.

mod common;

use common::fixture;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokenformer_web::checkpoint::TableSource;
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile, read};
use tokenformer_web::config::PartialConfig;
use tokenformer_web::reference::Reference;
use tokenformer_web::sampling::{LogProbs, best};
use tokenformer_web::tokenizer::Tokenizer;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/tokenformer-38m-gutenberg")
}

fn golden() -> Value {
    serde_json::from_slice(&read(&fixture("embedded").join("golden.json")).expect("golden.json")).expect("JSON")
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(&read(&shipped().join("tokenizer.json")).expect("file")).expect("tokenizer")
}

fn load(source: &mut impl TableSource) -> Reference {
    Reference::load(source, false).expect("model")
}

/// Perplexity as golden.json defines it, over the first `windows` windows.
fn perplexity(model: &mut Reference, windows: usize) -> (f64, usize) {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/tokenformer_eval/data/northanger_abbey.txt");
    let text = String::from_utf8(read(&book).expect("text")).expect("UTF-8");
    let text: String = text.chars().take(40_000).collect();
    let ids = tokenizer().encode(&text).expect("ids");
    let vocab = model.config().padded_vocab_size;
    let (mut sum, mut n) = (0.0, 0);
    for window in ids.chunks(512).take(windows) {
        model.truncate(0);
        let h = model.forward(&window[..window.len() - 1], false).expect("forward").last;
        for (row, id) in model.logits(&h).chunks(vocab).zip(&window[1..]) {
            sum -= LogProbs::new(row).of(*id);
            n += 1;
        }
    }
    ((sum / n as f64).exp(), n)
}

#[test]
#[ignore = "needs the original checkpoint: TOKENFORMER_CHECKPOINT"]
fn float32_agrees_with_pytorch() {
    let path = std::env::var("TOKENFORMER_CHECKPOINT").expect("TOKENFORMER_CHECKPOINT");
    let path = Path::new(&path);
    let config = PartialConfig::from_json(&read(&shipped().join("config.json")).expect("config")).expect("config");
    let mut model = load(&mut PytorchFile::open(path, Some(config)).expect("checkpoint"));
    let golden = golden();
    let (got, n) = perplexity(&mut model, usize::MAX);
    assert_eq!(n as u64, golden["perplexity"]["tokens_scored"].as_u64().expect("count"));
    let want = golden["perplexity"]["value"].as_f64().expect("value");
    assert!((got / want - 1.0).abs() < 1e-4, "perplexity {got} instead of {want}");
    let d = model.config().hidden_size;
    for case in golden["cases"].as_array().expect("cases") {
        let numbers = |key: &str| -> Vec<f64> {
            case[key].as_array().expect(key).iter().map(|v| v.as_f64().expect("number")).collect()
        };
        let ids = |key: &str| -> Vec<u32> { numbers(key).into_iter().map(|v| v as u32).collect() };
        let (prompt, want, margins) = (ids("prompt_ids"), ids("greedy"), numbers("margins"));
        assert_eq!(tokenizer().encode(case["prompt"].as_str().expect("prompt")).expect("ids"), prompt);
        // Teacher-forced: each id must be the best after the ids that PyTorch chose.
        model.truncate(0);
        let h = model.forward(&[prompt.clone(), want.clone()].concat(), false).expect("forward").last;
        for (i, (id, margin)) in want.iter().zip(margins).enumerate() {
            let at = (prompt.len() - 1 + i) * d;
            let logits = model.logits(&h[at..at + d]);
            let got = best(logits[..tokenizer().size()].iter().copied());
            assert!(got == *id || margin < 0.001, "{}: token {i} is {got}, not {id}", case["prompt"]);
        }
    }
}

#[test]
fn what_is_shipped_stays_within_one_percent() {
    let mut model = load(&mut ModelFolder::open(&shipped()).expect("folder"));
    let want = golden()["perplexity"]["value"].as_f64().expect("value");
    let (got, _) = perplexity(&mut model, usize::MAX);
    // Rounding alone loses 1.5 %.
    assert!(got < want * 1.01, "perplexity {got} instead of {want}");
}
