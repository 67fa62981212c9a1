//! Joins the parts of the attention of several texts (`shaders/attention_join.wgsl`).

use super::attention_parts::AttentionParts;
use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::several::several;
use crate::gpu::shader::ShaderSpec;

/// softmax(q·kᵀ/√D)·v, joined from its parts.
pub struct AttentionJoin {
    /// How it was split.
    pub parts: AttentionParts,
}

/// Bindings.
pub struct AttentionJoinBuffers<'a> {
    /// Uniform `TextStep` [T].
    pub steps: &'a wgpu::Buffer,
    /// Input, f32 [T, [`AttentionParts::stride`]].
    pub parts: &'a wgpu::Buffer,
    /// Output, f32 [T, d].
    pub u: &'a wgpu::Buffer,
}

impl AttentionJoin {
    /// A dispatch for one token of each of several texts.
    pub fn dispatch<'a>(&self, buffers: &AttentionJoinBuffers<'a>) -> Dispatch<'a> {
        let spec = ShaderSpec::new("attention_join").with("WG", THREADS).flag("COMBINE");
        Dispatch {
            shader: several(self.parts.layout(spec)),
            grid: Grid::PerToken { x: (self.parts.hidden / 4).div_ceil(THREADS) as u32, z: 1 },
            bindings: vec![uniform(0, buffers.steps), read(1, buffers.parts), write(2, buffers.u)],
        }
    }
}
