//! Causal softmax of the attention in training, and its backward pass (`shaders/softmax.wgsl`,
//! `shaders/softmax_backward.wgsl`).

use super::dispatch::{Dispatch, Grid, read, uniform, write};
use super::gemm::TILE;
use crate::gpu::shader::ShaderSpec;

/// Threads for a row, half of which is visible on average.
const THREADS: usize = 64;

/// Probabilities of scores, in place.
pub struct Softmax {
    /// Heads side by side in a row.
    pub heads: usize,
}

impl Softmax {
    /// A dispatch for all tokens of a step, with the uniform `Batch` and scores, f32 [T, heads, length].
    pub fn dispatch<'a>(&self, batch: &'a wgpu::Buffer, p: &'a wgpu::Buffer) -> Dispatch<'a> {
        let bindings = vec![uniform(0, batch), write(1, p)];
        Dispatch { shader: shader("softmax", self.heads), grid: grid(self.heads), bindings }
    }
}

/// Gradients w.r.t. scores from those w.r.t. probabilities, in place.
pub struct SoftmaxBackward {
    /// Heads side by side in a row.
    pub heads: usize,
}

impl SoftmaxBackward {
    /// A dispatch for all tokens of a step, with the uniform `Batch`, probabilities and gradients, f32 [T, heads,
    /// length].
    pub fn dispatch<'a>(&self, batch: &'a wgpu::Buffer, [p, dp]: [&'a wgpu::Buffer; 2]) -> Dispatch<'a> {
        let bindings = vec![uniform(0, batch), read(1, p), write(2, dp)];
        Dispatch { shader: shader("softmax_backward", self.heads), grid: grid(self.heads), bindings }
    }
}

fn shader(name: &'static str, heads: usize) -> ShaderSpec {
    ShaderSpec::new(name).with("WG", THREADS).with("HEADS", heads).with("TILE", TILE)
}

fn grid(heads: usize) -> Grid {
    Grid::PerToken { x: heads as u32, z: 1 }
}
