//! First half of choosing a token: penalties, bias, temperature, the best token of each workgroup
//! (`shaders/sample_adjust.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::several::several;
use crate::gpu::shader::ShaderSpec;

/// Tokens that one workgroup processes.
pub const TOKENS: usize = 4 * THREADS;

/// Turns logits into the values that a token is sampled from.
pub struct SampleAdjust {
    /// Logits, V.
    pub vocab: usize,
}

/// Bindings.
pub struct SampleAdjustBuffers<'a> {
    /// Uniform `Step`; for several texts `TextStep` [T].
    pub step: &'a wgpu::Buffer,
    /// Uniform `Sampling`; for several texts `TextSampling` [T].
    pub sampling: &'a wgpu::Buffer,
    /// Input, f32 [V]; for several texts, each `logits_stride` after the one before it.
    pub logits: &'a wgpu::Buffer,
    /// Counts of `sampling.wgsl`, vec2<u32> [V].
    pub seen: &'a wgpu::Buffer,
    /// Logit bias, f32 [V].
    pub bias: &'a wgpu::Buffer,
    /// Output, f32 [4·⌈V / 4⌉].
    pub adjusted: &'a wgpu::Buffer,
    /// Two vec4<f32> for every workgroup.
    pub partials: &'a wgpu::Buffer,
    /// Output of `repeats`, u32 [V]; 0 afterwards.
    pub lengths: &'a wgpu::Buffer,
}

impl SampleAdjust {
    /// Workgroups, each of which outputs the best that it found.
    pub fn partials(&self) -> usize {
        self.vocab.div_ceil(TOKENS)
    }

    /// A dispatch for T texts, whose logits are this far apart.
    pub fn dispatch_several<'a>(&self, logits_stride: usize, buffers: &SampleAdjustBuffers<'a>) -> Dispatch<'a> {
        let Dispatch { shader, bindings, .. } = self.dispatch(buffers);
        let shader = several(shader).with("LOGITS", logits_stride);
        Dispatch { shader, grid: Grid::PerToken { x: self.partials() as u32, z: 1 }, bindings }
    }

    /// A dispatch for one row of logits.
    pub fn dispatch<'a>(&self, buffers: &SampleAdjustBuffers<'a>) -> Dispatch<'a> {
        let bindings = vec![
            uniform(0, buffers.step),
            uniform(1, buffers.sampling),
            read(2, buffers.logits),
            read(3, buffers.seen),
            read(4, buffers.bias),
            write(5, buffers.adjusted),
            write(6, buffers.partials),
            write(7, buffers.lengths),
        ];
        Dispatch {
            shader: ShaderSpec::new("sample_adjust").with("WG", THREADS).with("V", self.vocab),
            grid: Grid::Fixed([self.partials() as u32, 1, 1]),
            bindings,
        }
    }
}
