//! What choosing a token on the GPU reads and writes.

use super::kernels::repeats::TEXT;
use super::kernels::sample_adjust;
use super::kernels::sample_pick::RING;
use super::kernels::sampling::{Sampling, seen_words, text_words};
use crate::config::ModelConfig;
use crate::gpu::{Gpu, GpuBuffer};
use crate::sampling::{SamplingOptions, Seen};

/// Buffers of `repeats.wgsl`, `sample_adjust.wgsl` and `sample_pick.wgsl`.
pub struct SamplingBuffers {
    /// Uniform `Sampling`.
    pub sampling: GpuBuffer,
    /// How often prompt and output hold each token, and which is barred: see `sampling.wgsl`, vec2<u32> [V].
    pub seen: GpuBuffer,
    /// Logit bias, f32 [V].
    pub bias: GpuBuffer,
    /// Logits after penalties, bias and temperature, f32 [4·⌈V / 4⌉].
    pub adjusted: GpuBuffer,
    /// Two vec4<f32> for every workgroup of `sample_adjust.wgsl`.
    pub partials: GpuBuffer,
    /// Tokens chosen, u32 [RING].
    pub tokens: GpuBuffer,
    /// Prompt and output, where repeats are looked for on the GPU, u32 [TEXT], and what was found, u32 [V].
    pub text: GpuBuffer,
    pub lengths: GpuBuffer,
}

impl SamplingBuffers {
    /// Allocates for a vocabulary.
    pub fn new(gpu: &Gpu, config: &ModelConfig) -> Self {
        use wgpu::BufferUsages as U;
        let vocab = config.padded_vocab_size as u64;
        let f32s = |label, n: u64| GpuBuffer::storage(gpu, label, n * 4);
        Self {
            sampling: GpuBuffer::new(gpu, "sampling", size_of::<Sampling>() as u64, U::UNIFORM | U::COPY_DST),
            seen: f32s("seen", 2 * vocab),
            bias: f32s("bias", vocab),
            adjusted: f32s("adjusted", vocab.next_multiple_of(4)),
            partials: f32s("partials", vocab.div_ceil(sample_adjust::TOKENS as u64) * 8),
            tokens: f32s("tokens", RING as u64),
            text: f32s("text", TEXT as u64),
            lengths: f32s("lengths of repeats", vocab),
        }
    }

    /// Uploads the options of a completion, where it goes on.
    pub fn write(&self, gpu: &Gpu, options: &SamplingOptions, seen: &Seen, bias: &[f32], real_ids: usize) {
        let (prompt, written) = (seen.text().len() - seen.written(), seen.written());
        let sampling = Sampling::new(options, real_ids.min(seen.counts().len()), prompt, written);
        gpu.queue.write_buffer(&self.sampling.buffer, 0, bytemuck::bytes_of(&sampling));
        self.write_seen(gpu, options, seen);
        self.write_bias(gpu, 0, bias);
    }

    /// Uploads what penalties count, which ids are barred where the text goes on, and the text itself if its repeats count.
    pub fn write_seen(&self, gpu: &Gpu, options: &SamplingOptions, seen: &Seen) {
        gpu.queue.write_buffer(&self.seen.buffer, 0, bytemuck::cast_slice(&seen_words(options, seen)));
        if options.dry.multiplier > 0.0 && seen.text().len() <= TEXT {
            gpu.queue.write_buffer(&self.text.buffer, 0, bytemuck::cast_slice(&text_words(options, seen.text())));
        }
    }

    /// Uploads the bias of the ids from `first` on.
    pub fn write_bias(&self, gpu: &Gpu, first: usize, bias: &[f32]) {
        gpu.queue.write_buffer(&self.bias.buffer, first as u64 * 4, bytemuck::cast_slice(bias));
    }
}
