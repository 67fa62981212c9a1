//! Whether the CPU would be faster: how long a decode step takes on this GPU, and roughly how long on the CPU.
//!
//! The CPU has none of the weights, so it is measured with those that the self-test reads back, a layer and a few rows
//! of the vocabulary: a step's time is proportional to the number of weights, and these include some of each kind. A
//! GPU that is much faster is measured for one step, one that is much slower for two.

use super::gpu_model::GpuModel;
use super::tune;
use crate::checkpoint::layout::tensors;
use crate::config::ModelConfig;
use crate::cpu::CpuModel;
use crate::engine::{Backend, Logits};
use crate::error::Result;
use web_time::Instant;

/// Steps on the CPU are repeated for this many seconds, since browsers' clocks may be coarse.
const TRIAL: f64 = 0.005;
/// Limit of the repetitions, for a clock that does not advance.
const MOST_STEPS: usize = 10_000;
/// How often both are measured, in turn: the first steps on a GPU clear memory, and a browser speeds up a loop once it
/// has run for a while.
const ROUNDS: usize = 4;
/// If the GPU is this many times as fast as the CPU, or the CPU as fast as the GPU, measuring stops.
const CLEAR: (f64, f64) = (3.0, 10.0);
/// How much slower than the CPU a GPU must be to be replaced: trials are short and noisy, and the CPU has one thread to
/// lose.
const DOUBT: f64 = 1.25;
/// The same when decode steps are not tuned yet, since tuning makes them up to three times as fast.
const UNTUNED: f64 = 3.0;

/// Seconds of a decode step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// On this GPU, as steps are made before tuning.
    pub gpu: f64,
    /// On the CPU, extrapolated from a part of the model.
    pub cpu: f64,
    /// Tuning may still make steps on this GPU faster.
    pub is_untuned: bool,
}

impl Pace {
    /// True for a GPU on which a step takes longer than on the CPU, even after tuning.
    pub fn is_slower_than_cpu(&self) -> bool {
        self.gpu > self.cpu * if self.is_untuned { UNTUNED } else { DOUBT }
    }
}

impl GpuModel {
    /// Measures both; `None` if the context has too few tokens for it. The KV cache is empty afterwards.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn pace(&mut self) -> Result<Option<Pace>> {
        self.truncate(0);
        if !self.can_tune() {
            return Ok(None);
        }
        let (mut part, id) = self.part_on_cpu().await?;
        let share = weights(part.config()) as f64 / weights(&self.config) as f64;
        let mut cpu = seconds_of_step(&mut part, id).await? / share;
        // This includes the wait for its result, so it is longer than a step in a sequence.
        let from = Instant::now();
        self.logits_of_step().await?;
        let mut gpu = from.elapsed().as_secs_f64();
        for _ in 1..ROUNDS {
            if gpu * CLEAR.0 <= cpu {
                break;
            }
            cpu = cpu.min(seconds_of_step(&mut part, id).await? / share);
            gpu = gpu.min(self.seconds_of_steps().await?);
            if gpu > cpu * CLEAR.1 {
                break;
            }
        }
        self.truncate(0);
        Ok(Some(Pace { gpu, cpu, is_untuned: tune::has_teams(&self.gpu, &self.config, self.weights.layer_format()) }))
    }
}

/// Weights that a step multiplies by.
fn weights(config: &ModelConfig) -> u64 {
    tensors(config).map(|id| id.shape(config)).map(|shape| shape.rows as u64 * shape.cols as u64).sum()
}

/// Seconds of a step on the CPU.
async fn seconds_of_step(model: &mut CpuModel, id: u32) -> Result<f64> {
    model.forward(&[id], Logits::Last).await?;
    model.truncate(0);
    let from = Instant::now();
    let mut steps = 0;
    while steps < MOST_STEPS && from.elapsed().as_secs_f64() < TRIAL {
        model.forward(&[id], Logits::Last).await?;
        model.truncate(0);
        steps += 1;
    }
    Ok(from.elapsed().as_secs_f64() / steps.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_gives_way_only_if_it_is_slower_beyond_doubt() {
        let slower = |gpu, is_untuned| Pace { gpu, cpu: 0.010, is_untuned }.is_slower_than_cpu();
        assert_eq!([0.009, 0.012, 0.013].map(|gpu| slower(gpu, false)), [false, false, true]);
        assert_eq!([0.013, 0.029, 0.031].map(|gpu| slower(gpu, true)), [false, false, true]);
        // A clock that does not advance is no evidence against a GPU.
        assert!(!Pace { gpu: 0.0, cpu: 0.0, is_untuned: false }.is_slower_than_cpu());
    }
}
