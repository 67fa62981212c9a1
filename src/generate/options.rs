//! What a caller asks of a generation.

use crate::error::{Error, Result};
use crate::sampling::SamplingOptions;

/// Text, or token ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// Encoded by the model's tokenizer; `""` means end-of-text as a beginning.
    Text(String),
    /// Taken as they are.
    Ids(Vec<u32>),
}

/// Options of one generation.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// Most tokens to write; at least 1.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// The text ends before the first of these.
    pub stop: Vec<String>,
    /// Alternatives to report with each token, 0 to 20; 0 reports no log-probabilities at all.
    pub logprobs: usize,
    /// A text prompt that ends in a space is read without it, and the first token is one that begins with it.
    pub heal: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { max_tokens: 256, sampling: SamplingOptions::default(), stop: Vec::new(), logprobs: 0, heal: true }
    }
}

impl GenerateOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `invalid-argument` that names the option as JavaScript spells it.
    pub fn validate(&self) -> Result<()> {
        if self.max_tokens == 0 {
            return Err(Error::invalid_argument("maxTokens is 0; it must be at least 1."));
        }
        if self.logprobs > 20 {
            return Err(Error::invalid_argument(format!("logprobs is {}; it must be at most 20.", self.logprobs)));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::invalid_argument("stop holds an empty string, which would end every text."));
        }
        self.sampling.validate()
    }
}
