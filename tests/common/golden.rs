//! What golden.json defines: greedy ids, and perplexity over consecutive windows, each scored alone from its second
//! token on, over all V logits.

use serde_json::Value;
use tokenformer_web::error::{Error, Result};
use tokenformer_web::reference::Reference;
use tokenformer_web::sampling::{LogProbs, best};
use tokenformer_web::tokenizer::Tokenizer;

/// Tokens of a window.
const WINDOW: usize = 512;
/// Characters of golden.json's text.
pub const CHARACTERS: usize = 40_000;
/// If PyTorch's best two logits are closer than this, a different id is no error.
const MARGIN: f64 = 0.001;

/// How well a model predicts a text.
pub struct Scores {
    /// Nats and scored tokens of each window.
    pub windows: Vec<(f64, usize)>,
    /// Bytes of the text.
    pub bytes: usize,
}

impl Scores {
    /// Scores the first `characters` of `text`.
    pub fn of(model: &mut Reference, tokenizer: &Tokenizer, text: &str, characters: usize) -> Result<Self> {
        let text: String = text.chars().take(characters).collect();
        let ids = tokenizer.encode(&text)?;
        let vocab = model.config().padded_vocab_size;
        let mut windows = Vec::new();
        for window in ids.chunks(WINDOW).filter(|window| window.len() > 1) {
            model.truncate(0);
            let h = model.forward(&window[..window.len() - 1], false)?.last;
            let logits = model.logits(&h);
            let nats = logits.chunks(vocab).zip(&window[1..]).map(|(row, id)| -LogProbs::new(row).of(*id)).sum();
            windows.push((nats, window.len() - 1));
        }
        Ok(Self { windows, bytes: text.len() })
    }

    /// Tokens that were scored.
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(|(_, tokens)| tokens).sum()
    }

    /// Per token.
    pub fn perplexity(&self) -> f64 {
        let nats: f64 = self.windows.iter().map(|(nats, _)| nats).sum();
        (nats / self.tokens() as f64).exp()
    }
}

/// The first token that differs from PyTorch's, in words; each is predicted after PyTorch's own tokens.
pub fn difference(model: &mut Reference, tokenizer: &Tokenizer, golden: &Value) -> Result<Option<String>> {
    let numbers = |case: &Value, key: &str| -> Result<Vec<f64>> {
        let all = case[key].as_array().map(|all| all.iter().filter_map(Value::as_f64).collect());
        all.ok_or_else(|| Error::invalid_argument(format!("A case of golden.json has no {key}.")))
    };
    let cases = golden["cases"].as_array().filter(|cases| !cases.is_empty());
    for case in cases.ok_or_else(|| Error::invalid_argument("golden.json has no cases."))? {
        let ids = |key| Ok(numbers(case, key)?.into_iter().map(|id| id as u32).collect::<Vec<_>>());
        let (prompt, want, margins) = (ids("prompt_ids")?, ids("greedy")?, numbers(case, "margins")?);
        let text = case["prompt"].as_str().unwrap_or_default();
        let got = tokenizer.encode(text)?;
        if got != prompt {
            return Ok(Some(format!("{text:?} has the ids {got:?}, not {prompt:?}")));
        }
        model.truncate(0);
        let h = model.forward(&[prompt.clone(), want.clone()].concat(), false)?.last;
        let rows = h.chunks(model.config().hidden_size).skip(prompt.len() - 1);
        for (i, ((id, margin), row)) in want.iter().zip(margins).zip(rows).enumerate() {
            let got = best(model.logits(row)[..tokenizer.size()].iter().copied());
            if got != *id && margin >= MARGIN {
                return Ok(Some(format!("{text:?}: token {i} is {got}, not {id}")));
            }
        }
    }
    Ok(None)
}
