//! What options are read and checked with. The options themselves are in `www/lib/api/generate-options.js` and
//! `train-options.js`, from which `build.rs` generates the structs `SamplingOptions`, `GenerateOptions` and
//! `TrainOptions`.

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer};
use std::fmt::Display;

/// The largest of JavaScript's safe integers, 2⁵³ − 1.
const LARGEST_INTEGER: f64 = 9_007_199_254_740_991.0;

/// Which numbers an option takes.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The smallest, itself in the range unless `above_min`; infinite: any finite one.
    pub min: f64,
    /// The largest, itself in the range unless `below_max`; infinite: any finite one.
    pub max: f64,
    /// `min` is not in the range.
    pub above_min: bool,
    /// `max` is not in the range.
    pub below_max: bool,
}

impl Range {
    /// Is it finite and in the range?
    pub fn has(&self, x: f64) -> bool {
        let Self { min, max, above_min, below_max } = *self;
        x.is_finite() && (if above_min { x > min } else { x >= min }) && (if below_max { x < max } else { x <= max })
    }

    /// The nearest f32 in the range: 0.99999999 must not become 1 where 1 is not allowed, nor 1e-50 become 0. A value
    /// out of range stays out of it, for [`Self::check`] to name it.
    pub fn narrow(&self, x: f64) -> f32 {
        if !self.has(x) {
            return x as f32;
        }
        let (min, max) = (self.min as f32, self.max.min(f32::MAX.into()) as f32);
        // A GPU may treat subnormal numbers as 0.
        let least = if !self.above_min {
            min
        } else if min == 0.0 {
            f32::MIN_POSITIVE
        } else {
            min.next_up()
        };
        let most = if self.below_max { max.next_down() } else { max };
        (x as f32).clamp(least, most)
    }

    /// Refuses what is not in the range; `shown` is the value as it was given.
    ///
    /// # Errors
    /// `invalid-argument` that names the option as JavaScript spells it.
    pub fn check(&self, name: &str, shown: impl Display, x: f64) -> Result<()> {
        let message = || format!("{name} is {shown}; it must be {self}.");
        if self.has(x) { Ok(()) } else { Err(Error::invalid_argument(message())) }
    }
}

/// The range in words, as "above 0 and at most 1".
impl Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { min, max, above_min, below_max } = *self;
        let low = if above_min { "above" } else { "at least" };
        let high = if below_max { "below" } else { "at most" };
        match (min.is_finite(), max.is_finite()) {
            (true, true) if min < 0.0 && !above_min && !below_max => write!(f, "between {min} and {max}"),
            (true, true) => write!(f, "{low} {min} and {high} {max}"),
            (true, false) => write!(f, "{low} {min}"),
            (false, true) if max == LARGEST_INTEGER => f.write_str("below 2^53"),
            (false, true) => write!(f, "{high} {max}"),
            (false, false) => f.write_str("a finite number"),
        }
    }
}

/// Refuses texts that are empty.
///
/// # Errors
/// `invalid-argument`.
pub fn check_texts(name: &str, texts: &[String]) -> Result<()> {
    let message = || format!("{name} holds an empty string, which is in every text.");
    if texts.iter().any(String::is_empty) { Err(Error::invalid_argument(message())) } else { Ok(()) }
}

/// Refuses biases that are not finite.
///
/// # Errors
/// `invalid-argument`.
pub fn check_biases(name: &str, biases: &[(u32, f32)]) -> Result<()> {
    let Some((id, bias)) = biases.iter().find(|(_, bias)| !bias.is_finite()) else { return Ok(()) };
    Err(Error::invalid_argument(format!("{name} of token {id} is {bias}; it must be a finite number.")))
}

/// A number of JavaScript, as the nearest of a range.
///
/// # Errors
/// If it is no number.
pub fn read_f32<'de, D: Deserializer<'de>>(from: D, range: &Range) -> std::result::Result<f32, D::Error> {
    Ok(range.narrow(f64::deserialize(from)?))
}

/// An integer of JavaScript; the largest u32 for what is larger.
///
/// # Errors
/// If it is no number.
pub fn read_u32<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<u32, D::Error> {
    Ok(f64::deserialize(from)? as u32)
}

/// An integer of JavaScript; the largest usize for what is larger.
///
/// # Errors
/// If it is no number.
pub fn read_usize<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<usize, D::Error> {
    Ok(f64::deserialize(from)? as usize)
}

/// An integer of JavaScript, which keeps all its bits; 0 for undefined.
///
/// # Errors
/// If it is no number.
pub fn read_u64<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<u64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or_default() as u64)
}

/// Pairs of a token's id and a number, each as the nearest finite f32.
///
/// # Errors
/// If they are something else.
pub fn read_biases<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<(u32, f32)>, D::Error> {
    let any = Range { min: f64::MIN, max: f64::MAX, above_min: false, below_max: false };
    let pairs = Vec::<(u32, f64)>::deserialize(from)?;
    Ok(pairs.into_iter().map(|(id, bias)| (id, any.narrow(bias))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: f64, max: f64, above_min: bool, below_max: bool) -> Range {
        Range { min, max, above_min, below_max }
    }

    #[test]
    fn doubles_near_the_edges_stay_inside() {
        let (temperature, top_p) = (range(0.0, f64::INFINITY, false, false), range(0.0, 1.0, true, false));
        let (min_p, penalty) = (range(0.0, 1.0, false, true), range(0.0, f64::INFINITY, true, false));
        for (range, values) in [
            (temperature, [1e39, 1e-45, 0.0]),
            (top_p, [1e-50, 1.0 - 1e-12, 1.0]),
            (min_p, [0.999_999_999, 1e-60, 0.0]),
            (penalty, [1e-50, 1e39, 1.0]),
            (range(-2.0, 2.0, true, true), [-2.0 + 1e-15, 2.0 - 1e-15, 1e-50]),
        ] {
            for x in values {
                let narrow = range.narrow(x);
                assert!(range.has(narrow.into()), "{x} as {narrow} is not {range}");
                assert!((f64::from(narrow) - x).abs() <= 1e-7 * x.abs().max(1e-30) || x == 1e39, "{x} as {narrow}");
            }
        }
        for (range, values) in [
            (temperature, [-1e-30, f64::NAN, f64::INFINITY]),
            (top_p, [0.0, -1e-50, 1.1]),
            (min_p, [1.0, -0.1, f64::NEG_INFINITY]),
            (penalty, [0.0, -1.0, f64::NAN]),
        ] {
            for x in values {
                assert!(!range.has(range.narrow(x).into()), "{x} is not {range}");
            }
        }
    }

    #[test]
    fn ranges_are_told_in_words() {
        let infinite = f64::INFINITY;
        for (range, words) in [
            (range(0.0, infinite, false, false), "at least 0"),
            (range(0.0, infinite, true, false), "above 0"),
            (range(0.0, 1.0, true, false), "above 0 and at most 1"),
            (range(0.0, 1.0, false, true), "at least 0 and below 1"),
            (range(-2.0, 2.0, false, false), "between -2 and 2"),
            (range(-infinite, 20.0, false, false), "at most 20"),
            (range(-infinite, LARGEST_INTEGER, false, false), "below 2^53"),
        ] {
            assert_eq!(range.to_string(), words);
        }
        let error = range(0.0, 1.0, true, false).check("topP", 1.1f32, 1.1).expect_err("too large");
        assert_eq!(error.message, "topP is 1.1; it must be above 0 and at most 1.");
    }
}
