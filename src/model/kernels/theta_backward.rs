//! The backward pass of the weights of parameter tokens (`shaders/theta_backward.wgsl`).

use super::dispatch::{Dispatch, Grid, read, uniform, write};
use super::pack_shape::PackBuffers;
use super::theta_forward::shader;

/// Gradients w.r.t. the scores of l2_norm_gelu.
pub struct ThetaBackward {
    /// Pattentions side by side in a row.
    pub segments: usize,
    /// Parameter tokens of each, padding not counted.
    pub slots: usize,
}

/// Bindings.
pub struct ThetaBackwardBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Scores, f32 [T, segments, padded slots].
    pub scores: &'a wgpu::Buffer,
    /// Gradients w.r.t. weights, then w.r.t. scores, f32 [T, segments, padded slots].
    pub gradients: &'a wgpu::Buffer,
    /// The same for the packs' tokens, if there are any, and the output of gradients w.r.t. their scores, f32 [T,
    /// tokens].
    pub packs: Option<(PackBuffers<'a>, &'a wgpu::Buffer)>,
}

impl ThetaBackward {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &ThetaBackwardBuffers<'a>) -> Dispatch<'a> {
        let mut bindings = vec![read(0, buffers.scores), write(1, buffers.gradients)];
        if let Some((packs, dq)) = buffers.packs {
            bindings.extend([
                uniform(2, packs.shape),
                read(3, packs.strengths),
                read(4, packs.q),
                read(5, packs.parts),
                write(6, dq),
                write(7, packs.weights),
                uniform(8, buffers.step),
            ]);
        }
        let shader = shader("theta_backward", self.segments, self.slots, buffers.packs.is_some());
        Dispatch { shader, grid: Grid::PerToken { x: self.segments as u32, z: 1 }, bindings }
    }
}
