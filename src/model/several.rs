//! Several texts at once on the GPU: what each has besides the KV cache that all share.

use super::choosing::Choosing;
use super::flights::Flights;
use super::kernels::TextStep;
use super::plan::Parts;
use super::plan::several::{SeveralPlan, Texts};
use super::sampling_buffers::SamplingBuffers;
use crate::config::ModelConfig;
use crate::engine::MOST_ROWS;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer};

/// Fewest tokens that a tail has room for.
pub(super) const LEAST: usize = 128;

/// Keys and values of the tokens that texts do not share.
#[derive(Default)]
pub(super) struct Tails {
    /// f16 [places, capacity, d] each, by layer.
    pub(super) layers: Vec<[GpuBuffer; 2]>,
    pub(super) places: usize,
    pub(super) capacity: usize,
}

/// A text that is being written.
pub(super) struct Text {
    pub(super) place: usize,
    /// Position of the token that the next step reads.
    pub(super) past: usize,
    pub(super) choosing: Choosing,
}

/// Several texts, and what their steps need.
#[derive(Default)]
pub struct Several {
    pub(super) tails: Tails,
    /// Uniform `TextStep` [MOST_ROWS], and parts of the attention, f32 [MOST_ROWS, parts].
    pub(super) buffers: Option<[GpuBuffer; 2]>,
    /// For as many texts as were written at once so far, or more.
    pub(super) sampling: Option<SamplingBuffers>,
    /// Their tokens on their way to the host.
    pub(super) flights: Flights,
    /// For so many tokens; made anew where buffers are.
    pub(super) plan: Option<(usize, SeveralPlan)>,
    pub(super) texts: Vec<Text>,
    /// Tokens that the texts share.
    pub(super) common: usize,
}

impl Several {
    /// Tokens that a tail has room for.
    pub fn capacity(&self) -> usize {
        self.tails.capacity
    }

    /// How many steps are well made before the tokens of the first are asked for.
    pub fn ahead(&self) -> usize {
        let compares_here = self.texts.iter().any(|text| text.choosing.compares_here());
        if compares_here { 1 } else { self.flights.steps_ahead() }
    }

    /// Forgets tokens that were not asked for.
    pub fn stop(&mut self) {
        self.texts.clear();
        self.flights.stop();
    }
}

impl Tails {
    /// The same with room for more; what they hold stays.
    pub(super) fn grown(&self, (gpu, config): (&Gpu, &ModelConfig), places: usize, capacity: usize) -> Self {
        let row = config.hidden_size as u64 * 2;
        let bytes = (places * capacity) as u64 * row;
        let buffer = |label| GpuBuffer::storage(gpu, label, bytes);
        let layers = (0..config.num_layers).map(|_| [buffer("tail keys"), buffer("tail values")]).collect();
        let grown = Self { layers, places, capacity };
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let pairs = self.layers.iter().flatten().zip(grown.layers.iter().flatten());
        for (from, to) in pairs {
            for place in 0..self.places as u64 {
                let (start, end) = (place * self.capacity as u64 * row, place * capacity as u64 * row);
                encoder.copy_buffer_to_buffer(&from.buffer, start, &to.buffer, end, self.capacity as u64 * row);
            }
        }
        gpu.queue.submit([encoder.finish()]);
        grown
    }
}

impl Several {
    /// The dispatches of steps of up to `tokens` texts, and the buffers that they name.
    pub(super) fn prepare(&mut self, parts: Parts<'_>, tokens: usize) -> Result<SeveralPlan> {
        let (gpu, stride) = (parts.gpu, parts.scratch.attention.stride());
        let [steps, attention] = self.buffers.get_or_insert_with(|| new_buffers(gpu, stride));
        let enough = self.sampling.take().filter(|sampling| sampling.rows() >= tokens);
        let sampling = self.sampling.insert(enough.unwrap_or_else(|| SamplingBuffers::new(gpu, parts.config, tokens)));
        let tails = &self.tails.layers;
        let (steps, attention) = (&steps.buffer, &attention.buffer);
        SeveralPlan::new(parts, &Texts { steps, parts: attention, sampling, tails, tokens })
    }
}

fn new_buffers(gpu: &Gpu, parts: usize) -> [GpuBuffer; 2] {
    use wgpu::BufferUsages as U;
    let steps = (MOST_ROWS * size_of::<TextStep>()) as u64;
    let steps = GpuBuffer::new(gpu, "steps of several texts", steps, U::UNIFORM | U::COPY_DST);
    [steps, GpuBuffer::storage(gpu, "parts of several texts", (MOST_ROWS * parts * 4) as u64)]
}
