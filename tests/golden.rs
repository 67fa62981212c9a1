//! The embedded model against PyTorch's results for it in float32 (tests/fixtures/embedded/golden.json).
//!
//! The original checkpoint is not in the repository: the float32 comparison runs if TOKENFORMER_CHECKPOINT names
//! it. Only scripts/embed-model changes what is shipped, and it compares that, too.

use crate::common::embedded::{self, Embedded};
use crate::common::golden::{CHARACTERS, Scores, difference};
use serde_json::Value;
use std::path::Path;
use tokenformer_web::checkpoint::TableSource;
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile, read};
use tokenformer_web::config::PartialConfig;
use tokenformer_web::reference::Reference;
use tokenformer_web::tokenizer::Tokenizer;

fn facts() -> Embedded {
    Embedded::read().expect("embedded.js")
}

fn golden() -> Value {
    serde_json::from_slice(&read(&embedded::golden()).expect("golden.json")).expect("JSON")
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(&read(&facts().folder().join("tokenizer.json")).expect("file")).expect("tokenizer")
}

fn load(source: &mut impl TableSource) -> Reference {
    Reference::load(source, false).expect("model")
}

fn scores(model: &mut Reference) -> Scores {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/tokenformer_eval/data/northanger_abbey.txt");
    let text = String::from_utf8(read(&book).expect("text")).expect("UTF-8");
    Scores::of(model, &tokenizer(), &text, CHARACTERS).expect("scores")
}

#[test]
#[ignore = "needs the original checkpoint: TOKENFORMER_CHECKPOINT"]
fn float32_agrees_with_pytorch() {
    let path = std::env::var("TOKENFORMER_CHECKPOINT").expect("TOKENFORMER_CHECKPOINT");
    let config = facts().folder().join("config.json");
    let config = PartialConfig::from_json(&read(&config).expect("config")).expect("config");
    let mut model = load(&mut PytorchFile::open(Path::new(&path), Some(config)).expect("checkpoint"));
    let golden = golden();
    let got = scores(&mut model);
    assert_eq!(got.tokens() as u64, golden["perplexity"]["tokens_scored"].as_u64().expect("count"));
    let (got, want) = (got.perplexity(), golden["perplexity"]["value"].as_f64().expect("value"));
    assert!((got / want - 1.0).abs() < 1e-4, "perplexity {got} instead of {want}");
    assert_eq!(difference(&mut model, &tokenizer(), &golden).expect("compared"), None);
}

#[test]
#[ignore = "scores a text for a minute and a half: with scripts/test full"]
fn what_is_shipped_stays_near_to_float32() {
    let Embedded { perplexity: measured, perplexity_limit: limit, .. } = facts();
    let mut model = load(&mut ModelFolder::open(&facts().folder()).expect("folder"));
    let want = golden()["perplexity"]["value"].as_f64().expect("value");
    let got = scores(&mut model).perplexity();
    assert!(got < want * (1.0 + limit), "perplexity {got} instead of {want}");
    assert!((got / measured - 1.0).abs() < 1e-4, "perplexity {got} instead of the {measured} of embedded.js");
}
