//! Options of a training. Their fields, defaults and ranges are generated from the table of train options
//! (`www/lib/api/train-options.js`) by `build.rs`.

use crate::engine::AdamW;
use crate::error::{Error, Result};
use crate::pattention::Pattention;

include!(concat!(env!("OUT_DIR"), "/train_options.rs"));

/// Epochs if neither epochs nor steps are given.
const DEFAULT_EPOCHS: usize = 4;

/// How long a training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This many passes over the text.
    Epochs(usize),
    /// This many steps.
    Steps(usize),
}

impl TrainOptions {
    /// Checks every range, and options that exclude each other.
    ///
    /// # Errors
    /// `invalid-argument` that names the option as JavaScript spells it.
    pub fn validate(&self) -> Result<()> {
        self.check()?;
        self.length()?;
        self.pattentions().map(drop)
    }

    /// How long it is.
    ///
    /// # Errors
    /// `invalid-argument` if it is given in two ways.
    pub fn length(&self) -> Result<Length> {
        match (self.epochs, self.steps) {
            (0, 0) => Ok(Length::Epochs(DEFAULT_EPOCHS)),
            (epochs, 0) => Ok(Length::Epochs(epochs)),
            (0, steps) => Ok(Length::Steps(steps)),
            _ => Err(Error::invalid_argument("epochs and steps are both given, and both tell how long to train.")
                .hint("Give one of them.")),
        }
    }

    /// The Pattentions of `kinds`, in the order in which they run.
    ///
    /// # Errors
    /// `invalid-argument` if there is none, or an unknown one.
    pub fn pattentions(&self) -> Result<Vec<Pattention>> {
        let names = Pattention::ALL.map(Pattention::name);
        if let Some(unknown) = self.kinds.iter().find(|kind| !names.contains(&kind.as_str())) {
            let message = format!("kinds holds {unknown:?}, which no Pattention is called.");
            return Err(Error::invalid_argument(message).hint(format!("There are {}.", names.join(", "))));
        }
        if self.kinds.is_empty() {
            return Err(Error::invalid_argument("kinds is empty: no Pattention would get tokens."));
        }
        let is_wanted = |pattention: &Pattention| self.kinds.iter().any(|kind| kind == pattention.name());
        Ok(Pattention::ALL.into_iter().filter(is_wanted).collect())
    }

    /// What AdamW needs of them.
    pub fn adamw(&self) -> AdamW {
        AdamW {
            betas: [self.beta1, self.beta2],
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            clip_norm: self.clip_norm,
        }
    }

    /// The learning rate of step `step` (from 0) of `steps`: it rises linearly over the warm-up, whose last step has
    /// the full rate, and then decays to 0 along half a cosine, or stays.
    pub fn rate_at(&self, step: usize, steps: usize) -> f32 {
        let warmup = self.warmup.min(steps);
        if step < warmup {
            return (f64::from(self.learning_rate) * (step + 1) as f64 / warmup as f64) as f32;
        }
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Cosine => {
                let done = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
                (f64::from(self.learning_rate) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())) as f32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn options(json: &str) -> TrainOptions {
        serde_json::from_str(json).expect("options")
    }

    #[test]
    fn defaults_are_those_of_the_interface() {
        let options = options("{}");
        assert_eq!(options, TrainOptions::default());
        options.validate().expect("valid");
        assert_eq!((options.tokens, options.sequence_length, options.batch, options.warmup), (16, 256, 4, 10));
        assert_eq!((options.learning_rate, options.schedule), (3e-3, Schedule::Cosine));
        assert_eq!((options.validation, options.length().expect("length")), (0.1, Length::Epochs(4)));
        let adamw = AdamW { betas: [0.9, 0.95], epsilon: 1e-8, weight_decay: 0.0, clip_norm: 1.0 };
        assert_eq!(options.adamw(), adamw);
        assert_eq!(options.pattentions().expect("kinds"), Pattention::ALL);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (json, name) in [
            (r#"{"tokens":0}"#, "tokens"),
            (r#"{"tokens":257}"#, "tokens"),
            (r#"{"sequenceLength":1}"#, "sequenceLength"),
            (r#"{"batch":0}"#, "batch"),
            (r#"{"learningRate":0}"#, "learningRate"),
            (r#"{"beta2":1}"#, "beta2"),
            (r#"{"validation":1}"#, "validation"),
            (r#"{"clipNorm":-1}"#, "clipNorm"),
            (r#"{"epochs":2,"steps":3}"#, "epochs and steps"),
            (r#"{"kinds":[]}"#, "kinds"),
            (r#"{"kinds":["mlp","head"]}"#, "head"),
        ] {
            let e = options(json).validate().expect_err(json);
            assert_eq!(e.code, ErrorCode::InvalidArgument, "{json}");
            assert!(e.message.contains(name), "{json}: {e}");
        }
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let mut options = TrainOptions { warmup: 4, learning_rate: 1.0, ..TrainOptions::default() };
        let rates: Vec<f32> = (0..12).map(|step| options.rate_at(step, 12)).collect();
        assert_eq!(rates[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert!((rates[8] - 0.5).abs() < 1e-6, "half-way down: {}", rates[8]);
        assert!(rates[5..].is_sorted_by(|a, b| a > b) && rates[11] > 0.0, "{rates:?}");
        options.schedule = Schedule::Constant;
        assert_eq!(options.rate_at(11, 12), 1.0);
        assert_eq!(options.rate_at(0, 1), 1.0, "a warm-up that is longer than all");
    }
}
