//! Lengths of value tokens (`shaders/value_norms.wgsl`).

use super::dispatch::{Dispatch, Grid, write_range};
use crate::gpu::shader::ShaderSpec;
use crate::model::tables::Table;

/// Columns of a workgroup (8 · OCTETS of the shader).
const WORKGROUP_COLUMNS: usize = 128;

/// The lengths of a table's columns.
pub struct ValueNorms<'a> {
    /// W[segments · hidden, padded slots], in one part.
    pub table: &'a Table,
    /// Number of Pattentions, stacked by rows.
    pub segments: usize,
}

impl<'a> ValueNorms<'a> {
    /// A dispatch that writes `tokens`, f32 [segments, padded slots, 2].
    pub fn dispatch(&self, tokens: wgpu::BufferBinding<'a>) -> Dispatch<'a> {
        let shape = self.table.shape();
        let shader = self.table.constants(ShaderSpec::new("value_norms").with("D", shape.rows / self.segments));
        let mut bindings = self.table.bindings(&self.table.parts[0]);
        bindings.push(write_range(2, &tokens));
        let grid = Grid::Fixed([shape.cols.div_ceil(WORKGROUP_COLUMNS) as u32, self.segments as u32, 1]);
        Dispatch { shader, grid, bindings }
    }
}
