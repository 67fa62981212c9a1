//! Θ of the scores of a chunk, in place (`shaders/weights.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, uniform, write};
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
    /// Scores, then weights, f32 [T, segments, padded slots].
    pub scores: &'a wgpu::Buffer,
    /// With packs, √n / ‖s‖₂ of each row, f32 [T, segments].
    pub scales: Option<&'a wgpu::Buffer>,
}

impl SlotWeights {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &SlotWeightsBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("weights")
            .with("WG", THREADS)
            .with("SEGMENTS", self.segments)
            .with("COLS", padded_slots(self.slots))
            .with("SLOTS", self.slots)
            .flag(theta::flag(self.activation))
            .flag_if("PACKS", buffers.scales.is_some());
        let mut bindings = vec![uniform(0, buffers.step), write(1, buffers.scores)];
        bindings.extend(buffers.scales.map(|scales| write(2, scales)));
        Dispatch { shader, grid: Grid::PerToken { x: self.segments as u32, z: 1 }, bindings }
    }
}
