//! Single parameter tokens in f32 (`shaders/slot.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, write};
use crate::gpu::shader::ShaderSpec;
use crate::model::tables::Table;

/// Rows or columns of the part of a table that one buffer holds.
pub struct Slots<'a> {
    /// W.
    pub table: &'a Table,
    /// Columns are read: the tokens of a transposed table.
    pub columns: bool,
    /// Elements of a token, d.
    pub hidden: usize,
    /// Number of tokens.
    pub tokens: usize,
}

/// Bindings besides those of the table.
pub struct SlotsBuffers<'a> {
    /// Row and column of each token's first element and its offset in `out`, u32 [tokens, 4].
    pub places: &'a wgpu::Buffer,
    /// Output, f32.
    pub out: &'a wgpu::Buffer,
}

impl<'a> Slots<'a> {
    /// A dispatch for all tokens.
    pub fn dispatch(&self, buffers: &SlotsBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("slot").with("WG", THREADS).with("D", self.hidden);
        let shader = self.table.constants(shader).flag_if("COLUMN", self.columns);
        let mut bindings = self.table.bindings(&self.table.parts[0]);
        bindings.extend([read(2, buffers.places), write(3, buffers.out)]);
        let grid = Grid::Fixed([self.hidden.div_ceil(THREADS) as u32, self.tokens as u32, 1]);
        Dispatch { shader, grid, bindings }
    }
}
