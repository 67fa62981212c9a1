//! Sampling options and their ranges.

use crate::error::{Error, Result};
use std::sync::Arc;

/// How the next token is chosen. Defaults are those of the public interface.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// Divides the logits; 0 is greedy. At least 0.
    pub temperature: f32,
    /// Keep the k best; 0 is off.
    pub top_k: u32,
    /// Keep the smallest set of best tokens that holds this probability; in (0, 1], 1 is off.
    pub top_p: f32,
    /// Drop tokens less probable than this share of the best one; in [0, 1), 0 is off.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens of prompt and output (CTRL, Keskar et
    /// al. 2019); above 0, 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from tokens that the output holds; in [−2, 2].
    pub presence_penalty: f32,
    /// Subtracted for each time that the output holds the token; in [−2, 2].
    pub frequency_penalty: f32,
    /// Added to the logits of single tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Key of the random numbers; below 2⁵³.
    pub seed: u64,
    /// The ids that the completion's first token may be, each with true; `None`: any.
    pub first: Option<Arc<[bool]>>,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 0,
            top_p: 0.95,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            first: None,
        }
    }
}

/// Below this temperature any two different logits are too far apart for the second to be drawn, and quotients
/// could leave the range of f32.
const COLDEST: f32 = 1e-30;

impl SamplingOptions {
    /// True if the best token is always chosen and nothing is drawn.
    pub fn is_greedy(&self) -> bool {
        self.temperature < COLDEST || self.top_k == 1
    }

    /// May the completion's token with this index have this id?
    pub fn allows(&self, index: u32, id: u32) -> bool {
        let first = self.first.as_ref().filter(|_| index == 0);
        first.is_none_or(|first| first.get(id as usize).copied().unwrap_or(false))
    }

    /// Brings values that JavaScript holds in 64 bits into the ranges of 32: 0.99999999 must not become 1 where 1 is
    /// not allowed, nor 1e-50 become 0.
    #[must_use]
    pub fn from_f64(temperature: f64, top_p: f64, min_p: f64, repetition_penalty: f64) -> Self {
        // What is out of range stays so, for `validate` to name it.
        let keep = |x: f64, is_allowed: bool, least: f32, most: f32| {
            if is_allowed { x.clamp(least.into(), most.into()) as f32 } else { x as f32 }
        };
        let below_one = 1.0 - f32::EPSILON / 2.0;
        Self {
            temperature: keep(temperature, temperature >= 0.0 && temperature.is_finite(), 0.0, f32::MAX),
            top_p: keep(top_p, top_p > 0.0, f32::MIN_POSITIVE, f32::MAX),
            min_p: keep(min_p, min_p < 1.0, f32::MIN, below_one),
            repetition_penalty: keep(
                repetition_penalty,
                repetition_penalty > 0.0 && repetition_penalty.is_finite(),
                f32::MIN_POSITIVE,
                f32::MAX,
            ),
            ..Self::default()
        }
    }

    /// Checks every range; NaN is in none.
    ///
    /// # Errors
    /// `invalid-argument` that names the option as JavaScript spells it.
    pub fn validate(&self) -> Result<()> {
        let check = |ok: bool, name: &str, range: &str, value: f32| {
            let message = || format!("{name} is {value}; it must be {range}.");
            if ok { Ok(()) } else { Err(Error::invalid_argument(message())) }
        };
        let penalty = -2.0..=2.0;
        check(self.temperature >= 0.0 && self.temperature.is_finite(), "temperature", "at least 0", self.temperature)?;
        check(self.top_p > 0.0 && self.top_p <= 1.0, "topP", "above 0 and at most 1", self.top_p)?;
        check((0.0..1.0).contains(&self.min_p), "minP", "at least 0 and below 1", self.min_p)?;
        let repetition = self.repetition_penalty;
        check(repetition > 0.0 && repetition.is_finite(), "repetitionPenalty", "above 0", repetition)?;
        check(penalty.contains(&self.presence_penalty), "presencePenalty", "between -2 and 2", self.presence_penalty)?;
        let frequency = self.frequency_penalty;
        check(penalty.contains(&frequency), "frequencyPenalty", "between -2 and 2", frequency)?;
        for (id, bias) in &self.logit_bias {
            check(bias.is_finite(), &format!("logitBias of token {id}"), "a finite number", *bias)?;
        }
        if self.seed >= 1 << 53 {
            return Err(Error::invalid_argument(format!("seed is {}; it must be below 2^53.", self.seed)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_near_the_edges_stay_inside() {
        for (temperature, top_p, min_p, repetition) in
            [(1e39, 1e-50, 0.999_999_999, 1e-50), (1e-45, 1.0 - 1e-12, 1e-60, 1e39), (0.0, 1.0, 0.0, 1.0)]
        {
            let o = SamplingOptions::from_f64(temperature, top_p, min_p, repetition);
            assert!(o.validate().is_ok(), "{o:?}");
        }
        for (temperature, top_p, min_p, repetition) in
            [(-1e-50, 0.0, 0.0, 1.0), (0.0, -1e-50, 0.0, 1.0), (0.0, 1.0, 1.0, 1.0), (0.0, 1.0, 0.0, 0.0)]
        {
            let o = SamplingOptions::from_f64(temperature, top_p, min_p, repetition);
            assert!(temperature < 0.0 || o.validate().is_err(), "{o:?}");
        }
        assert!(SamplingOptions::from_f64(f64::NAN, 1.0, 0.0, 1.0).validate().is_err());
    }

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
