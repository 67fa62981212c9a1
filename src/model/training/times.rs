//! GPU time of the kernels of a training step, if the device has timestamps.

use super::steps::Training;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::model::profile::{KernelTime, REPEATS, time};

impl Training {
    /// Times every kernel of a step of the largest size, and counts the dispatches of such a step; `None` without
    /// timestamps. Moments and tokens stay unchanged, gradients do not.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn kernel_times(&mut self, gpu: &Gpu) -> Result<Option<Vec<KernelTime>>> {
        if !gpu.has_timestamps {
            return Ok(None);
        }
        let mut times: Vec<KernelTime> = Vec::new();
        for (stages, rows, length, repeats) in self.stages_of_step(gpu) {
            for stage in stages.stages() {
                let record = |pass: &mut wgpu::ComputePass<'_>| {
                    (0..REPEATS).for_each(|_| stage.record(pass, length, rows));
                };
                let microseconds = time(gpu, record).await?;
                match times.iter_mut().find(|t| t.kernel == stage.label()) {
                    Some(mean) => {
                        let all = mean.microseconds * mean.dispatches as f64 + microseconds * repeats as f64;
                        mean.dispatches += repeats;
                        mean.microseconds = all / mean.dispatches as f64;
                    }
                    None => {
                        times.push(KernelTime { kernel: stage.label().to_owned(), dispatches: repeats, microseconds });
                    }
                }
            }
        }
        Ok(Some(times))
    }
}
