//! Second half of choosing a token: the filters and the draw (`shaders/sample_pick.wgsl`).

use super::dispatch::{Dispatch, Grid, read, uniform, write};
use super::repeats::TEXT;
use super::sample_adjust::TOKENS;
use super::several::several;
use crate::gpu::shader::ShaderSpec;
use crate::gpu::{Access, Gpu, Warm};

/// Capacity of the ring of chosen tokens: more than are ever ahead of the host.
pub const RING: usize = 64;

/// Chooses a token from the output of `sample_adjust`.
pub struct SamplePick {
    /// Threads of the one workgroup.
    pub threads: usize,
    /// Values, V.
    pub vocab: usize,
}

/// Bindings.
pub struct SamplePickBuffers<'a> {
    /// Uniform `Step`; for several texts `TextStep` [T].
    pub step: &'a wgpu::Buffer,
    /// Uniform `Sampling`; for several texts `TextSampling` [T].
    pub sampling: &'a wgpu::Buffer,
    /// Input, f32 [4·⌈V / 4⌉].
    pub adjusted: &'a wgpu::Buffer,
    /// Two vec4<f32> for every workgroup of `sample_adjust`.
    pub partials: &'a wgpu::Buffer,
    /// Counts of `sampling.wgsl`, vec2<u32> [V]: the chosen token is added, and the one that leaves the range is
    /// removed.
    pub seen: &'a wgpu::Buffer,
    /// The token, at the step's `first_row`, u32.
    pub ids: &'a wgpu::Buffer,
    /// The token, at the step's index modulo [`RING`], u32 [RING].
    pub tokens: &'a wgpu::Buffer,
    /// Output: the token is written after prompt and output, u32 [TEXT].
    pub text: &'a wgpu::Buffer,
}

impl SamplePick {
    /// For this device: one workgroup does all the work, so more threads finish sooner.
    pub fn new(gpu: &Gpu, vocab: usize) -> Self {
        let limits = gpu.device.limits();
        let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        // The kernel needs 12 bytes of workgroup memory per thread, and 3 kB for its bins.
        Self { threads: if most < 1024 || gpu.is_software { 256 } else { 1024 }, vocab }
    }

    /// A dispatch for a token of each of T texts.
    pub fn dispatch_several<'a>(&self, buffers: &SamplePickBuffers<'a>) -> Dispatch<'a> {
        let Dispatch { shader, bindings, .. } = self.dispatch(buffers);
        Dispatch { shader: several(shader), grid: Grid::PerToken { x: 1, z: 1 }, bindings }
    }

    /// The kernel for one token.
    pub fn ahead(&self) -> Warm {
        use Access::{Read, Uniform, Write};
        let accesses = [Uniform, Uniform, Read, Read, Write, Write, Write, Write];
        Warm::new(self.shader(), (0..).zip(accesses).collect())
    }

    fn shader(&self) -> ShaderSpec {
        ShaderSpec::new("sample_pick")
            .with("WG", self.threads)
            .with("V", self.vocab)
            .with("PARTIALS", self.vocab.div_ceil(TOKENS))
            .with("RING", RING)
            .with("TEXT", TEXT)
    }

    /// A dispatch for one token.
    pub fn dispatch<'a>(&self, buffers: &SamplePickBuffers<'a>) -> Dispatch<'a> {
        let bindings = vec![
            uniform(0, buffers.step),
            uniform(1, buffers.sampling),
            read(2, buffers.adjusted),
            read(3, buffers.partials),
            write(4, buffers.seen),
            write(5, buffers.ids),
            write(6, buffers.tokens),
            write(7, buffers.text),
        ];
        Dispatch { shader: self.shader(), grid: Grid::Fixed([1, 1, 1]), bindings }
    }
}
