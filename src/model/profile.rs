//! GPU time of the kernels of a decode step, where the device has timestamps.

use super::gpu_model::GpuModel;
use super::stage::Stage;
use crate::engine::Backend;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer};
use serde::Serialize;

/// Dispatches of a kernel that are timed together: one alone is as short as the clock's steps.
pub(super) const REPEATS: usize = 40;

/// What a kernel takes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelTime {
    /// Kernel, flags and constants.
    pub kernel: String,
    /// Dispatches of a step.
    pub dispatches: usize,
    /// Mean time of one, dispatched again and again, each after the one before it.
    pub microseconds: f64,
}

impl GpuModel {
    /// Times every kernel of a decode step after the cache's tokens, which are forgotten; `None` without timestamps.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn kernel_times(&mut self) -> Result<Option<Vec<KernelTime>>> {
        if !self.gpu.has_timestamps {
            return Ok(None);
        }
        let past = self.len.min(self.scratch.context_length - 1);
        self.write_step(past, 1, 0, 0);
        let mut times: Vec<KernelTime> = Vec::new();
        let layers = if self.persistent.is_some() { &[][..] } else { self.stages().decode.stages() };
        let rest = [&self.plan.embed, &self.plan.logits_of_row, &self.plan.choose];
        for stage in layers.iter().chain(rest.iter().flat_map(|stages| stages.stages())) {
            let kernel = stage.label();
            match times.iter_mut().find(|t| t.kernel == kernel) {
                Some(time) => time.dispatches += 1,
                None => {
                    let microseconds = time(&self.gpu, |pass| Self::repeat(stage, pass, past)).await?;
                    times.push(KernelTime { kernel: kernel.to_owned(), dispatches: 1, microseconds });
                }
            }
        }
        if let Some(persistent) = &self.persistent {
            let all = time(&self.gpu, |pass| (0..REPEATS).for_each(|_| persistent.record(pass, past))).await?;
            let dispatches = persistent.len();
            let kernel = persistent.label().to_owned();
            times.push(KernelTime { kernel, dispatches, microseconds: all / dispatches as f64 });
        }
        self.truncate(0);
        Ok(Some(times))
    }

    fn repeat(stage: &Stage, pass: &mut wgpu::ComputePass<'_>, past: usize) {
        (0..REPEATS).for_each(|_| stage.record(pass, past, 1));
    }
}

/// Microseconds of a [`REPEATS`]th of what `record` records.
pub(super) async fn time(gpu: &Gpu, record: impl Fn(&mut wgpu::ComputePass<'_>)) -> Result<f64> {
    use wgpu::BufferUsages as U;
    let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("kernel times"),
        ty: wgpu::QueryType::Timestamp,
        count: 2,
    });
    let resolved = GpuBuffer::new(gpu, "kernel times", 16, U::QUERY_RESOLVE | U::COPY_SRC);
    let staging = GpuBuffer::new(gpu, "kernel times", 16, U::MAP_READ | U::COPY_DST);
    let mut best = f64::INFINITY;
    // The first rounds find the GPU asleep.
    for _ in 0..4 {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        }));
        encoder.resolve_query_set(&queries, 0..2, &resolved.buffer, 0);
        encoder.copy_buffer_to_buffer(&resolved.buffer, 0, &staging.buffer, 0, 16);
        gpu.queue.submit([encoder.finish()]);
        let ticks = gpu.read::<u64>(&staging.buffer, 16).await?;
        let ns = ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(gpu.queue.get_timestamp_period());
        best = best.min(ns / 1e3 / REPEATS as f64);
    }
    Ok(best)
}
