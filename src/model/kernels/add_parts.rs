//! Joins the parts of a sum, out of place (`shaders/add_parts.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::matmul::Shape;
use crate::gpu::shader::ShaderSpec;

/// y = Σ parts, with a base added if there is one.
pub struct AddParts {
    /// Columns of y, a multiple of 4.
    pub cols: usize,
    /// Parts.
    pub parts: usize,
    /// y += instead of y =.
    pub further: bool,
}

/// Bindings.
pub struct AddPartsBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Uniform `Shape`, as [`AddParts::shape`] says.
    pub shape: &'a wgpu::Buffer,
    /// Input, f32 [parts, T, cols].
    pub parts: &'a wgpu::Buffer,
    /// Output, f32 [T, cols].
    pub y: &'a wgpu::Buffer,
    /// The base, f32 [T, cols].
    pub base: Option<&'a wgpu::Buffer>,
}

impl AddParts {
    /// Contents of the uniform.
    pub fn shape(&self) -> Shape {
        Shape {
            groups: 0,
            segments: 1,
            segment_rows: 0,
            y_stride: self.cols as u32,
            y_start: 0,
            parts: self.parts as u32,
        }
    }

    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &AddPartsBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("add_parts")
            .with("WG", THREADS)
            .flag_if("BASE", buffers.base.is_some())
            .flag_if("FURTHER", self.further);
        let mut bindings =
            vec![uniform(0, buffers.step), uniform(1, buffers.shape), read(2, buffers.parts), write(3, buffers.y)];
        bindings.extend(buffers.base.map(|base| read(4, base)));
        Dispatch { shader, grid: Grid::PerToken { x: self.cols.div_ceil(4 * THREADS) as u32, z: 1 }, bindings }
    }
}
