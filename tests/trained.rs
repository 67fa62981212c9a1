//! A model made by train/, against PyTorch's results for it in float32 (golden.json).
//!
//! The short tier has a small one in tests/fixtures/trained; TOKENFORMER_TRAINED names one that was just trained.

use crate::common::fixture;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile, read};
use tokenformer_web::checkpoint::layout::Quantization;
use tokenformer_web::checkpoint::write::write_folder;
use tokenformer_web::config::PartialConfig;
use tokenformer_web::reference::Reference;
use tokenformer_web::sampling::{LogProbs, best};
use tokenformer_web::tokenizer::Tokenizer;

/// A different choice is no error if the best two logits are closer than this.
const MARGIN: f64 = 0.001;

struct Trained {
    folder: PathBuf,
    golden: Value,
    tokenizer: Tokenizer,
}

impl Trained {
    fn open(folder: PathBuf) -> Self {
        let file = |name: &str| read(&folder.join(name)).expect(name);
        let golden = serde_json::from_slice(&file("golden.json")).expect("JSON");
        let tokenizer = Tokenizer::from_json(&file("tokenizer.json")).expect("tokenizer");
        Self { folder, golden, tokenizer }
    }

    fn checkpoint(&self) -> PytorchFile<std::fs::File> {
        let config = PartialConfig::from_json(&read(&self.folder.join("config.json")).expect("file")).expect("config");
        PytorchFile::open(&self.folder.join("pytorch_model.bin"), Some(config)).expect("checkpoint")
    }

    /// Perplexity as golden.json defines it.
    fn perplexity(&self, model: &mut Reference) -> f64 {
        let perplexity = &self.golden["perplexity"];
        let about = perplexity["text"].as_str().expect("text");
        let characters: usize = about.split(' ').nth(1).expect("count").replace(',', "").parse().expect("a number");
        let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/tokenformer_eval/data/northanger_abbey.txt");
        assert!(about.ends_with("northanger_abbey.txt"), "{about}");
        let text = String::from_utf8(read(&book).expect("text")).expect("UTF-8");
        let text: String = text.chars().take(characters).collect();
        let window = perplexity["window"].as_u64().expect("window") as usize;
        let context = model.config().max_position_embeddings;
        let vocab = model.config().padded_vocab_size;
        let (mut sum, mut n) = (0.0, 0);
        for ids in self.tokenizer.encode(&text).expect("ids").chunks(window.min(context)) {
            model.truncate(0);
            let h = model.forward(&ids[..ids.len() - 1], false).expect("forward").last;
            for (row, id) in model.logits(&h).chunks(vocab).zip(&ids[1..]) {
                sum -= LogProbs::new(row).of(*id);
                n += 1;
            }
        }
        assert_eq!(n, perplexity["tokens_scored"].as_u64().expect("count"));
        (sum / n as f64).exp()
    }

    /// Each id that PyTorch chose must be the best one after those before it.
    fn same_choices(&self, model: &mut Reference) {
        let (d, real) = (model.config().hidden_size, self.tokenizer.size());
        let cases = self.golden["cases"].as_array().expect("cases");
        assert!(!cases.is_empty());
        for case in cases {
            let numbers = |key: &str| -> Vec<f64> {
                case[key].as_array().expect(key).iter().map(|v| v.as_f64().expect("number")).collect()
            };
            let ids = |key: &str| -> Vec<u32> { numbers(key).into_iter().map(|v| v as u32).collect() };
            let (prompt, want, margins) = (ids("prompt_ids"), ids("greedy"), numbers("margins"));
            assert_eq!(self.tokenizer.encode(case["prompt"].as_str().expect("prompt")).expect("ids"), prompt);
            model.truncate(0);
            let h = model.forward(&[prompt.clone(), want.clone()].concat(), false).expect("forward").last;
            for (i, (id, margin)) in want.iter().zip(margins).enumerate() {
                let at = (prompt.len() - 1 + i) * d;
                let got = best(model.logits(&h[at..at + d])[..real].iter().copied());
                assert!(got == *id || margin < MARGIN, "{}: token {i} is {got}, not {id}", case["prompt"]);
            }
        }
    }

    fn agrees_with_pytorch(&self) {
        let mut model = Reference::load(&mut self.checkpoint(), false).expect("model");
        let want = self.golden["perplexity"]["value"].as_f64().expect("value");
        let got = self.perplexity(&mut model);
        assert!((got / want - 1.0).abs() < 1e-4, "perplexity {got} instead of {want}");
        self.same_choices(&mut model);
    }

    /// The last training steps were on the grid of q4, so that quantizing to q4 costs next to nothing.
    fn loses_little_as_q4(&self) {
        let folder = std::env::temp_dir().join(format!("tokenformer-trained-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut checkpoint = self.checkpoint();
        write_folder(&mut checkpoint, Quantization::Q4, None, &folder, u64::MAX, |_| {}).expect("conversion");
        let mut model = Reference::load(&mut ModelFolder::open(&folder).expect("folder"), false).expect("model");
        let want = self.golden["perplexity"]["value"].as_f64().expect("value");
        let got = self.perplexity(&mut model);
        std::fs::remove_dir_all(&folder).expect("removed");
        assert!(got < want * 1.02, "perplexity {got} instead of {want}");
    }
}

#[test]
fn the_small_one_agrees_with_pytorch() {
    let trained = Trained::open(fixture("trained"));
    trained.agrees_with_pytorch();
    trained.loses_little_as_q4();
}

#[test]
#[ignore = "needs a model that was just trained: TOKENFORMER_TRAINED"]
fn a_new_one_agrees_with_pytorch() {
    let folder = std::env::var("TOKENFORMER_TRAINED").expect("TOKENFORMER_TRAINED");
    let trained = Trained::open(PathBuf::from(folder));
    trained.agrees_with_pytorch();
    trained.loses_little_as_q4();
}
