//! Weights of parameter tokens in training, where the scores are kept (`shaders/theta_forward.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::pack_shape::PackBuffers;
use super::theta;
use crate::checkpoint::layout::padded_slots;
use crate::config::NormActivation;
use crate::gpu::shader::ShaderSpec;

/// Weights of l2_norm_gelu.
pub struct ThetaForward {
    /// Pattentions side by side in a row.
    pub segments: usize,
    /// Parameter tokens of each, padding not counted.
    pub slots: usize,
}

/// Bindings.
pub struct ThetaForwardBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Scores, f32 [T, segments, padded slots].
    pub scores: &'a wgpu::Buffer,
    /// Weights, f32 [T, segments, padded slots].
    pub weights: &'a wgpu::Buffer,
    /// Scores and weights of the packs' tokens, if there are any.
    pub packs: Option<PackBuffers<'a>>,
}

/// A shader with Θ, segments and slots.
pub fn shader(name: &'static str, segments: usize, slots: usize, packs: bool) -> ShaderSpec {
    ShaderSpec::new(name)
        .with("WG", THREADS)
        .with("SEGMENTS", segments)
        .with("COLS", padded_slots(slots))
        .with("SLOTS", slots)
        .flag(theta::flag(NormActivation::L2NormGelu))
        .flag_if("PACKS", packs)
}

impl ThetaForward {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &ThetaForwardBuffers<'a>) -> Dispatch<'a> {
        let mut bindings = vec![read(0, buffers.scores), write(1, buffers.weights)];
        if let Some(packs) = buffers.packs {
            bindings.extend([
                uniform(2, packs.shape),
                read(3, packs.strengths),
                read(4, packs.parts),
                write(5, packs.q),
                write(6, packs.weights),
                uniform(7, buffers.step),
            ]);
        }
        let shader = shader("theta_forward", self.segments, self.slots, buffers.packs.is_some());
        Dispatch { shader, grid: Grid::PerToken { x: self.segments as u32, z: 1 }, bindings }
    }
}
