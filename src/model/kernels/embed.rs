//! h[t] = E[ids[t]] (`shaders/embed.wgsl`).

use super::dispatch::{Dispatch, Grid, read, uniform, write};
use crate::config::GROUP_SIZE;
use crate::gpu::shader::ShaderSpec;
use crate::model::tables::{Table, TablePart};

/// Threads of a workgroup; each makes a group of elements.
const THREADS: usize = 32;

/// Rows of the part of the embedding that one buffer holds; tokens in other parts are left alone.
pub struct Embed<'a> {
    /// The embedding.
    pub table: &'a Table,
    /// Part of the table.
    pub part: &'a TablePart,
}

/// Bindings besides those of the table.
pub struct EmbedBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Token ids, u32 [T].
    pub ids: &'a wgpu::Buffer,
    /// Output, f32 [T, d].
    pub h: &'a wgpu::Buffer,
}

impl<'a> Embed<'a> {
    /// A dispatch for all tokens of a step.
    pub fn dispatch(&self, buffers: &EmbedBuffers<'a>) -> Dispatch<'a> {
        let Self { table, part } = *self;
        let shader = table
            .constants(ShaderSpec::new("embed").with("WG", THREADS))
            .with("FIRST_ROW", part.first_row)
            .with("PART_ROWS", part.rows);
        let groups = table.shape().cols / GROUP_SIZE;
        let mut bindings = table.bindings(part);
        bindings.extend([uniform(2, buffers.step), read(3, buffers.ids), write(4, buffers.h)]);
        Dispatch { shader, grid: Grid::PerToken { x: groups.div_ceil(THREADS) as u32, z: 1 }, bindings }
    }
}
