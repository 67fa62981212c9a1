//! Θ of the scores of a chunk, in place (`shaders/weights.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::rows_in_bytes::InBytes;
use super::theta;
use crate::checkpoint::layout::padded_slots;
use crate::config::NormActivation;
use crate::gpu::shader::ShaderSpec;

/// Weights of parameter tokens.
pub struct SlotWeights {
    /// The activation Θ.
    pub activation: NormActivation,
    /// Pattentions side by side in a row.
    pub segments: usize,
    /// Parameter tokens of each, padding not counted.
    pub slots: usize,
}

/// Bindings.
pub struct SlotWeightsBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Scores, then (in their place) weights, f32 [T, segments, padded slots].
    pub scores: &'a wgpu::Buffer,
    /// With packs, √n / ‖s‖₂ of each row, f32 [T, segments].
    pub scales: Option<&'a wgpu::Buffer>,
    /// Output instead of `scores`, which stay as they are, for products of bytes.
    pub in_bytes: Option<InBytes<'a>>,
}

impl SlotWeights {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &SlotWeightsBuffers<'a>) -> Dispatch<'a> {
        let mut shader = ShaderSpec::new("weights")
            .with("WG", THREADS)
            .with("SEGMENTS", self.segments)
            .with("COLS", padded_slots(self.slots))
            .with("SLOTS", self.slots)
            .flag(theta::flag(self.activation))
            .flag_if("PACKS", buffers.scales.is_some());
        let scores = if buffers.in_bytes.is_some() { read(1, buffers.scores) } else { write(1, buffers.scores) };
        let mut bindings = vec![uniform(0, buffers.step), scores];
        bindings.extend(buffers.scales.map(|scales| write(2, scales)));
        if let Some(in_bytes) = &buffers.in_bytes {
            shader = in_bytes.add_to(shader, 3, &mut bindings);
        }
        Dispatch { shader, grid: Grid::PerToken { x: self.segments as u32, z: 1 }, bindings }
    }
}
