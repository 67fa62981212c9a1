//! What the kernel is bound to, and how many workgroups run.

use super::spec::Layers;
use crate::gpu::Binding;
use crate::model::kernels::dispatch::{Dispatch, Grid, read, uniform, write_range};
use wgpu::BufferBinding;

/// What it is bound to.
pub struct LayersBuffers<'a> {
    /// Tables of all layers, bindings 0 and 1.
    pub tables: Vec<Binding<'a>>,
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Residual stream, read and replaced, f32 [d].
    pub h: BufferBinding<'a>,
    /// What this dispatch sends, 0 before, u32 [`Layers::failed_at`] and the word that tells of a failure.
    pub mailbox: BufferBinding<'a>,
    /// What another dispatch has sent, which is cleared, of the same size.
    pub old: BufferBinding<'a>,
    /// Keys and values, f16 [layers, stride of the cache].
    pub keys: BufferBinding<'a>,
    pub values: BufferBinding<'a>,
    /// cos and sin, f32 [context, r/2, 2], and then the tokens of packs, where such take part.
    pub angles: &'a wgpu::Buffer,
}

impl Layers {
    /// A dispatch of `layers` layers whose word of failure is `failed`.
    pub fn dispatch<'a>(&self, layers: usize, failed: usize, buffers: LayersBuffers<'a>) -> Dispatch<'a> {
        let LayersBuffers { tables, step, h, mailbox, old, keys, values, angles } = buffers;
        let mut bindings = tables;
        bindings.push(uniform(2, step));
        bindings.extend((3..).zip([h, mailbox, old, keys, values]).map(|(index, range)| write_range(index, &range)));
        bindings.push(read(8, angles));
        let grid = Grid::Fixed([self.team.workgroups as u32, 1, 1]);
        Dispatch { shader: self.shader(layers, failed), grid, bindings }
    }
}
