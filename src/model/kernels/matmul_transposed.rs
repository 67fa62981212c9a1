//! dX = dY·W, the backward pass of a product with a table (`shaders/matmul_transposed.wgsl`).

use super::dispatch::{Dispatch, Grid, read, uniform, write};
use super::matmul::Shape;
use crate::config::GROUP_SIZE;
use crate::gpu::shader::ShaderSpec;
use crate::model::tables::{Table, TablePart};

/// Tokens and columns of a tile (TILE_T and TILE_N of the shader).
pub const TILE_TOKENS: usize = 64;
pub const TILE_COLS: usize = 128;

/// The backward pass of the part of a table that one buffer holds.
pub struct MatmulTransposed<'a> {
    /// W.
    pub table: &'a Table,
    /// Part of the table: its rows are multiplied by dY's columns, starting at the number of its first row.
    pub part: &'a TablePart,
    /// Runs of rows, each of which writes its own columns of dX.
    pub segments: usize,
    /// Parts into which the sum over rows is split; `add_parts` joins them.
    pub parts: usize,
    /// Number of dY's columns.
    pub dy_stride: usize,
}

/// Bindings besides those of the table.
pub struct MatmulTransposedBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Gradient w.r.t. the product, f32 [T, dy_stride].
    pub dy: &'a wgpu::Buffer,
    /// Gradient w.r.t. its input, f32 [T, segments · cols]; with parts [parts, T, …].
    pub dx: &'a wgpu::Buffer,
    /// Uniform `Shape`, as [`MatmulTransposed::shape`] says.
    pub shape: &'a wgpu::Buffer,
}

impl<'a> MatmulTransposed<'a> {
    /// Contents of the uniform.
    pub fn shape(&self) -> Shape {
        Shape {
            groups: self.table.groups() as u32,
            segments: self.segments as u32,
            segment_rows: (self.part.rows / self.segments) as u32,
            y_stride: self.dy_stride as u32,
            y_start: self.part.first_row as u32,
            parts: self.parts as u32,
        }
    }

    /// A dispatch for all tokens of a step.
    pub fn dispatch(&self, buffers: &MatmulTransposedBuffers<'a>) -> Dispatch<'a> {
        let shader = self.table.format_flag(ShaderSpec::new("matmul_transposed"));
        let mut bindings = self.table.bindings(self.part);
        bindings.extend([
            uniform(2, buffers.step),
            read(3, buffers.dy),
            write(4, buffers.dx),
            uniform(5, buffers.shape),
        ]);
        let cols = self.table.groups() * GROUP_SIZE;
        let (x, z) = (cols.div_ceil(TILE_COLS) as u32, (self.segments * self.parts) as u32);
        Dispatch { shader, grid: Grid::PerTile { x, tile: TILE_TOKENS as u32, z }, bindings }
    }
}
