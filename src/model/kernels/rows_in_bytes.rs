//! Rows of X as factors of products of bytes (`shaders/rows_in_bytes.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, write};
use crate::checkpoint::layout::TableFormat;
use crate::gpu::Binding;
use crate::gpu::shader::ShaderSpec;

/// Each value of a chunk's rows as two bytes.
pub struct RowsInBytes {
    /// Groups of 32 columns of a row, in all segments.
    pub groups: usize,
    /// Format of the table that they are multiplied with: Q4 or Q8.
    pub format: TableFormat,
}

/// Bindings.
pub struct RowsInBytesBuffers<'a> {
    /// Input, f32 [T, 32 · groups].
    pub x: &'a wgpu::Buffer,
    /// Output, u32 [T, groups, 16], and f32 [T, groups].
    pub bytes: &'a wgpu::Buffer,
    pub scales: &'a wgpu::Buffer,
}

/// What a kernel that computes rows leaves of them for products of bytes (`shaders/in_bytes.wgsl`).
#[derive(Clone, Copy)]
pub struct InBytes<'a> {
    /// Format of the table that they are multiplied with: Q4 or Q8.
    pub format: TableFormat,
    /// Output, u32 [T, groups, 16], and f32 [T, groups].
    pub bytes: &'a wgpu::Buffer,
    pub scales: &'a wgpu::Buffer,
}

impl<'a> InBytes<'a> {
    /// Adds it to a kernel that may leave it, with bindings from `first` on.
    pub(super) fn add_to(&self, shader: ShaderSpec, first: u32, bindings: &mut Vec<Binding<'a>>) -> ShaderSpec {
        bindings.extend([write(first, self.bytes), write(first + 1, self.scales)]);
        shader.flag("BYTES").flag_if("Q4", self.format == TableFormat::Q4)
    }
}

impl RowsInBytes {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &RowsInBytesBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("rows_in_bytes").with("WG", THREADS).with("GROUPS", self.groups);
        Dispatch {
            shader: shader.flag_if("Q4", self.format == TableFormat::Q4),
            grid: Grid::PerToken { x: (4 * self.groups).div_ceil(THREADS) as u32, z: 1 },
            bindings: vec![read(0, buffers.x), write(1, buffers.bytes), write(2, buffers.scales)],
        }
    }
}
