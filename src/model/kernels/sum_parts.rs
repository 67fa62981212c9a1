//! Joins the parts of a sum from `matmul` (`shaders/sum_parts.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use crate::gpu::shader::ShaderSpec;

/// y = Σ parts.
pub struct SumParts {
    /// Columns of y, a multiple of 4.
    pub cols: usize,
    /// Parts.
    pub parts: usize,
    /// y += instead of y =.
    pub residual: bool,
}

/// Bindings.
pub struct SumPartsBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Input, f32 [parts, T, cols].
    pub parts: &'a wgpu::Buffer,
    /// Output, f32 [T, cols].
    pub y: &'a wgpu::Buffer,
}

impl SumParts {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &SumPartsBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("sum_parts").with("WG", THREADS).with("COLS", self.cols).with("PARTS", self.parts);
        Dispatch {
            shader: shader.flag_if("RESIDUAL", self.residual),
            grid: Grid::PerToken { x: self.cols.div_ceil(4 * THREADS) as u32, z: 1 },
            bindings: vec![uniform(0, buffers.step), read(1, buffers.parts), write(2, buffers.y)],
        }
    }
}
