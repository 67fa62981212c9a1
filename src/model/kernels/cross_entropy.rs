//! Cross-entropy of rows of logits, and its gradient (`shaders/cross_entropy.wgsl`); the loss of a step
//! (`shaders/sum_losses.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use crate::gpu::shader::ShaderSpec;

/// Threads for a row of logits, since rows are long.
const ROW_THREADS: usize = 256;

/// Losses of rows of logits.
pub struct CrossEntropy {
    /// Columns of the logits, V.
    pub vocab: usize,
    /// The logits are replaced by gradients.
    pub gradient: bool,
}

/// Bindings.
pub struct CrossEntropyBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Uniform `Batch`.
    pub batch: &'a wgpu::Buffer,
    /// Tokens that follow, u32 [rows].
    pub targets: &'a wgpu::Buffer,
    /// Logits, then gradients, f32 [T, V].
    pub logits: &'a wgpu::Buffer,
    /// Output, f32 [rows].
    pub losses: &'a wgpu::Buffer,
}

impl CrossEntropy {
    /// A dispatch for the rows of a step.
    pub fn dispatch<'a>(&self, buffers: &CrossEntropyBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("cross_entropy")
            .with("WG", ROW_THREADS)
            .with("V", self.vocab)
            .flag_if("GRADIENT", self.gradient);
        let bindings = vec![
            uniform(0, buffers.step),
            uniform(1, buffers.batch),
            read(2, buffers.targets),
            write(3, buffers.logits),
            write(4, buffers.losses),
        ];
        Dispatch { shader, grid: Grid::PerToken { x: 1, z: 1 }, bindings }
    }
}

/// The mean of a step's losses.
pub struct SumLosses;

/// Bindings.
pub struct SumLossesBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Uniform `Batch`.
    pub batch: &'a wgpu::Buffer,
    /// Losses of rows, f32 [T].
    pub losses: &'a wgpu::Buffer,
    /// Losses of steps, f32 [steps].
    pub sums: &'a wgpu::Buffer,
}

impl SumLosses {
    /// A dispatch for the rows of a step.
    pub fn dispatch<'a>(&self, buffers: &SumLossesBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("sum_losses").with("WG", THREADS);
        let bindings =
            vec![uniform(0, buffers.step), uniform(1, buffers.batch), read(2, buffers.losses), write(3, buffers.sums)];
        Dispatch { shader, grid: Grid::Fixed([1, 1, 1]), bindings }
    }
}
