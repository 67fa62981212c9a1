//! Causal attention of one token over the KV cache, in parts (`shaders/attention_decode.wgsl`).

use super::attention_parts::{AttentionParts, PART};
use super::dispatch::{Dispatch, Grid, read, read_range, uniform, write};
use super::several::{TailRanges, several};
use crate::gpu::shader::{SUBGROUPS, ShaderSpec};

/// Parts of softmax(q·kᵀ/√D)·v.
pub struct AttentionDecode {
    /// How it is split.
    pub parts: AttentionParts,
    /// Sums by subgroups.
    pub subgroups: bool,
}

/// Bindings.
pub struct AttentionDecodeBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Rotated query, f32 [d].
    pub q: &'a wgpu::Buffer,
    /// Cached keys and values, f16 [context, d].
    pub keys: wgpu::BufferBinding<'a>,
    pub values: wgpu::BufferBinding<'a>,
    /// Output, f32 [`AttentionParts::len`].
    pub parts: &'a wgpu::Buffer,
}

impl AttentionDecode {
    /// A dispatch for a step of one token.
    pub fn dispatch<'a>(&self, buffers: &AttentionDecodeBuffers<'a>) -> Dispatch<'a> {
        let shader = self.parts.constants(ShaderSpec::new("attention_decode").with("WG", PART));
        let bindings = vec![
            uniform(0, buffers.step),
            read(1, buffers.q),
            read_range(2, &buffers.keys),
            read_range(3, &buffers.values),
            write(4, buffers.parts),
        ];
        let grid = Grid::PerPart { heads: self.parts.heads() as u32, part: PART as u32 };
        Dispatch { shader: shader.flag_if(SUBGROUPS, self.subgroups), grid, bindings }
    }

    /// A dispatch for one token of each of several texts: queries, f32 [T, d], and the parts of each, one after the
    /// other.
    pub fn dispatch_several<'a>(&self, buffers: &AttentionDecodeBuffers<'a>, tails: &TailRanges<'a>) -> Dispatch<'a> {
        let Dispatch { shader, mut bindings, .. } = self.dispatch(buffers);
        let TailRanges { steps, keys, values } = tails;
        bindings.extend([uniform(5, steps), read_range(6, keys), read_range(7, values)]);
        let grid = Grid::PerPartOfEach { heads: self.parts.heads() as u32, part: PART as u32 };
        Dispatch { shader: several(shader), grid, bindings }
    }
}
