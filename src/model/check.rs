//! The self-test: does this GPU compute what it should?
//!
//! The kernels that are about to be used run on the model itself, but only on its first layer, with which the CPU
//! computes the same (`sample.rs`): a chunk of a prompt, single steps, logits of rows from all over the vocabulary,
//! scores, and the choice of a token. It compiles nothing extra, and tests the uploaded weights as well.

use super::gpu_model::GpuModel;
use super::plan::Plan;
use super::sample::Sample;
use super::tune::difference;
use crate::engine::{Backend, Logits, Text, TokenScore};
use crate::error::{Error, ErrorCode, Result};
use crate::sampling::{LogProbs, Sampler, SamplingOptions};

/// Largest permitted error of the logits (L2, relative). Both sides round; a faulty result is off by more than this.
const TOLERANCE: f64 = 1e-2;

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Right,
    Wrong,
    /// Nothing: the model gives no numbers to compare, for example because its weights are zeros or too large.
    Nothing,
}

impl GpuModel {
    /// Makes sure that the model computes what the CPU did, without packs; if subgroups are at fault, it stops using
    /// them. False if the model's own numbers do not allow a verdict.
    ///
    /// # Errors
    /// `webgpu-unavailable` if it does not compute correctly, `device-lost`.
    pub async fn verify(&mut self, sample: &Sample) -> Result<bool> {
        self.drop_packs().await?;
        let found = self.finding(sample).await?;
        if found != Finding::Wrong {
            return Ok(found == Finding::Right);
        }
        if self.gpu.forgo_subgroups("gave wrong results") {
            let make = || Plan::new(self.parts());
            self.plan = self.gpu.scoped("Compiling the kernels", make).await?;
            let found = self.finding(sample).await?;
            if found != Finding::Wrong {
                return Ok(found == Finding::Right);
            }
        }
        Err(Error::new(ErrorCode::WebgpuUnavailable, "This GPU, or its driver, computes wrong results.")
            .hint("Update the browser and the graphics driver. Small models run with backend \"cpu\"."))
    }

    /// Whether the first layer computes the same on the GPU as on the CPU.
    async fn finding(&mut self, sample: &Sample) -> Result<Finding> {
        if !are_finite(&sample.logits) {
            return Ok(Finding::Nothing);
        }
        self.depth = 1;
        let result = self.agrees_with(sample).await;
        self.depth = self.config.num_layers;
        self.truncate(0);
        result
    }

    async fn agrees_with(&mut self, sample: &Sample) -> Result<Finding> {
        let Sample { tokens, text, chunk, logits, .. } = sample;
        let (vocab, chunk) = (self.config.padded_vocab_size, *chunk);
        let picked = |logits: &[f32]| -> Vec<f32> {
            let rows = logits.chunks_exact(vocab);
            rows.flat_map(|row| tokens.iter().map(|id| row[*id as usize])).collect()
        };
        let (wanted, of_steps) = logits.split_at(chunk * tokens.len());
        let is_blank = wanted.iter().all(|x| *x == 0.0);
        let got = self.forward(&text[..chunk], Logits::Each(chunk)).await?;
        if is_off(&picked(&got), wanted) {
            return Ok(Finding::Wrong);
        }
        if chunk > 1 && !self.scores_follow(&got, &text[..chunk]).await? {
            return Ok(Finding::Wrong);
        }
        for (id, wanted) in text[chunk..].iter().zip(of_steps.chunks_exact(tokens.len())) {
            let got = self.forward(&[*id], Logits::Last).await?;
            if is_off(&picked(&got), wanted) {
                return Ok(Finding::Wrong);
            }
        }
        for options in [
            SamplingOptions { temperature: 0.0, repetition_penalty: 1.3, ..Default::default() },
            SamplingOptions { temperature: 1.0, top_k: 3, seed: 11, ..Default::default() },
        ] {
            self.truncate(text.len() - 1);
            self.begin_choosing(&options, Text::after(text), vocab, true);
            self.choose_after(&text[text.len() - 1..]).await?;
            let chosen = self.chosen().await?;
            self.stop_choosing();
            let logits = chosen.logits.unwrap_or_default();
            let is_good = match options.is_greedy() {
                true => Sampler::new(options, text, vocab).next(&logits) == chosen.id,
                // Noise decides which of the three wins, and both sides round it.
                false => logits.iter().filter(|x| **x > logits[chosen.id as usize % vocab]).count() < 3,
            };
            if !is_good {
                return Ok(Finding::Wrong);
            }
        }
        Ok(if is_blank { Finding::Nothing } else { Finding::Right })
    }

    /// True if scores of the later half of `ids`, the KV cache's tokens, match the `logits` after each of them.
    async fn scores_follow(&mut self, logits: &[f32], ids: &[u32]) -> Result<bool> {
        let (vocab, last) = (self.config.padded_vocab_size, ids.len() - 1);
        let targets = &ids[last / 2 + 1..];
        self.truncate(0);
        let scores = self.score(&ids[..last], targets, vocab).await?;
        self.forward(&ids[last..], Logits::None).await?;
        let rows = logits.chunks_exact(vocab).skip(last / 2);
        let is_right = |((row, target), score): ((&[f32], &u32), &TokenScore)| {
            let wanted = LogProbs::new(row).of(*target);
            (score.logprob - wanted).abs() < TOLERANCE * wanted.abs().max(1.0)
        };
        Ok(rows.zip(targets).zip(&scores).all(is_right))
    }
}

fn are_finite(logits: &[f32]) -> bool {
    logits.iter().all(|x| x.is_finite())
}

/// True if the logits differ from the expected ones. If these are all zeros, only zeros will do.
fn is_off(got: &[f32], wanted: &[f32]) -> bool {
    if wanted.iter().all(|x| *x == 0.0) {
        return got.iter().any(|x| *x != 0.0);
    }
    difference(got, wanted) > TOLERANCE
}
