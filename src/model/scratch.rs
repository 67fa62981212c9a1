//! Everything on the GPU that is not a weight: the KV cache, the residual stream, scores, logits.

use super::chunk_products::{ChunkProducts, MAX_CHUNK, widest};
use super::kernels::attention_parts::AttentionParts;
use super::kernels::layers::FAILURE_WORDS;
use super::kernels::matmul::TILE_TOKENS;
use super::kernels::score::TargetScore;
use super::kernels::{Rotary, Step};
use super::kv_cache::{self, LayerCache, cache_bytes};
use super::sampling_buffers::SamplingBuffers;
use super::weights::Weights;
use crate::config::ModelConfig;
use crate::gpu::{Gpu, GpuBuffer};

/// Rows of logits that are computed at a time if all are wanted: a tile of `matmul.wgsl`.
pub const LOGIT_ROWS: usize = TILE_TOKENS;
/// Of these, rows that the host reads at a time.
pub const STAGED_ROWS: usize = 16;

/// Buffers of one model.
pub struct Scratch {
    /// Uniform `Step` of `shaders/step.wgsl`.
    pub step: GpuBuffer,
    /// Token ids of the step, u32 [MAX_CHUNK].
    pub ids: GpuBuffer,
    /// Residual stream, f32 [MAX_CHUNK, d].
    pub h: GpuBuffer,
    /// Normalized stream, then the attention's output, f32 [MAX_CHUNK, d].
    pub u: GpuBuffer,
    /// Scores and weights of a Pattention, f32 [MAX_CHUNK, the widest].
    pub scores: GpuBuffer,
    /// Query, key and value of a chunk, f32 [MAX_CHUNK, 3, d].
    pub qkv: GpuBuffer,
    /// How a chunk's products are made.
    pub products: ChunkProducts,
    /// Rotated queries, f32 [MAX_CHUNK, d].
    pub q: GpuBuffer,
    /// Parts of a decode step's attention (`shaders/attention_parts.wgsl`).
    pub parts: GpuBuffer,
    /// cos and sin of the rotary angles, f32 [context, r/2, 2].
    pub angles: GpuBuffer,
    /// Logits, f32 [LOGIT_ROWS, V].
    pub logits: GpuBuffer,
    /// Tokens to score, u32 [MAX_CHUNK], and their scores, `Score` of `shaders/score.wgsl` [MAX_CHUNK].
    pub targets: GpuBuffer,
    pub target_scores: GpuBuffer,
    /// Buffers for choosing tokens.
    pub choose: SamplingBuffers,
    /// Logits or scores on their way to the host.
    pub staging: GpuBuffer,
    /// Keys and values, by layer.
    pub cache: Vec<LayerCache>,
    /// Tokens that the KV cache holds.
    pub context_length: usize,
    /// How a decode step's attention is split.
    pub attention: AttentionParts,
    /// Bytes of the KV cache.
    pub kv_bytes: u64,
}

impl Scratch {
    /// Bytes of the KV cache for a context of `context_length` tokens.
    pub fn kv_bytes(config: &ModelConfig, context_length: usize) -> u64 {
        2 * cache_bytes(config, context_length) * config.num_layers as u64
    }

    /// Bytes of the largest piece that is bound at once.
    pub fn largest(config: &ModelConfig, context_length: usize) -> u64 {
        let row = widest(config).max(4 * config.hidden_size);
        let rows = [MAX_CHUNK * row, LOGIT_ROWS * config.padded_vocab_size, context_length * config.rotary_dims()];
        rows.into_iter().map(|n| n as u64 * 4).fold(cache_bytes(config, context_length), u64::max)
    }

    /// Allocates for a context of `context_length` tokens and uploads the rotary angles.
    pub fn new(gpu: &Gpu, config: &ModelConfig, weights: &Weights, context_length: usize) -> Self {
        use wgpu::BufferUsages as U;
        let d = config.hidden_size;
        let f32s = |label: &str, n: usize| GpuBuffer::storage(gpu, label, n as u64 * 4);
        let in_bytes = weights.layer_format().is_quantized() && gpu.multiplies_bytes();
        let attention = AttentionParts::new(config, context_length);
        let angles = Rotary::new(config).angles(config.rotary_emb_base, context_length);
        let cache = kv_cache::new(gpu, config, weights, context_length);
        let staged = (STAGED_ROWS * config.padded_vocab_size).max(2 * MAX_CHUNK) as u64 * 4;
        let this = Self {
            step: GpuBuffer::new(gpu, "step", size_of::<Step>() as u64, U::UNIFORM | U::COPY_DST),
            ids: f32s("ids", MAX_CHUNK),
            h: f32s("h", MAX_CHUNK * d),
            u: f32s("u", MAX_CHUNK * d),
            scores: f32s("scores", MAX_CHUNK * widest(config)),
            qkv: f32s("qkv", MAX_CHUNK * 3 * d),
            products: ChunkProducts::new(gpu, config, in_bytes),
            q: f32s("q", MAX_CHUNK * d),
            parts: f32s("parts", attention.len()),
            angles: f32s("angles", angles.len()),
            logits: f32s("logits", LOGIT_ROWS * config.padded_vocab_size),
            targets: f32s("targets", MAX_CHUNK),
            target_scores: GpuBuffer::storage(gpu, "target scores", (size_of::<TargetScore>() * MAX_CHUNK) as u64),
            choose: SamplingBuffers::new(gpu, config, 1),
            staging: GpuBuffer::new(gpu, "staging", staged + 4 * FAILURE_WORDS as u64, U::MAP_READ | U::COPY_DST),
            cache,
            context_length,
            attention,
            kv_bytes: Self::kv_bytes(config, context_length),
        };
        gpu.queue.write_buffer(&this.angles.buffer, 0, bytemuck::cast_slice(&angles));
        this
    }
}
