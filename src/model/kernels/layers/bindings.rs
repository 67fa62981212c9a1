//! The kernel's bindings, and how many workgroups run.

use super::spec::Layers;
use crate::gpu::Binding;
use crate::model::kernels::dispatch::{Dispatch, Grid, read, read_range, uniform, write, write_range};
use wgpu::BufferBinding;

/// Bindings.
pub struct LayersBuffers<'a> {
    /// Tables of all layers, bindings 0 and 1.
    pub tables: Vec<Binding<'a>>,
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Residual stream, read and replaced, f32 [d].
    pub h: BufferBinding<'a>,
    /// Words sent by this dispatch, initially 0, u32 [`Layers::failed_at`] followed by the failure word.
    pub mailbox: BufferBinding<'a>,
    /// Words sent by another dispatch, which are cleared, of the same size.
    pub old: BufferBinding<'a>,
    /// Keys and values, f16 [layers, stride of the cache].
    pub keys: BufferBinding<'a>,
    pub values: BufferBinding<'a>,
    /// cos and sin, f32 [context, r/2, 2], followed by the tokens of packs, if any are active.
    pub angles: &'a wgpu::Buffer,
}

/// Bindings for several texts.
pub struct LayersOfTextsBuffers<'a> {
    /// Tables of all layers, bindings 0 and 1.
    pub tables: Vec<Binding<'a>>,
    /// Uniforms `Step`, whose count is the number of texts, and `TextStep` [T].
    pub step: &'a wgpu::Buffer,
    pub steps: &'a wgpu::Buffer,
    /// Residual streams, read and replaced, f32 [T, d].
    pub h: BufferBinding<'a>,
    /// Words sent by this dispatch and another, u32: two sets of [`Layers::failed_at`] words and the failure word.
    pub mailbox: &'a wgpu::Buffer,
    /// Keys and values that the texts do not share, f16 [layers, 2, rows of all tails, d].
    pub tails: BufferBinding<'a>,
    /// Keys and values that the texts share, f16 [layers, stride of the cache].
    pub keys: BufferBinding<'a>,
    pub values: BufferBinding<'a>,
    /// cos and sin, f32 [context, r/2, 2].
    pub angles: &'a wgpu::Buffer,
    /// Uniform [`Room`].
    pub room: &'a wgpu::Buffer,
}

/// `Room` of the shader: offsets and strides in buffers whose layout is not compiled in.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Room {
    /// First words of the mailbox that the dispatch sends by, and of the one that another dispatch has left.
    pub mine: u32,
    pub old: u32,
    /// Octets of tails from layer to layer, and from keys to values.
    pub tail_stride: u32,
    pub tail_values: u32,
}

impl Layers {
    /// A dispatch of `layers` layers for several texts, whose failure word is `failed`.
    pub fn dispatch_several<'a>(
        &self,
        layers: usize,
        failed: usize,
        buffers: LayersOfTextsBuffers<'a>,
    ) -> Dispatch<'a> {
        let LayersOfTextsBuffers { tables, step, steps, h, mailbox, tails, keys, values, angles, room } = buffers;
        let mut bindings = tables;
        bindings.extend([uniform(2, step), write_range(3, &h), write(4, mailbox), write_range(5, &tails)]);
        bindings.extend([read_range(6, &keys), read_range(7, &values), read(8, angles)]);
        bindings.extend([uniform(9, steps), uniform(10, room)]);
        let grid = Grid::Fixed([self.team.workgroups as u32, 1, 1]);
        Dispatch { shader: self.shader(layers, failed), grid, bindings }
    }

    /// A dispatch of `layers` layers whose failure word is `failed`.
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
