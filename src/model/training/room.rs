//! The buffers of a training besides tokens, and how much of the forward pass they keep for the backward pass.

use super::shapes::uniform;
use super::tokens::LayerTokens;
use crate::checkpoint::layout::padded_slots;
use crate::config::ModelConfig;
use crate::engine::TrainRoom;
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::{Gpu, GpuBuffer};
use crate::model::chunk_products::MAX_CHUNK;
use crate::model::group::Group;
use crate::model::kernels::matmul::{TILE_ROWS, TILE_TOKENS};
use crate::model::kernels::{Batch, Rotary, SUMS, Step, Update};
use crate::model::scratch::LOGIT_ROWS;

/// Most bytes for a model's activations, per parameter and in total.
const BYTES_PER_PARAMETER: u64 = 3;
const MOST_BYTES: u64 = 1_450_000_000;
/// Most bytes of the attention's probabilities; if those of all heads exceed it, heads take turns.
const MOST_PAIR_BYTES: usize = 32 << 20;
/// Losses that are read at a time.
pub const LOSSES: usize = 64;

/// Workgroups that fill a large GPU, for products with tables and for those with tokens.
const ENOUGH_TILES: usize = 512;
const ENOUGH_SMALL_TILES: usize = 128;

/// Sizes that determine buffers, shapes and grids.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Rows of a sequence: all ids except the last are read.
    pub length: usize,
    /// Rows that are processed at a time, in whole sequences.
    pub rows: usize,
    /// Heads that are processed at a time.
    pub heads: usize,
    /// Columns of scores of each group.
    pub scores: [usize; 3],
    /// The largest number of parts that sums over the rows are split into, for gradients.
    pub gradient_parts: usize,
    /// A software GPU: nothing is split.
    is_software: bool,
}

impl Sizes {
    /// The sizes for a training of this extent.
    ///
    /// # Errors
    /// `invalid-argument` for impossible sequences; `out-of-memory` if a buffer would be larger than the GPU can bind.
    pub fn new(gpu: &Gpu, config: &ModelConfig, room: TrainRoom, tokens: &[LayerTokens]) -> Result<Self> {
        let longest = config.max_position_embeddings.min(MAX_CHUNK);
        if !(2..=longest + 1).contains(&room.length) || room.batch == 0 {
            return Err(Error::invalid_argument(format!(
                "Sequences of {} ids in batches of {} cannot be trained.",
                room.length, room.batch
            ))
            .hint(format!("Use sequences of 2 to {longest} ids.")));
        }
        let length = room.length - 1;
        let rows = (MAX_CHUNK / length).clamp(1, room.batch) * length;
        let heads = (MOST_PAIR_BYTES / (4 * rows * length)).clamp(1, config.num_attention_heads);
        let slots = |group: Group| padded_slots(group.pattention().slots(config)) * group.kinds().len();
        let most_tokens = tokens.iter().flat_map(|layer| Group::ALL.map(|group| layer.counts.of(group))).max();
        let is_software = gpu.is_software;
        let gradient_parts = if is_software { 1 } else { (8 / most_tokens.unwrap_or(0).div_ceil(64).max(1)).max(1) };
        let this = Self { length, rows, heads, scores: Group::ALL.map(slots), gradient_parts, is_software };
        let limits = gpu.device.limits();
        let largest = 4 * (rows * this.widest(config)).max(rows * heads * length) as u64;
        if largest > limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) {
            return Err(Error::new(ErrorCode::OutOfMemory, "The steps of this training do not fit into the GPU.")
                .hint("Use shorter sequences."));
        }
        Ok(this)
    }

    /// The largest number of columns of a row.
    fn widest(&self, config: &ModelConfig) -> usize {
        self.scores.into_iter().max().unwrap_or(0).max(3 * config.hidden_size)
    }

    /// Parts of the sum of a product with a table whose result has this many columns.
    pub fn parts(&self, rows: usize, columns: usize) -> usize {
        let tiles = columns.div_ceil(TILE_ROWS) * rows.div_ceil(TILE_TOKENS);
        if self.is_software { 1 } else { (ENOUGH_TILES / tiles).clamp(1, if rows > LOGIT_ROWS { 4 } else { 64 }) }
    }

    /// Parts of a product with this many tokens.
    pub fn token_parts(&self, tokens: usize) -> usize {
        let tiles = tokens.div_ceil(64).max(1) * self.rows.div_ceil(64);
        if self.is_software { 1 } else { (ENOUGH_SMALL_TILES / tiles).clamp(1, 8) }
    }
}

/// Activations of a layer's forward pass that its backward pass needs.
pub struct Activations {
    /// Queries and keys, rotated, and values, f32 [rows, 3, d].
    pub qkv: GpuBuffer,
    /// The mixed values of the attention, f32 [rows, d].
    pub mixed: GpuBuffer,
    /// The residual stream between attention and mlp, f32 [rows, d].
    pub middle: GpuBuffer,
    /// Scores of each group, f32 [rows, segments, padded slots].
    pub scores: [GpuBuffer; 3],
    /// Scores of its packs' tokens, f32 [rows, tokens].
    pub pack_scores: [GpuBuffer; 3],
}

/// All buffers except those of tokens.
pub struct Buffers {
    /// Uniforms: for all rows, for rows of logits, for the sequences, for AdamW.
    pub step: GpuBuffer,
    pub chunk: GpuBuffer,
    pub batch: GpuBuffer,
    pub update: GpuBuffer,
    /// Tokens, and their successors, u32 \[rows\].
    pub ids: GpuBuffer,
    pub targets: GpuBuffer,
    /// cos and sin, f32 [length, r/2, 2].
    pub angles: GpuBuffer,
    /// The residual stream before each layer, and after the last, f32 [rows, d].
    pub streams: Vec<GpuBuffer>,
    /// Activations by layer; the last layers share one buffer, and theirs are computed again for the backward pass.
    pub activations: Vec<Activations>,
    /// Normalized stream, f32 [rows, d].
    pub u: GpuBuffer,
    /// Weights, then gradients w.r.t. weights and scores, f32 [rows, the widest].
    pub weights: GpuBuffer,
    /// Gradient w.r.t. the stream, and w.r.t. the input of a Pattention, f32 [rows, d].
    pub g: GpuBuffer,
    pub du: GpuBuffer,
    /// Gradients w.r.t. queries, keys and values, f32 [rows, 3, d].
    pub dqkv: GpuBuffer,
    /// Probabilities, and gradients w.r.t. them, f32 [rows, heads, length].
    pub p: GpuBuffer,
    pub dp: GpuBuffer,
    /// Parts of products with tables, f32 [parts, rows, d].
    pub products: GpuBuffer,
    /// Parts of products with tokens, f32 [parts, rows, tokens].
    pub pack_products: GpuBuffer,
    /// Packs' weights, and gradients w.r.t. their scores, f32 [rows, tokens].
    pub pack_weights: GpuBuffer,
    pub dq: GpuBuffer,
    /// Parts of a layer's gradients, f32 [parts, 2, tokens, d].
    pub gradient_parts: GpuBuffer,
    /// Their squares, f32 [layers, SUMS].
    pub squares: GpuBuffer,
    /// Losses of rows, and of steps, f32 [rows], f32 [LOSSES].
    pub losses: GpuBuffer,
    pub sums: GpuBuffer,
    /// Losses on their way to the host.
    pub staging: GpuBuffer,
}

impl Buffers {
    /// Allocates the buffers of a training; with `before`, the bytes on the GPU before it, as many activations as the
    /// memory limit allows are kept for the backward pass.
    pub fn new(gpu: &Gpu, config: &ModelConfig, sizes: &Sizes, tokens: &[LayerTokens], before: Option<u64>) -> Self {
        use wgpu::BufferUsages as U;
        let (d, layers, rows) = (config.hidden_size, config.num_layers, sizes.rows);
        let f32s = |label: &str, n: usize| GpuBuffer::storage(gpu, label, n as u64 * 4);
        let most = |of: &dyn Fn(&LayerTokens) -> usize| tokens.iter().map(of).max().unwrap_or(0);
        let pairs = rows * sizes.heads * sizes.length;
        let parts = |rows: usize| rows * sizes.parts(rows, d) * d;
        let by_group = |per_group: &dyn Fn(usize) -> usize| {
            most(&|layer| Group::ALL.map(|group| per_group(layer.counts.of(group))).into_iter().max().unwrap_or(0))
        };
        let pack_parts = by_group(&|tokens| sizes.token_parts(tokens) * tokens);
        let widest_pack = by_group(&|tokens| tokens);
        let angles = Rotary::new(config).angles(config.rotary_emb_base, sizes.length);
        let mut this = Self {
            step: uniform(gpu, size_of::<Step>()),
            chunk: uniform(gpu, size_of::<Step>()),
            batch: uniform(gpu, size_of::<Batch>()),
            update: uniform(gpu, size_of::<Update>()),
            ids: f32s("ids", rows),
            targets: f32s("targets", rows),
            angles: f32s("angles", angles.len()),
            streams: (0..=layers).map(|_| f32s("stream", rows * d)).collect(),
            activations: Vec::new(),
            u: f32s("u", rows * d),
            weights: f32s("weights", rows * sizes.widest(config)),
            g: f32s("g", rows * d),
            du: f32s("du", rows * d),
            dqkv: f32s("dqkv", rows * 3 * d),
            p: f32s("probabilities", pairs),
            dp: f32s("probabilities' gradients", pairs),
            products: f32s("products", parts(rows).max(parts(LOGIT_ROWS.min(rows)))),
            pack_products: f32s("products with tokens", rows * pack_parts),
            pack_weights: f32s("tokens' weights", rows * widest_pack),
            dq: f32s("tokens' gradients", rows * widest_pack),
            gradient_parts: f32s("gradients' parts", sizes.gradient_parts * most(&|layer| layer.len(d))),
            squares: f32s("squares", layers * SUMS),
            losses: f32s("losses", rows),
            sums: f32s("sums", LOSSES),
            staging: GpuBuffer::new(gpu, "losses", LOSSES as u64 * 4, U::MAP_READ | U::COPY_DST),
        };
        gpu.queue.write_buffer(&this.angles.buffer, 0, bytemuck::cast_slice(&angles));
        let parameters = parameters(config, sizes);
        let allowed = before.map_or(0, |before| before + (BYTES_PER_PARAMETER * parameters).min(MOST_BYTES));
        let of_packs = Group::ALL.map(|group| most(&|layer| layer.counts.of(group)));
        // The last one is shared by all layers that have none of their own.
        loop {
            this.activations.push(Activations::new(gpu, d, sizes, of_packs));
            let each = Activations::bytes(d, sizes, of_packs);
            if this.activations.len() == layers || gpu.memory.bytes() + each > allowed {
                return this;
            }
        }
    }

    /// The activations of a layer.
    pub fn of(&self, layer: usize) -> &Activations {
        &self.activations[layer.min(self.activations.len() - 1)]
    }

    /// Whether a layer's activations are still those of the forward pass when the backward pass reaches it.
    pub fn are_kept(&self, layer: usize) -> bool {
        layer + 1 == self.streams.len() - 1 || layer + 1 < self.activations.len()
    }
}

impl Activations {
    /// Allocates for any layer whose groups have at most this many tokens.
    fn new(gpu: &Gpu, d: usize, sizes: &Sizes, tokens: [usize; 3]) -> Self {
        let f32s = |label: &str, columns: usize| GpuBuffer::storage(gpu, label, (sizes.rows * columns) as u64 * 4);
        Self {
            qkv: f32s("qkv", 3 * d),
            mixed: f32s("mixed", d),
            middle: f32s("middle", d),
            scores: sizes.scores.map(|columns| f32s("scores", columns)),
            pack_scores: tokens.map(|tokens| f32s("tokens' scores", tokens)),
        }
    }

    /// Their size in bytes.
    fn bytes(d: usize, sizes: &Sizes, tokens: [usize; 3]) -> u64 {
        (sizes.rows * (5 * d + sizes.scores.iter().chain(&tokens).sum::<usize>())) as u64 * 4
    }
}

/// Approximate number of parameters of a model.
fn parameters(config: &ModelConfig, sizes: &Sizes) -> u64 {
    let d = config.hidden_size;
    let of_layer = 2 * sizes.scores.iter().sum::<usize>() * d;
    (config.num_layers * of_layer + config.padded_vocab_size * d) as u64
}
