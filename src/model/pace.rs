//! Whether the CPU would be faster: how long a decode step takes on this GPU, and roughly how long on the CPU.
//!
//! The CPU has none of the weights, so it is measured with those that the self-test reads back, a layer and a few rows
//! of the vocabulary: a step's time is proportional to the number of weights, and these include some of each kind. A
//! GPU that is much faster is measured for one step, one that is much slower for two.

use super::gpu_model::GpuModel;
use super::sample::Sample;
use super::tune;
use crate::engine::Backend;
use crate::error::Result;
use web_time::Instant;

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
    pub async fn pace(&mut self, sample: &mut Sample) -> Result<Option<Pace>> {
        self.truncate(0);
        if !self.can_tune() {
            return Ok(None);
        }
        let mut cpu = match sample.seconds {
            Some(seconds) => seconds,
            None => sample.time().await?,
        };
        // This includes the wait for its result, so it is longer than a step in a sequence.
        let from = Instant::now();
        self.logits_of_step().await?;
        let mut gpu = from.elapsed().as_secs_f64();
        for _ in 1..ROUNDS {
            if gpu * CLEAR.0 <= cpu {
                break;
            }
            cpu = sample.time().await?;
            gpu = gpu.min(self.seconds_of_steps().await?);
            if gpu > cpu * CLEAR.1 {
                break;
            }
        }
        self.truncate(0);
        Ok(Some(Pace { gpu, cpu, is_untuned: tune::has_teams(&self.gpu, &self.config, self.weights.layer_format()) }))
    }
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
