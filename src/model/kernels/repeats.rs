//! Which tokens would continue a repeat of the text (`shaders/repeats.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::several::several;
use crate::gpu::shader::ShaderSpec;

/// Longest text, in tokens, that the GPU searches for repeats: the host searches longer ones.
pub const TEXT: usize = 1 << 16;

/// Finds the longest matches with the end of a text.
pub struct Repeats;

/// Bindings.
pub struct RepeatsBuffers<'a> {
    /// Uniform `Step`; for several texts `TextStep` [T].
    pub step: &'a wgpu::Buffer,
    /// Uniform `Sampling`; for several texts `TextSampling` [T].
    pub sampling: &'a wgpu::Buffer,
    /// Prompt and output, u32 [TEXT]: see `sampling.wgsl`.
    pub text: &'a wgpu::Buffer,
    /// Output, u32 [V].
    pub lengths: &'a wgpu::Buffer,
}

impl Repeats {
    /// A dispatch for up to `texts` texts, the longest of which has T tokens, and a vocabulary.
    pub fn dispatch_several<'a>(&self, texts: usize, vocab: usize, buffers: &RepeatsBuffers<'a>) -> Dispatch<'a> {
        let Dispatch { shader, bindings, .. } = self.dispatch(buffers);
        let grid = Grid::PerTile { x: 1, tile: THREADS as u32, z: texts as u32 };
        Dispatch { shader: several(shader).with("V", vocab), grid, bindings }
    }

    /// A dispatch for a text of T tokens.
    pub fn dispatch<'a>(&self, buffers: &RepeatsBuffers<'a>) -> Dispatch<'a> {
        let bindings = vec![
            uniform(0, buffers.step),
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
