//! What choosing a token on the GPU reads and writes.

use super::kernels::sample_adjust;
use super::kernels::sample_pick::RING;
use super::kernels::sampling::{Sampling, bias_of, seen_of};
use crate::config::ModelConfig;
use crate::engine::Text;
use crate::gpu::{Gpu, GpuBuffer};
use crate::sampling::SamplingOptions;

/// Buffers of `sample_adjust.wgsl` and `sample_pick.wgsl`.
pub struct SamplingBuffers {
    /// Uniform `Sampling`.
    pub sampling: GpuBuffer,
    /// What prompt and output hold, and what the first token may not be: bits of `sampling.wgsl`, u32 [V].
    pub seen: GpuBuffer,
    /// Logit bias, f32 [V].
    pub bias: GpuBuffer,
    /// Logits after penalties, bias and temperature, f32 [4·⌈V / 4⌉].
    pub adjusted: GpuBuffer,
    /// vec4<f32> for every workgroup of `sample_adjust.wgsl`.
    pub partials: GpuBuffer,
    /// Tokens chosen, u32 [RING].
    pub tokens: GpuBuffer,
}

impl SamplingBuffers {
    /// Allocates for a vocabulary.
    pub fn new(gpu: &Gpu, config: &ModelConfig) -> Self {
        use wgpu::BufferUsages as U;
        let vocab = config.padded_vocab_size as u64;
        let f32s = |label, n: u64| GpuBuffer::storage(gpu, label, n * 4);
        Self {
            sampling: GpuBuffer::new(gpu, "sampling", size_of::<Sampling>() as u64, U::UNIFORM | U::COPY_DST),
            seen: f32s("seen", vocab),
            bias: f32s("bias", vocab),
            adjusted: f32s("adjusted", vocab.next_multiple_of(4)),
            partials: f32s("partials", vocab.div_ceil(sample_adjust::TOKENS as u64) * 4),
            tokens: f32s("tokens", RING as u64),
        }
    }

    /// Uploads the options of a completion; what `seen` holds then.
    pub fn write(
        &self,
        gpu: &Gpu,
        options: &SamplingOptions,
        text: Text<'_>,
        real_ids: usize,
        vocab: usize,
    ) -> Vec<u32> {
        let sampling = Sampling::new(options, real_ids.min(vocab));
        let (seen, bias) = (seen_of(options, text, vocab), bias_of(options, vocab));
        gpu.queue.write_buffer(&self.sampling.buffer, 0, bytemuck::bytes_of(&sampling));
        gpu.queue.write_buffer(&self.seen.buffer, 0, bytemuck::cast_slice(&seen));
        gpu.queue.write_buffer(&self.bias.buffer, 0, bytemuck::cast_slice(&bias));
        seen
    }
}
