//! Sampling options. Their fields, defaults and ranges are generated from the table of generate options
//! (`www/lib/api/generate-options.js`) by `build.rs`.

use crate::error::Result;

include!(concat!(env!("OUT_DIR"), "/sampling_options.rs"));

/// End of text: ends a completion, and stands for an empty prompt.
pub const END_OF_TEXT: u32 = 0;

/// Below this temperature any two different logits are too far apart for the second to be drawn, and quotients
/// could leave the range of f32.
const COLDEST: f32 = 1e-30;

impl SamplingOptions {
    /// True if the best token is always chosen and nothing is drawn.
    pub fn is_greedy(&self) -> bool {
        self.temperature < COLDEST || self.top_k == 1
    }

    /// Do DRY's matches end at this token?
    pub fn breaks(&self, id: u32) -> bool {
        self.dry_breakers.as_ref().is_some_and(|ids| ids.get(id as usize) == Some(&true))
    }

    /// May the completion's token with this index have this id?
    pub fn allows(&self, index: u32, id: u32) -> bool {
        if id == END_OF_TEXT && index < self.min_tokens || self.bars.contains(&(index, id)) {
            return false;
        }
        let first = self.first.as_ref().filter(|_| index == 0);
        first.is_none_or(|first| first.get(id as usize).copied().unwrap_or(false))
    }

    /// Checks every range; NaN is in none.
    ///
    /// # Errors
    /// `invalid-argument` that names the option as JavaScript spells it.
    pub fn validate(&self) -> Result<()> {
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_values_are_named() {
        let ok = SamplingOptions::default();
        assert!(ok.validate().is_ok());
        for (bad, name) in [
            (SamplingOptions { temperature: -0.1, ..ok.clone() }, "temperature"),
            (SamplingOptions { temperature: f32::NAN, ..ok.clone() }, "temperature"),
            (SamplingOptions { top_p: 0.0, ..ok.clone() }, "topP"),
            (SamplingOptions { top_p: 1.1, ..ok.clone() }, "topP"),
            (SamplingOptions { min_p: 1.0, ..ok.clone() }, "minP"),
            (SamplingOptions { repetition_penalty: 0.0, ..ok.clone() }, "repetitionPenalty"),
            (SamplingOptions { presence_penalty: 2.1, ..ok.clone() }, "presencePenalty"),
            (SamplingOptions { frequency_penalty: f32::NAN, ..ok.clone() }, "frequencyPenalty"),
            (SamplingOptions { logit_bias: vec![(7, f32::INFINITY)], ..ok.clone() }, "logitBias of token 7"),
            (SamplingOptions { seed: 1 << 53, ..ok.clone() }, "seed"),
        ] {
            let e = bad.validate().expect_err(name);
            assert!(e.message.starts_with(name), "{e}");
        }
    }
}
