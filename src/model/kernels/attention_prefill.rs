//! Causal attention of a chunk over the KV cache (`shaders/attention_prefill.wgsl`).

use super::dispatch::{Dispatch, Grid, read, read_range, uniform, write};
use crate::gpu::shader::ShaderSpec;

/// Queries of a workgroup (TILE of the shader).
pub const TILE: usize = 16;

/// softmax(q·kᵀ/√D, causal)·v.
pub struct AttentionPrefill {
    /// Columns, d.
    pub hidden: usize,
    /// Dimensions of a head, at most 112.
    pub head: usize,
}

/// Bindings.
pub struct AttentionPrefillBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Rotated queries, f32 [T, d].
    pub q: &'a wgpu::Buffer,
    /// Cached keys and values, f16 [context, d].
    pub keys: wgpu::BufferBinding<'a>,
    pub values: wgpu::BufferBinding<'a>,
    /// Output, f32 [T, d].
    pub out: &'a wgpu::Buffer,
}

impl AttentionPrefill {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &AttentionPrefillBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("attention_prefill").with("D_MODEL", self.hidden).with("HEAD", self.head);
        let bindings = vec![
            uniform(0, buffers.step),
            read(1, buffers.q),
            read_range(2, &buffers.keys),
            read_range(3, &buffers.values),
            write(4, buffers.out),
        ];
        let grid = Grid::PerTile { x: (self.hidden / self.head) as u32, tile: TILE as u32, z: 1 };
        Dispatch { shader, grid, bindings }
    }
}
