//! Buffers for choosing a token on the GPU.

use super::kernels::repeats::TEXT;
use super::kernels::sample_adjust;
use super::kernels::sample_pick::RING;
use super::kernels::sampling::{Sampling, TextSampling, seen_words, text_words};
use crate::config::ModelConfig;
use crate::engine::MOST_ROWS;
use crate::gpu::{Gpu, GpuBuffer};
use crate::sampling::{SamplingOptions, Seen};

/// Buffers of `repeats.wgsl`, `sample_adjust.wgsl` and `sample_pick.wgsl` for R texts whose tokens are chosen at once.
pub struct SamplingBuffers {
    /// R and V.
    rows: usize,
    vocab: usize,
    /// Uniform `Sampling`, or for several texts `TextSampling` [MOST_ROWS].
    pub sampling: GpuBuffer,
    /// How often prompt and output contain each token, and which tokens are barred: see `sampling.wgsl`, vec2<u32> [R,
    /// V].
    pub seen: GpuBuffer,
    /// Logit bias, f32 [R, V].
    pub bias: GpuBuffer,
    /// Logits after penalties, bias and temperature, f32 [R, 4·⌈V / 4⌉].
    pub adjusted: GpuBuffer,
    /// Two vec4<f32> for every workgroup of `sample_adjust.wgsl`, which has several for each text.
    pub partials: GpuBuffer,
    /// Tokens chosen, u32 [R, RING].
    pub tokens: GpuBuffer,
    /// Prompt and output, if the GPU searches for repeats, u32 [R, TEXT], and the repeats found, u32 [R, V].
    pub text: GpuBuffer,
    pub lengths: GpuBuffer,
}

/// The buffers of one text.
#[derive(Clone, Copy)]
pub struct SamplingRow<'a> {
    buffers: &'a SamplingBuffers,
    row: usize,
}

impl SamplingBuffers {
    /// Allocates for a vocabulary and a number of texts.
    pub fn new(gpu: &Gpu, config: &ModelConfig, rows: usize) -> Self {
        use wgpu::BufferUsages as U;
        let vocab = config.padded_vocab_size;
        let f32s = |label, n: usize| GpuBuffer::storage(gpu, label, (rows * n) as u64 * 4);
        // A shader for several texts has options for the largest possible number.
        let texts = if rows > 1 { rows.max(MOST_ROWS) } else { rows };
        let sampling = (texts * size_of::<TextSampling>()) as u64;
        Self {
            rows,
            vocab,
            sampling: GpuBuffer::new(gpu, "sampling", sampling, U::UNIFORM | U::COPY_DST),
            seen: f32s("seen", 2 * vocab),
            bias: f32s("bias", vocab),
            adjusted: f32s("adjusted", vocab.next_multiple_of(4)),
            partials: f32s("partials", vocab.div_ceil(sample_adjust::TOKENS) * 8),
            tokens: f32s("tokens", RING),
            text: f32s("text", TEXT),
            lengths: f32s("lengths of repeats", vocab),
        }
    }

    /// How many texts they are for.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The buffers of one text.
    pub fn row(&self, row: usize) -> SamplingRow<'_> {
        SamplingRow { buffers: self, row }
    }
}

impl SamplingRow<'_> {
    /// Uploads the options of a completion at the point where it resumes.
    pub fn write(self, gpu: &Gpu, options: &SamplingOptions, seen: &Seen, bias: &[f32], real_ids: usize) {
        let (prompt, written) = (seen.text().len() - seen.written(), seen.written());
        let sampling = Sampling::new(options, real_ids.min(seen.counts().len()), prompt, written);
        let sampling = TextSampling::from(sampling);
        self.upload(gpu, (&self.buffers.sampling, size_of_val(&sampling)), 0, bytemuck::bytes_of(&sampling));
        self.write_seen(gpu, options, seen);
        self.write_bias(gpu, 0, bias);
    }

    /// Uploads the counts for penalties, the ids that are barred at this point, and the text itself if its repeats are
    /// penalized.
    pub fn write_seen(self, gpu: &Gpu, options: &SamplingOptions, seen: &Seen) {
        let vocab = self.buffers.vocab;
        self.upload(gpu, (&self.buffers.seen, 8 * vocab), 0, bytemuck::cast_slice(&seen_words(options, seen)));
        if options.dry.multiplier > 0.0 && seen.text().len() <= TEXT {
            let words = text_words(options, seen.text());
            self.upload(gpu, (&self.buffers.text, 4 * TEXT), 0, bytemuck::cast_slice(&words));
        }
    }

    /// Uploads the bias of the ids from `first` on.
    pub fn write_bias(self, gpu: &Gpu, first: usize, bias: &[f32]) {
        self.upload(gpu, (&self.buffers.bias, 4 * self.buffers.vocab), first * 4, bytemuck::cast_slice(bias));
    }

    /// Writes to the text's part of a buffer from byte `at` on; each part has the given number of bytes.
    fn upload(self, gpu: &Gpu, (to, stride): (&GpuBuffer, usize), at: usize, bytes: &[u8]) {
        gpu.queue.write_buffer(&to.buffer, (self.row * stride + at) as u64, bytes);
    }
}
