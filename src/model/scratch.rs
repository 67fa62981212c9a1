//! Everything on the GPU that is not a weight: the KV cache, the residual stream, scores, logits.

use super::choose::ChooseBuffers;
use super::plan::{PART, TILE_N};
use super::tables::{Weights, aligned};
use super::workers::FAILURE_WORDS;
use crate::checkpoint::layout::{Pattention, padded_slots};
use crate::config::ModelConfig;
use crate::gpu::{Access, Binding, Gpu, GpuBuffer};
use std::num::NonZeroU64;
use std::ops::Range;
use std::rc::Rc;

/// Most tokens of one prefill step: enough for the narrow products to fill a large GPU.
pub const MAX_CHUNK: usize = 1024;
/// Rows of logits that are made at a time where all are wanted: a tile of `matmul.wgsl`.
pub const LOGIT_ROWS: usize = 64;
/// Of these, rows that the host reads at a time.
pub const STAGED_ROWS: usize = 16;

/// Tokens of a step and rows of a table that fill a large GPU with workgroups of `matmul.wgsl`.
const ENOUGH_TILES: usize = 512;
const MOST_PARTS: usize = 4;

/// Into how many parts the sums of narrow products are split.
#[derive(Clone, Copy, Debug)]
pub struct Splits {
    /// Parts of a split sum.
    pub parts: usize,
    /// Products of more rows are not split.
    most_rows: usize,
}

impl Splits {
    /// For products of up to `rows` rows; `None` where that would bring nothing.
    fn new(gpu: &Gpu, rows: usize) -> Option<Self> {
        let tiles = rows.div_ceil(TILE_N as usize) * MAX_CHUNK / 64;
        let parts = (ENOUGH_TILES / tiles).min(MOST_PARTS);
        (parts > 1 && !gpu.is_software).then_some(Self { parts, most_rows: rows })
    }

    /// True for a product of so many rows.
    pub fn applies_to(self, rows: usize) -> bool {
        rows <= self.most_rows && rows.is_multiple_of(4)
    }
}

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
    /// How narrow products are split, and room for their parts, f32 [parts, MAX_CHUNK, d].
    pub splits: Option<Splits>,
    pub products: GpuBuffer,
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
    /// For choosing tokens.
    pub choose: ChooseBuffers,
    /// Logits or scores on their way to the host.
    pub staging: GpuBuffer,
    /// Keys and values, by layer.
    pub cache: Vec<LayerCache>,
    /// Tokens that the KV cache holds.
    pub context_length: usize,
    /// Parts that a full context is split into.
    pub max_parts: usize,
    /// Bytes of the KV cache.
    pub kv_bytes: u64,
}

/// Keys and values of a layer, f16 [context, d] each, in buffers that neighbouring layers may share.
pub struct LayerCache {
    keys: Rc<GpuBuffer>,
    values: Rc<GpuBuffer>,
    offset: u64,
    bytes: u64,
    /// Layers that share the buffers.
    shared: usize,
}

impl LayerCache {
    /// Two bindings, from `index` on, of this layer and the `layers − 1` that follow in the same buffers.
    pub fn bindings(&self, index: u32, access: Access, layers: usize) -> [Binding<'_>; 2] {
        let size = NonZeroU64::new(self.bytes * layers as u64);
        [(index, &self.keys), (index + 1, &self.values)].map(|(index, buffer)| Binding {
            index,
            access,
            range: wgpu::BufferBinding { buffer: &buffer.buffer, offset: self.offset, size },
        })
    }

    /// How many layers share its buffers.
    pub fn shared(&self) -> usize {
        self.shared
    }

    /// Bytes of keys, or values, from layer to layer.
    pub fn stride(&self) -> u64 {
        self.bytes
    }
}

/// Bytes of a layer's keys, or values.
fn cache_bytes(config: &ModelConfig, context_length: usize) -> u64 {
    aligned((context_length * config.hidden_size * 2) as u64)
}

/// The most scores that a token has at a time.
fn widest(config: &ModelConfig) -> usize {
    let slots = |p: Pattention| padded_slots(p.slots(config));
    (3 * slots(Pattention::Query)).max(slots(Pattention::Proj)).max(slots(Pattention::Mlp))
}

impl Scratch {
    /// Bytes of the KV cache for a context of so many tokens.
    pub fn kv_bytes(config: &ModelConfig, context_length: usize) -> u64 {
        2 * cache_bytes(config, context_length) * config.num_layers as u64
    }

    /// Bytes of the largest piece that is bound as one.
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
        let splits = Splits::new(gpu, d);
        let max_parts = context_length.div_ceil(PART);
        let angles = rotary_angles(config, context_length);
        let bytes = cache_bytes(config, context_length);
        let most = (gpu.device.limits().max_storage_buffer_binding_size / bytes).max(1) as usize;
        let cache = runs(weights, config.num_layers, most).flat_map(|layers| {
            let buffer = |label| Rc::new(GpuBuffer::storage(gpu, label, bytes * layers.len() as u64));
            let (keys, values) = (buffer("key cache"), buffer("value cache"));
            let shared = layers.len();
            let of =
                move |i| LayerCache { keys: keys.clone(), values: values.clone(), offset: i * bytes, bytes, shared };
            (0..layers.len() as u64).map(of)
        });
        let cache = cache.collect();
        let staged = (STAGED_ROWS * config.padded_vocab_size).max(2 * MAX_CHUNK) as u64 * 4;
        let this = Self {
            step: GpuBuffer::new(gpu, "step", 32, U::UNIFORM | U::COPY_DST),
            ids: f32s("ids", MAX_CHUNK),
            h: f32s("h", MAX_CHUNK * d),
            u: f32s("u", MAX_CHUNK * d),
            scores: f32s("scores", MAX_CHUNK * widest(config)),
            qkv: f32s("qkv", MAX_CHUNK * 3 * d),
            splits,
            products: f32s("products", splits.map_or(0, |s| s.parts * MAX_CHUNK * d)),
            q: f32s("q", MAX_CHUNK * d),
            parts: f32s("parts", max_parts * (d + 2 * config.num_attention_heads)),
            angles: f32s("angles", angles.len()),
            logits: f32s("logits", LOGIT_ROWS * config.padded_vocab_size),
            targets: f32s("targets", MAX_CHUNK),
            target_scores: f32s("target scores", 2 * MAX_CHUNK),
            choose: ChooseBuffers::new(gpu, config),
            staging: GpuBuffer::new(gpu, "staging", staged + 4 * FAILURE_WORDS as u64, U::MAP_READ | U::COPY_DST),
            cache,
            context_length,
            max_parts,
            kv_bytes: Self::kv_bytes(config, context_length),
        };
        gpu.queue.write_buffer(&this.angles.buffer, 0, bytemuck::cast_slice(&angles));
        this
    }
}

/// Layers whose caches share buffers: those whose tables do, if a binding holds so many.
fn runs(weights: &Weights, layers: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let fit = !weights.slabs.is_empty() && weights.slabs.iter().all(|slab| slab.layers.len() <= most);
    let slabs: Vec<_> = weights.slabs.iter().map(|slab| slab.layers.clone()).collect();
    let single = (0..layers).map(|layer| layer..layer + 1).collect();
    (if fit { slabs } else { single }).into_iter()
}

/// cos and sin of position · base^(−2i/r), computed in f64: [context, r/2, 2].
fn rotary_angles(config: &ModelConfig, context_length: usize) -> Vec<f32> {
    let r = config.rotary_dims();
    let frequencies: Vec<f64> = (0..r / 2).map(|i| config.rotary_emb_base.powf(-2.0 * i as f64 / r as f64)).collect();
    let mut out = Vec::with_capacity(context_length * r);
    for position in 0..context_length {
        for f in &frequencies {
            let angle = position as f64 * f;
            out.extend([angle.cos() as f32, angle.sin() as f32]);
        }
    }
    out
}
