//! GPU time of a step's kernels, if the device has timestamps.

use super::gpu_model::GpuModel;
use super::persistent::Persistent;
use super::plan::Plan;
use super::several::Several;
use super::stage::Stages;
use crate::engine::{Backend, MOST_ROWS, Row};
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer};
use serde::{Deserialize, Serialize};

/// Dispatches of a kernel that are timed together: a single one is no longer than the clock's resolution.
pub(super) const REPEATS: usize = 40;

/// The step whose kernels are timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Timed {
    /// A step of one token.
    #[default]
    Decode,
    /// A step of this many tokens.
    Prefill(usize),
    /// A step of this many texts.
    Several(usize),
}

/// The time of a kernel.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelTime {
    /// Kernel, flags and constants, and how many workgroups.
    pub kernel: String,
    /// Dispatches per step.
    pub dispatches: usize,
    /// Mean time of one dispatch, dispatched repeatedly, each after the one before it.
    pub microseconds: f64,
}

impl GpuModel {
    /// Times every kernel of a step, which clears the cache; `None` without timestamps.
    ///
    /// # Errors
    /// `device-lost`; `invalid-argument` for a step that does not exist.
    pub async fn kernel_times(&mut self, timed: Timed) -> Result<Option<Vec<KernelTime>>> {
        if let Timed::Several(texts) = timed {
            self.try_several(texts).await?;
        }
        if !self.gpu.has_timestamps {
            return Ok(None);
        }
        let times = match timed {
            Timed::Decode => self.decode_times().await,
            Timed::Prefill(count) => {
                self.truncate(0);
                self.check_step(count)?;
                self.write_step(0, count, count - 1, 0);
                let Plan { embed, logits_of_row, .. } = &self.plan;
                self.times_of(&[embed, &self.stages().prefill, logits_of_row], 0, count).await
            }
            Timed::Several(texts) => {
                let rows = rows_of(texts);
                self.truncate(0);
                self.begin_rows(&rows, self.config.padded_vocab_size, false).await?;
                // Writes the positions of the texts.
                self.step_rows().await?;
                let times = self.several_times(rows.len()).await;
                self.stop_rows();
                times
            }
        };
        self.truncate(0);
        times.map(Some)
    }

    /// Settles which team makes steps of this many texts: its kernels are compiled during the first texts, and tried
    /// when others start.
    async fn try_several(&mut self, texts: usize) -> Result<()> {
        for _ in 0..2 {
            self.truncate(0);
            self.begin_rows(&rows_of(texts), self.config.padded_vocab_size, false).await?;
            self.stop_rows();
            self.compiled_several_teams().await;
        }
        Ok(())
    }

    async fn several_times(&self, count: usize) -> Result<Vec<KernelTime>> {
        let Several { plan: Some((_, plan)), persistent, .. } = &self.several else { return Ok(Vec::new()) };
        let none = Stages::default();
        let layers = if persistent.is_some() { &none } else { &plan.layers };
        let all = [&self.plan.embed, layers, &plan.logits, &plan.choose.stages];
        let mut times = self.times_of(&all, 1, count).await?;
        if let Some(persistent) = persistent {
            times.push(self.persistent_time(persistent, 1).await?);
        }
        Ok(times)
    }

    async fn persistent_time(&self, persistent: &Persistent, past: usize) -> Result<KernelTime> {
        let all = time(&self.gpu, |pass| (0..REPEATS).for_each(|_| persistent.record(pass, past))).await?;
        let (dispatches, kernel) = (persistent.len(), persistent.label().to_owned());
        Ok(KernelTime { kernel, dispatches, microseconds: all / dispatches as f64 })
    }

    /// For steps of `count` tokens after `past`: each kernel with each grid that it has.
    async fn times_of(&self, parts: &[&Stages], past: usize, count: usize) -> Result<Vec<KernelTime>> {
        let mut times: Vec<KernelTime> = Vec::new();
        for stage in parts.iter().flat_map(|stages| stages.stages()) {
            let kernel = format!("{} {:?}", stage.label(), stage.grid(past, count));
            match times.iter_mut().find(|t| t.kernel == kernel) {
                Some(time) => time.dispatches += 1,
                None => {
                    let repeat = |pass: &mut wgpu::ComputePass<'_>| {
                        (0..REPEATS).for_each(|_| stage.record(pass, past, count));
                    };
                    times.push(KernelTime { kernel, dispatches: 1, microseconds: time(&self.gpu, repeat).await? });
                }
            }
        }
        Ok(times)
    }

    async fn decode_times(&self) -> Result<Vec<KernelTime>> {
        let past = self.len.min(self.scratch.context_length - 1);
        self.write_step(past, 1, 0, 0);
        let none = Stages::default();
        let layers = if self.persistent.is_some() { &none } else { &self.stages().decode };
        let all = [layers, &self.plan.embed, &self.plan.logits_of_row, &self.plan.choose.stages];
        let mut times = self.times_of(&all, past, 1).await?;
        if let Some(persistent) = &self.persistent {
            times.push(self.persistent_time(persistent, past).await?);
        }
        Ok(times)
    }
}

/// Some texts of a token each.
fn rows_of(texts: usize) -> Vec<Row> {
    let place = |place| Row { place, tail: vec![1], ..Default::default() };
    (0..texts.clamp(1, MOST_ROWS)).map(place).collect()
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
    // In the first rounds the GPU's clocks are still low.
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
