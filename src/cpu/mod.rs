//! A TokenFormer on the CPU: slower than on a GPU, and for small models only, but wherever WebAssembly runs.
//!
//! Tables stay as they are stored, `products` multiplies with them, `lanes` are the vectors that all kernels are
//! written in, `attention` has the KV cache, `rows` the other row-wise operations, and `turns` keeps the page
//! responsive meanwhile. There is a single thread: pages get shared memory only from servers that send special headers
//! for it.

mod attention;
mod inspect;
mod lanes;
mod limits;
mod packs;
mod products;
mod rows;
mod tables;
mod tails;
#[cfg(test)]
mod tests;
mod turns;

pub use limits::{Reason, check_parameters, runs};

use crate::checkpoint::layout::{Quantization, TableFormat, TensorId, padded_slots};
use crate::checkpoint::regions::Region;
use crate::config::{ModelConfig, NormActivation};
use crate::engine::{Changes, FiredToken, HostChoice, HostRows, InspectRequest, Logits, OnHost, Resume, RowInput};
use crate::error::{Error, Result};
use crate::packs::{Merged, MergedTokens, PackTokens, ParameterToken};
use crate::pattention::Pattention;
use attention::{Angles, Cache, Scratch};
use inspect::{Norms, Watch};
use products::{Activations, dequantized};
use rows::{add, layer_norm, scales, theta};
use std::cell::RefCell;
use tables::{Table, Weights};
use tails::Tails;
use turns::Turns;

/// Most tokens of one forward pass: enough to share the cost of unpacking, and an abort waits for one pass at most.
const MAX_CHUNK: usize = 32;

/// A model that is being loaded: memory of this module that is filled piece by piece.
pub struct Loading {
    weights: RefCell<Weights>,
    config: ModelConfig,
    quantization: Quantization,
    context_length: usize,
    caches: Vec<Cache>,
}

/// A model that can run.
pub struct CpuModel {
    config: ModelConfig,
    quantization: Quantization,
    weights: Weights,
    /// Active token packs.
    packs: Merged,
    /// Each layer's part of the KV cache.
    caches: Vec<Cache>,
    context_length: usize,
    len: usize,
    work: Work,
    choice: Option<HostChoice>,
    /// Several texts that are being written, and what each has after the common tokens.
    rows: Option<HostRows>,
    tails: Tails,
    /// Active packs and ablations.
    changes: Changes,
    /// Norms of the base's value tokens, where they were requested.
    norms: Norms,
}

/// Where the tokens of a forward pass go.
enum Places<'a> {
    /// After all that the KV cache holds.
    Here,
    /// One in each of several tails.
    Tails(&'a [RowInput]),
}

/// What a Pattention computes with.
struct Tokens<'a> {
    /// Its layer, and which one it is.
    place: (usize, Pattention),
    /// The base's keys and values.
    base: &'a [Table; 2],
    /// Its n, padding not counted.
    slots: usize,
    /// Tokens of packs, if any.
    packs: Option<&'a MergedTokens>,
}

/// The work buffers of a forward pass, which are used again, and the clock.
struct Work {
    activation: NormActivation,
    input: Activations,
    scores: Vec<f32>,
    weights: Activations,
    angles: Angles,
    attention: Scratch,
    turns: Turns,
    /// Watches the scores of this pass.
    watch: Option<Watch>,
}

impl Loading {
    /// Allocates everything.
    ///
    /// # Errors
    /// `webgpu-unavailable` for a model that is too large for the CPU, `out-of-memory` if it does not fit,
    /// `invalid-argument` for an impossible context length.
    pub fn new(
        config: ModelConfig,
        quantization: Quantization,
        context_length: Option<usize>,
        reason: &Reason,
    ) -> Result<Self> {
        let context_length = config.checked_context_length(context_length)?;
        check_parameters(&config, reason)?;
        limits::check_bytes(&config, quantization, context_length)?;
        Self::of_any_size(config, quantization, context_length)
    }

    /// Allocates everything, whatever it is.
    ///
    /// # Errors
    /// `out-of-memory`.
    pub fn of_any_size(config: ModelConfig, quantization: Quantization, context_length: usize) -> Result<Self> {
        let weights = RefCell::new(Weights::new(&config, quantization)?);
        let caches = (0..config.num_layers).map(|_| Cache::new(&config, context_length)).collect::<Result<_>>()?;
        Ok(Self { weights, config, quantization, context_length, caches })
    }

    /// Calls `fill` to write the `len` bytes at `offset` of one of a tensor's regions.
    ///
    /// # Errors
    /// `invalid-config` for bytes that no tensor has.
    pub fn write(
        &self,
        id: TensorId,
        region: Region,
        (offset, len): (usize, usize),
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        fill(self.weights.borrow_mut().place(id, region, offset, len)?);
        Ok(())
    }

    /// A model that can run, once all bytes are written.
    pub fn finish(self) -> CpuModel {
        let Self { weights, config, quantization, context_length, caches } = self;
        let work = Work {
            activation: config.norm_activation_type,
            input: Activations::default(),
            scores: Vec::new(),
            weights: Activations::default(),
            angles: Angles::default(),
            attention: Scratch::default(),
            turns: Turns::new(),
            watch: None,
        };
        let weights = weights.into_inner();
        let tails = Tails::default();
        CpuModel {
            config,
            quantization,
            weights,
            packs: Merged::default(),
            caches,
            context_length,
            len: 0,
            work,
            choice: None,
            rows: None,
            tails,
            changes: Changes::default(),
            norms: Norms::default(),
        }
    }
}

impl CpuModel {
    /// Bytes of the weights, those of packs included.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes() + packs::bytes(&self.packs)
    }

    /// Bytes of the KV cache.
    pub fn kv_bytes(&self) -> u64 {
        Cache::bytes(&self.config, self.context_length)
    }

    /// How steps are made: for `info`.
    pub fn variants(&self) -> Vec<String> {
        let products = match self.quantization.tokens() {
            TableFormat::F16 => "f32",
            TableFormat::Q4 | TableFormat::Q8 => "integers of 16 bits",
        };
        vec![format!("prefill and decode: one thread, {products}")]
    }

    /// Optional features of the processor that are used: for `info`.
    pub fn features(&self) -> Vec<String> {
        lanes::FEATURE.iter().map(|&name| name.to_owned()).collect()
    }

    /// # Errors
    /// `invalid-argument` for an id that the model does not have.
    fn check(&self, id: u32) -> Result<()> {
        match id as usize >= self.config.padded_vocab_size {
            true => Err(Error::invalid_argument(format!("Token id {id} is out of range."))),
            false => Ok(()),
        }
    }

    /// Runs `ids` through all layers; returns the residual stream, [T, d].
    async fn layers(&mut self, ids: &[u32], places: Places<'_>) -> Vec<f32> {
        let Self { config, weights, packs, caches, work, tails, len: past, .. } = self;
        let (d, past, epsilon) = (config.hidden_size, *past, config.layernorm_epsilon as f32);
        let format = weights.tokens(0, Pattention::Query)[0].format;
        let mut h = vec![0.0; ids.len() * d];
        for (row, id) in h.chunks_exact_mut(d).zip(ids) {
            dequantized(&weights.embedding, *id as usize, row);
        }
        match places {
            Places::Here => work.angles.set(config, past..past + ids.len()),
            Places::Tails(inputs) => work.angles.set(config, inputs.iter().map(|input| past + input.held)),
        }
        let [mut u, mut q, mut k, mut v] = [const { Vec::new() }; 4];
        for (layer, cache) in caches.iter_mut().enumerate() {
            let of_layer = packs.layers.get(layer);
            let tables = |which| Tokens {
                place: (layer, which),
                base: weights.tokens(layer, which),
                slots: which.slots(config),
                packs: of_layer.map(|kinds| &kinds[which as usize]).filter(|tokens| !tokens.is_empty()),
            };
            layer_norm(&h, d, epsilon, &mut u);
            work.input.set(&u, d, format);
            work.pattention(tables(Pattention::Query), &u, &mut q).await;
            work.pattention(tables(Pattention::Key), &u, &mut k).await;
            work.pattention(tables(Pattention::Value), &u, &mut v).await;
            work.angles.rotate(config, &mut q);
            work.angles.rotate(config, &mut k);
            match places {
                Places::Here => {
                    cache.append(past, &k, &v);
                    cache.attend(past, &mut q, &mut work.attention, &work.turns).await;
                }
                Places::Tails(inputs) => {
                    let qkv = q.chunks_exact_mut(d).zip(k.chunks_exact(d).zip(v.chunks_exact(d)));
                    for (RowInput { place, held, .. }, (q, (k, v))) in inputs.iter().zip(qkv) {
                        let tail = tails.of(*place, layer);
                        tail.append(*held, k, v);
                        let spans = [(&*cache, past), (&*tail, held + 1)];
                        attention::attend_one(&spans, q, &mut work.attention, &work.turns).await;
                    }
                }
            }
            work.input.set(&q, d, format);
            work.pattention(tables(Pattention::Proj), &q, &mut u).await;
            add(&mut h, &u);
            layer_norm(&h, d, epsilon, &mut u);
            work.input.set(&u, d, format);
            work.pattention(tables(Pattention::Mlp), &u, &mut v).await;
            add(&mut h, &v);
        }
        h
    }

    /// (LN(h)·w + b)·Eᵀ for each row of h[T, d]: [T, V].
    async fn logits(&mut self, h: &[f32]) -> Result<Vec<f32>> {
        let Self { config, weights, work, .. } = self;
        let (d, vocab) = (config.hidden_size, config.padded_vocab_size);
        let mut u = Vec::new();
        layer_norm(h, d, config.layernorm_epsilon as f32, &mut u);
        let [norm_weight, norm_bias] = &weights.norm;
        for row in u.chunks_exact_mut(d) {
            for ((x, w), b) in row.iter_mut().zip(norm_weight).zip(norm_bias) {
                *x = *x * w + b;
            }
        }
        let mut logits = tables::zeros(h.len() / d * vocab)?;
        work.input.set(&u, d, weights.embedding.format);
        work.input.times(&weights.embedding, &mut logits, vocab, &work.turns).await;
        Ok(logits)
    }
}

impl Work {
    /// y[T, d] = Θ(x·Kᵀ)·P of the input, which is x, and what packs add; values are stored transposed.
    async fn pattention(&mut self, tokens: Tokens<'_>, x: &[f32], y: &mut Vec<f32>) {
        let Tokens { place, base: [keys, values], slots, packs } = tokens;
        let (tokens, padded, d) = (self.input.tokens(), padded_slots(slots), values.shape.rows);
        self.scores.resize(tokens * padded, 0.0);
        y.resize(tokens * d, 0.0);
        self.input.times(keys, &mut self.scores, padded, &self.turns).await;
        if let Some(watch) = &mut self.watch {
            watch.look(self.activation, place, (&self.scores, padded, slots), x, packs);
        }
        let scales = packs.map(|_| scales(&self.scores, padded, slots));
        theta(self.activation, &mut self.scores, padded, slots);
        self.weights.set(&self.scores, padded, values.format);
        self.weights.times(values, y, d, &self.turns).await;
        if let (Some(packs), Some(scales)) = (packs, scales) {
            packs::add_packs(packs, x, &scales, y, &self.turns).await;
        }
    }
}

impl OnHost for CpuModel {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn context_length(&self) -> usize {
        self.context_length
    }

    fn max_chunk(&self) -> usize {
        MAX_CHUNK
    }

    fn len(&self) -> usize {
        self.len
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        ids.iter().try_for_each(|id| self.check(*id))?;
        let h = self.layers(ids, Places::Here).await;
        let d = self.config.hidden_size;
        let logits = match logits {
            Logits::None => Vec::new(),
            Logits::Last => self.logits(&h[h.len() - d..]).await?,
            Logits::Each(n) => self.logits(&h[h.len() - n * d..]).await?,
        };
        self.len += ids.len();
        Ok(logits)
    }

    fn choice(&mut self) -> &mut Option<HostChoice> {
        &mut self.choice
    }

    fn rows(&mut self) -> &mut Option<HostRows> {
        &mut self.rows
    }

    fn grow_tails(&mut self, places: usize, len: usize) -> Result<()> {
        self.tails.grow(&self.config, places, len)
    }

    fn tail_capacity(&self) -> usize {
        self.tails.capacity()
    }

    fn drop_tails(&mut self) {
        self.tails = Tails::default();
    }

    fn keep_tail(&mut self, place: usize, common: usize) {
        for (layer, cache) in self.caches.iter().enumerate() {
            self.tails.of(place, layer).copy(cache, common..self.len);
        }
    }

    fn set_packs(&mut self, packs: Merged) -> Result<()> {
        self.packs = packs;
        Ok(())
    }

    fn changes(&mut self) -> &mut Changes {
        &mut self.changes
    }

    fn base_token(&self, token: &ParameterToken) -> PackTokens {
        inspect::token(&self.weights, token)
    }

    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        ids.iter().try_for_each(|id| self.check(*id))?;
        self.norms.make(&self.weights, request, &self.work.turns).await;
        self.work.watch = Some(Watch::new(request, std::mem::take(&mut self.norms)));
        self.layers(ids, Places::Here).await;
        self.len += ids.len();
        let Some(watch) = self.work.watch.take() else { return Ok(Vec::new()) };
        let (fired, norms) = watch.finish();
        self.norms = norms;
        Ok(fired)
    }

    /// Computed as the logits of a row are, but without its LayerNorm and bias.
    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        let Self { config, weights, work, .. } = self;
        let [norm_weight, _] = &weights.norm;
        let u: Vec<f32> = value.iter().zip(norm_weight).map(|(v, w)| v * w).collect();
        let mut pushes = tables::zeros(config.padded_vocab_size)?;
        work.input.set(&u, u.len(), weights.embedding.format);
        work.input.times(&weights.embedding, &mut pushes, config.padded_vocab_size, &work.turns).await;
        Ok(pushes)
    }

    async fn forward_rows(&mut self, inputs: &[RowInput]) -> Result<Vec<f32>> {
        let ids: Vec<u32> = inputs.iter().map(|input| input.id).collect();
        ids.iter().try_for_each(|id| self.check(*id))?;
        let h = self.layers(&ids, Places::Tails(inputs)).await;
        self.logits(&h).await
    }
}

impl Resume for CpuModel {
    type Way = ();

    fn way(&self) {}

    async fn go(&mut self, (): &()) -> Result<()> {
        Ok(())
    }

    fn resume_choosing(&mut self, emitted: &[u32]) {
        if let Some(choice) = &mut self.choice {
            choice.resume(emitted);
        }
    }
}
