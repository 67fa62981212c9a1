//! Rotates the queries and keys of a chunk and appends to the KV cache (`shaders/append.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write, write_range};
use super::rotary::Rotary;
use super::several::{TailRanges, several};
use crate::gpu::shader::ShaderSpec;

/// Writes query, key and value of a chunk to where the attention reads them.
pub struct Append {
    /// Columns, d.
    pub hidden: usize,
    /// Rotary embedding of its heads.
    pub rotary: Rotary,
}

/// Bindings.
pub struct AppendBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Input, f32 [T, 3, d].
    pub qkv: &'a wgpu::Buffer,
    /// Rotated queries, f32 [T, d].
    pub q: &'a wgpu::Buffer,
    /// Cached keys and values, f16 [context, d].
    pub keys: wgpu::BufferBinding<'a>,
    pub values: wgpu::BufferBinding<'a>,
    /// cos and sin, f32 [context, r/2, 2].
    pub angles: &'a wgpu::Buffer,
}

impl Append {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &AppendBuffers<'a>) -> Dispatch<'a> {
        let spec = ShaderSpec::new("append").with("WG", THREADS).with("D_MODEL", self.hidden);
        let bindings = vec![
            uniform(0, buffers.step),
            read(1, buffers.qkv),
            write(2, buffers.q),
            write_range(3, &buffers.keys),
            write_range(4, &buffers.values),
            read(5, buffers.angles),
        ];
        let grid = Grid::PerToken { x: (self.hidden / 2).div_ceil(THREADS) as u32, z: 3 };
        Dispatch { shader: self.rotary.constants(spec), grid, bindings }
    }

    /// The same for texts one after another; `starts`: the first token of each one's text, u32 [T].
    pub fn dispatch_together<'a>(&self, buffers: &AppendBuffers<'a>, starts: &'a wgpu::Buffer) -> Dispatch<'a> {
        let Dispatch { shader, grid, mut bindings } = self.dispatch(buffers);
        bindings.push(read(6, starts));
        Dispatch { shader: shader.flag("TOGETHER"), grid, bindings }
    }

    /// A dispatch for one token of each of several texts: keys and values go into their tails.
    pub fn dispatch_several<'a>(&self, buffers: AppendBuffers<'a>, tails: &TailRanges<'a>) -> Dispatch<'a> {
        let (keys, values) = (tails.keys.clone(), tails.values.clone());
        let Dispatch { shader, grid, mut bindings } = self.dispatch(&AppendBuffers { keys, values, ..buffers });
        bindings.push(uniform(6, tails.steps));
        Dispatch { shader: several(shader), grid, bindings }
    }
}
