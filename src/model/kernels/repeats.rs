//! Which tokens would continue a repeat of the text (`shaders/repeats.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, uniform_range, write};
use crate::gpu::shader::ShaderSpec;

/// Longest text, in tokens, in which the GPU looks for repeats: for longer ones, the host does.
pub const TEXT: usize = 1 << 16;

/// The longest matches with the end of a text.
pub struct Repeats;

/// What it is bound to.
pub struct RepeatsBuffers<'a> {
    /// Uniform `Step`.
    pub step: wgpu::BufferBinding<'a>,
    /// Uniform `Sampling`.
    pub sampling: &'a wgpu::Buffer,
    /// Prompt and output, u32 [TEXT]: see `sampling.wgsl`.
    pub text: &'a wgpu::Buffer,
    /// Output, u32 [V].
    pub lengths: &'a wgpu::Buffer,
}

impl Repeats {
    /// A dispatch for a text of T tokens.
    pub fn dispatch<'a>(&self, buffers: &RepeatsBuffers<'a>) -> Dispatch<'a> {
        let bindings = vec![
            uniform_range(0, &buffers.step),
            uniform(1, buffers.sampling),
            read(2, buffers.text),
            write(3, buffers.lengths),
        ];
        Dispatch {
            shader: ShaderSpec::new("repeats").with("WG", THREADS).with("TEXT", TEXT),
            grid: Grid::PerTile { x: 1, tile: THREADS as u32, z: 1 },
            bindings,
        }
    }
}
