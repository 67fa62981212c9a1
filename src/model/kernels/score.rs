//! Log-probabilities of given tokens (`shaders/score.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use crate::gpu::shader::ShaderSpec;

/// Log-probabilities of targets, from rows of logits.
pub struct Score {
    /// Columns of the logits, V.
    pub vocab: usize,
}

/// Bindings.
pub struct ScoreBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Input, f32 [T, V].
    pub logits: &'a wgpu::Buffer,
    /// Tokens to score, u32 [chunk].
    pub targets: &'a wgpu::Buffer,
    /// Output, [`TargetScore`] [chunk].
    pub scores: &'a wgpu::Buffer,
}

/// `Score` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TargetScore {
    /// Natural logarithm of the target's probability.
    pub logprob: f32,
    /// 1 if no real id has a higher logit.
    pub is_best: u32,
}

impl Score {
    /// A dispatch for all rows of a step.
    pub fn dispatch<'a>(&self, buffers: &ScoreBuffers<'a>) -> Dispatch<'a> {
        Dispatch {
            shader: ShaderSpec::new("score").with("WG", THREADS).with("V", self.vocab),
            grid: Grid::PerToken { x: 1, z: 1 },
            bindings: vec![
                uniform(0, buffers.step),
                read(1, buffers.logits),
                read(2, buffers.targets),
                write(3, buffers.scores),
            ],
        }
    }
}
