//! Y = X·Wᵀ for the tokens of a chunk, by products of bytes (`shaders/matmul_bytes.wgsl`).

use super::dispatch::{Dispatch, read};
use super::matmul::{Matmul, MatmulBuffers};
use crate::checkpoint::layout::TableFormat;
use crate::gpu::{Access, Warm};

/// Rows of a tile (TILE_N of the shader); it has as many tokens as one of `matmul.wgsl`.
pub const BYTES_TILE_ROWS: usize = 64;

/// A product with the part of a quantized table that one buffer holds.
pub struct MatmulBytes<'a> {
    /// The product; its parts divide groups of columns.
    pub product: Matmul<'a>,
    /// Scales of X, f32 [T, segments · groups]; X itself, among the buffers, is as `RowsInBytes` leaves it.
    pub scales: &'a wgpu::Buffer,
}

impl MatmulBytes<'_> {
    /// The kernel, which adds nothing to Y.
    pub fn ahead(format: TableFormat) -> Warm {
        Matmul::ahead_with("matmul_bytes", format, &[(6, Access::Read)])
    }
}

impl<'a> MatmulBytes<'a> {
    /// A dispatch for all tokens of a step.
    pub fn dispatch(&self, buffers: &MatmulBuffers<'a>) -> Dispatch<'a> {
        let mut dispatch = self.product.dispatch_tiles("matmul_bytes", BYTES_TILE_ROWS, buffers);
        dispatch.bindings.push(read(6, self.scales));
        dispatch
    }
}
