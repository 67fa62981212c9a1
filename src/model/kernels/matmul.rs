//! Y = X·Wᵀ for the tokens of a chunk (`shaders/matmul.wgsl`).

use super::dispatch::{Dispatch, Grid, read, uniform, write};
use crate::checkpoint::layout::TableFormat;
use crate::gpu::shader::ShaderSpec;
use crate::gpu::{Access, Warm};
use crate::model::tables::{Table, TablePart, format_flag};

/// Tokens and rows of a tile (TILE_T and TILE_N of the shader).
pub const TILE_TOKENS: usize = 64;
pub const TILE_ROWS: usize = 128;

/// A product with the part of a table that one buffer holds.
pub struct Matmul<'a> {
    /// W.
    pub table: &'a Table,
    /// Part of the table.
    pub part: &'a TablePart,
    /// Runs of rows, each of which reads its own columns of X.
    pub segments: usize,
    /// Parts into which the sum over columns is split; `sum_parts` joins them.
    pub parts: usize,
    /// Number of Y's columns.
    pub y_stride: usize,
    /// Y += instead of Y =.
    pub residual: bool,
}

/// Bindings besides those of the table.
pub struct MatmulBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Input, f32 [T, segments · cols].
    pub x: &'a wgpu::Buffer,
    /// Output, f32 [T, y_stride]; with parts [parts, T, y_stride].
    pub y: &'a wgpu::Buffer,
    /// Uniform `Shape`, as [`Matmul::shape`] says.
    pub shape: &'a wgpu::Buffer,
}

/// `Shape` of the shader: a uniform, so that one pipeline serves every table of a model.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Shape {
    pub groups: u32,
    pub segments: u32,
    pub segment_rows: u32,
    pub y_stride: u32,
    pub y_start: u32,
    pub parts: u32,
}

impl Matmul<'_> {
    /// The kernel for a quantized table, which adds nothing to Y.
    pub fn ahead(format: TableFormat) -> Warm {
        Self::ahead_with("matmul", format, &[])
    }

    /// Another kernel with these tiles and more bindings.
    pub(super) fn ahead_with(kernel: &'static str, format: TableFormat, more: &[(u32, Access)]) -> Warm {
        use Access::{Read, Uniform, Write};
        let own = [(0, Read), (1, Read), (2, Uniform), (3, Read), (4, Write), (5, Uniform)];
        Warm::new(ShaderSpec::new(kernel).flag(format_flag(format)), [&own, more].concat())
    }
}

impl<'a> Matmul<'a> {
    /// Contents of the uniform.
    pub fn shape(&self) -> Shape {
        Shape {
            groups: self.table.groups() as u32,
            segments: self.segments as u32,
            segment_rows: self.segment_rows() as u32,
            y_stride: self.y_stride as u32,
            y_start: self.part.first_row as u32,
            parts: self.parts as u32,
        }
    }

    /// A dispatch for all tokens of a step.
    pub fn dispatch(&self, buffers: &MatmulBuffers<'a>) -> Dispatch<'a> {
        self.dispatch_tiles("matmul", TILE_ROWS, buffers)
    }

    /// The same with another kernel, whose tiles have this many rows.
    pub(super) fn dispatch_tiles(
        &self,
        kernel: &'static str,
        tile_rows: usize,
        buffers: &MatmulBuffers<'a>,
    ) -> Dispatch<'a> {
        // Parts of a sum are stored unsummed; the kernel that joins them adds the rest.
        let residual = self.residual && self.parts == 1;
        let shader = self.table.format_flag(ShaderSpec::new(kernel)).flag_if("RESIDUAL", residual);
        let mut bindings = self.table.bindings(self.part);
        bindings.extend([uniform(2, buffers.step), read(3, buffers.x), write(4, buffers.y), uniform(5, buffers.shape)]);
        let (x, z) = (self.segment_rows().div_ceil(tile_rows) as u32, (self.segments * self.parts) as u32);
        Dispatch { shader, grid: Grid::PerTile { x, tile: TILE_TOKENS as u32, z }, bindings }
    }

    fn segment_rows(&self) -> usize {
        self.part.rows / self.segments
    }
}
