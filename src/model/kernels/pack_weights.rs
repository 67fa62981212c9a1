//! Weights of packs' tokens (`shaders/pack_weights.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use crate::checkpoint::layout::padded_slots;
use crate::gpu::shader::ShaderSpec;

/// Weights of packs' tokens.
pub struct PackWeights {
    /// Pattentions side by side in a row.
    pub segments: usize,
    /// Tokens of all packs for each.
    pub tokens: usize,
    /// Parts that the scores are split into.
    pub parts: usize,
}

/// Bindings.
pub struct PackWeightsBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Scores, f32 [parts, T, segments, tokens].
    pub scores: &'a wgpu::Buffer,
    /// √n / ‖s‖₂ of the base's scores, f32 [T, segments].
    pub scales: &'a wgpu::Buffer,
    /// Weights, f32 [T, segments, padded tokens].
    pub weights: &'a wgpu::Buffer,
}

impl PackWeights {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &PackWeightsBuffers<'a>) -> Dispatch<'a> {
        let cols = padded_slots(self.tokens);
        let shader = ShaderSpec::new("pack_weights")
            .with("WG", THREADS)
            .with("SEGMENTS", self.segments)
            .with("TOKENS", self.tokens)
            .with("COLS", cols)
            .with("PARTS", self.parts);
        let bindings =
            vec![uniform(0, buffers.step), read(1, buffers.scores), read(2, buffers.scales), write(3, buffers.weights)];
        let x = (self.segments * cols).div_ceil(THREADS) as u32;
        Dispatch { shader, grid: Grid::PerToken { x, z: 1 }, bindings }
    }
}
