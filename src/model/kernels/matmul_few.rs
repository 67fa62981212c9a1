//! Y = X·Wᵀ for a few tokens (`shaders/matmul_few.wgsl`).

use super::dispatch::{Dispatch, Grid, read, uniform, write};
use super::matmul::{Matmul, MatmulBuffers};
use crate::gpu::shader::ShaderSpec;

/// Rows of W that a workgroup computes (ROWS_PER_WG of the shader).
pub const WORKGROUP_ROWS: usize = 8;

/// A product that is not split, with the part of a table that one buffer holds.
pub struct MatmulFew<'a> {
    /// The product.
    pub product: Matmul<'a>,
    /// Largest number of tokens.
    pub tokens: usize,
}

impl<'a> MatmulFew<'a> {
    /// A dispatch for all tokens of a step.
    pub fn dispatch(&self, buffers: &MatmulBuffers<'a>) -> Dispatch<'a> {
        let Matmul { table, part, residual, .. } = self.product;
        let shader = table.format_flag(ShaderSpec::new("matmul_few").with("TOKENS", self.tokens));
        let mut bindings = table.bindings(part);
        bindings.extend([uniform(2, buffers.step), read(3, buffers.x), write(4, buffers.y), uniform(5, buffers.shape)]);
        let grid = Grid::folded(part.rows.div_ceil(WORKGROUP_ROWS));
        Dispatch { shader: shader.flag_if("RESIDUAL", residual), grid, bindings }
    }
}
