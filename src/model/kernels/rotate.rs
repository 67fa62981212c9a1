//! Rotates queries and keys of sequences in place, and back (`shaders/rotate.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::rotary::Rotary;
use crate::gpu::shader::ShaderSpec;

/// Rotary embedding of whole sequences.
pub struct Rotate {
    /// Columns, d.
    pub hidden: usize,
    /// Rotary embedding of its heads; some dimensions have to be rotated.
    pub rotary: Rotary,
    /// Gradients are rotated back.
    pub backward: bool,
}

/// Bindings.
pub struct RotateBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Uniform `Batch`.
    pub batch: &'a wgpu::Buffer,
    /// Queries, keys and values, f32 [T, 3, d].
    pub qkv: &'a wgpu::Buffer,
    /// cos and sin, f32 [length, r/2, 2].
    pub angles: &'a wgpu::Buffer,
}

impl Rotate {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &RotateBuffers<'a>) -> Dispatch<'a> {
        let spec = ShaderSpec::new("rotate").with("WG", THREADS).with("D_MODEL", self.hidden);
        let bindings =
            vec![uniform(0, buffers.step), uniform(1, buffers.batch), write(2, buffers.qkv), read(3, buffers.angles)];
        let pairs = self.hidden / self.rotary.head * self.rotary.dims / 2;
        let grid = Grid::PerToken { x: pairs.div_ceil(THREADS) as u32, z: 2 };
        Dispatch { shader: self.rotary.constants(spec).flag_if("BACKWARD", self.backward), grid, bindings }
    }
}
