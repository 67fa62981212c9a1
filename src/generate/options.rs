//! What a caller asks of a generation. Fields, defaults and ranges of `GenerateOptions` are generated from the table of
//! generate options (`www/lib/api/generate-options.js`) by `build.rs`.

use crate::error::{Error, Result};

/// Text, or token ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// Encoded by the model's tokenizer; `""` means end-of-text as a beginning.
    Text(String),
    /// Taken as they are.
    Ids(Vec<u32>),
}

include!(concat!(env!("OUT_DIR"), "/generate_options.rs"));

impl GenerateOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `invalid-argument` that names the option as JavaScript spells it.
    pub fn validate(&self) -> Result<()> {
        self.check()?;
        let (least, most) = (self.sampling.min_tokens, self.max_tokens);
        if least as usize > most {
            return Err(Error::invalid_argument(format!(
                "minTokens is {least}; it must be at most maxTokens, {most}."
            )));
        }
        self.sampling.validate()
    }
}
