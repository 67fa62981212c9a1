//! The oracle: a TokenFormer forward pass in plain f32 on the CPU, written to be read.
//!
//! It follows arXiv 2410.23168 and the published code line by line and shares nothing with the GPU
//! path but the tables, so that agreement between the two means something.
//!
//! ```
//! # fn main() -> tokenformer_web::error::Result<()> {
//! use std::path::Path;
//! use tokenformer_web::checkpoint::files::{PytorchFile, read};
//! use tokenformer_web::config::PartialConfig;
//! use tokenformer_web::reference::Reference;
//!
//! let folder = Path::new("tests/fixtures/head64");
//! let config = PartialConfig::from_json(&read(&folder.join("config.json"))?)?;
//! let mut checkpoint = PytorchFile::open(&folder.join("pytorch_model.bin"), Some(config))?;
//! // The KV cache in f32, and not rounded to f16 as on the GPU.
//! let mut model = Reference::load(&mut checkpoint, false)?;
//! let hidden = model.forward(&[1, 2, 3], false)?.last;
//! let logits = model.logits(&hidden);
//! assert_eq!(logits.len(), 3 * model.config().padded_vocab_size);
//! # Ok(())
//! # }
//! ```

mod engine;
pub(crate) mod math;

pub use engine::ReferenceEngine;

use crate::checkpoint::TableSource;
use crate::checkpoint::layout::{Pattention, Side, TensorId, padded_slots};
use crate::config::{ModelConfig, NormActivation};
use crate::error::{Error, Result};
use half::f16;
use math::{dot, gelu, layer_norm, matmul_transposed};

/// Tables of one Pattention, as stored.
pub(crate) struct PattentionTables {
    /// K[n_padded, d_in].
    pub(crate) keys: Vec<f32>,
    /// Pᵀ[d_out, n_padded].
    pub(crate) values: Vec<f32>,
    /// n, padding not counted.
    pub(crate) slots: usize,
}

/// One layer: tables in the order of [`Pattention::ALL`].
pub(crate) struct Layer {
    pub(crate) tables: [PattentionTables; 5],
}

/// A layer's part of the KV cache of one sequence.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    /// Rotated keys and values of the cached positions, [len, d] each.
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// A model with its KV cache.
pub struct Reference {
    pub(crate) config: ModelConfig,
    /// E[V, d].
    pub(crate) embedding: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    /// Of each layer.
    caches: Vec<Cache>,
    norm_weight: Vec<f32>,
    norm_bias: Vec<f32>,
    round_cache_to_f16: bool,
    len: usize,
}

/// What a forward pass leaves: rows for the tokens that it was given.
pub struct Forward {
    /// Residual stream after the embedding and after each layer, [T, d] each; empty unless asked for.
    pub hidden: Vec<Vec<f32>>,
    /// Residual stream after the last layer, [T, d].
    pub last: Vec<f32>,
}

impl Reference {
    /// Loads every table of `source`. With `round_cache_to_f16`, keys and values are rounded as the
    /// GPU's f16 cache rounds them.
    pub fn load(source: &mut impl TableSource, round_cache_to_f16: bool) -> Result<Self> {
        let config = source.config().clone();
        let layers = (0..config.num_layers).map(|layer| Layer::load(source, layer)).collect::<Result<_>>()?;
        let caches = vec![Cache::default(); config.num_layers];
        Ok(Self {
            embedding: source.table(TensorId::Embedding)?,
            norm_weight: source.table(TensorId::NormWeight)?,
            norm_bias: source.table(TensorId::NormBias)?,
            config,
            layers,
            caches,
            round_cache_to_f16,
            len: 0,
        })
    }

    /// Shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Tokens in the KV cache.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True while the KV cache holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        let keep = self.len * self.config.hidden_size;
        for cache in &mut self.caches {
            cache.keys.truncate(keep);
            cache.values.truncate(keep);
        }
    }

    /// Appends `ids` to the KV cache and runs them through all layers.
    pub fn forward(&mut self, ids: &[u32], keep_hidden: bool) -> Result<Forward> {
        let mut h = embed(&self.embedding, self.config.hidden_size, ids)?;
        let mut hidden = Vec::new();
        for (layer, cache) in self.layers.iter().zip(&mut self.caches) {
            if keep_hidden {
                hidden.push(h.clone());
            }
            let caches = std::slice::from_mut(cache);
            layer.forward(&self.config, self.len, self.round_cache_to_f16, caches, &mut h);
        }
        if keep_hidden {
            hidden.push(h.clone());
        }
        self.len += ids.len();
        Ok(Forward { hidden, last: h })
    }

    /// Logits of each row of `h[T, d]`: (LN(h)·w + b)·Eᵀ, [T, V].
    pub fn logits(&self, h: &[f32]) -> Vec<f32> {
        let d = self.config.hidden_size;
        let mut u = layer_norm(h, d, self.config.layernorm_epsilon as f32);
        for row in u.chunks_exact_mut(d) {
            for ((x, w), b) in row.iter_mut().zip(&self.norm_weight).zip(&self.norm_bias) {
                *x = *x * w + b;
            }
        }
        matmul_transposed(&u, &self.embedding, d)
    }
}

/// Rows of the embedding E[V, d]: [T, d].
pub(crate) fn embed(embedding: &[f32], d: usize, ids: &[u32]) -> Result<Vec<f32>> {
    let mut h = Vec::with_capacity(ids.len() * d);
    for &id in ids {
        let row = id as usize * d;
        let row = embedding.get(row..row + d);
        h.extend_from_slice(row.ok_or_else(|| Error::invalid_argument(format!("Token id {id} is out of range.")))?);
    }
    Ok(h)
}

impl Layer {
    fn load(source: &mut impl TableSource, layer: usize) -> Result<Self> {
        let slots = Pattention::ALL.map(|pattention| pattention.slots(source.config()));
        let mut tables = Vec::with_capacity(5);
        for (pattention, slots) in Pattention::ALL.into_iter().zip(slots) {
            tables.push(PattentionTables {
                keys: source.table(TensorId::Tokens { layer, pattention, side: Side::Keys })?,
                values: source.table(TensorId::Tokens { layer, pattention, side: Side::Values })?,
                slots,
            });
        }
        let tables = tables.try_into().map_err(|_| Error::invalid_config("A layer has five Pattentions."))?;
        Ok(Self { tables })
    }

    /// h += attention(LN(h)); h += mlp(LN(h)), for rows that stand at positions `past`… of the sequences of `caches`:
    /// as many rows of each, one sequence after the other.
    pub(crate) fn forward(
        &self,
        config: &ModelConfig,
        past: usize,
        round_to_f16: bool,
        caches: &mut [Cache],
        h: &mut [f32],
    ) {
        let pattention = |which: Pattention, x: &[f32]| self.tables[which as usize].apply(config, x);
        let u = layer_norm(h, config.hidden_size, config.layernorm_epsilon as f32);
        let [q, k, v] = [Pattention::Query, Pattention::Key, Pattention::Value].map(|which| pattention(which, &u));
        let mixed = self_attention(config, past, round_to_f16, caches, [q, k, v]);
        add(h, &pattention(Pattention::Proj, &mixed));
        let u = layer_norm(h, config.hidden_size, config.layernorm_epsilon as f32);
        add(h, &pattention(Pattention::Mlp, &u));
    }
}

impl PattentionTables {
    /// y = Θ(x·Kᵀ)·P for each row of `x`.
    fn apply(&self, config: &ModelConfig, x: &[f32]) -> Vec<f32> {
        let weights = slot_weights(config, self.slots, x, &self.keys);
        matmul_transposed(&weights, &self.values, padded_slots(self.slots))
    }
}

/// Θ(x·Kᵀ), [T, n_padded], of `x[T, d_in]` and `keys`, K[n_padded, d_in]; 0 for padding.
pub(crate) fn slot_weights(config: &ModelConfig, slots: usize, x: &[f32], keys: &[f32]) -> Vec<f32> {
    let mut scores = matmul_transposed(x, keys, config.hidden_size);
    for row in scores.chunks_exact_mut(padded_slots(slots)) {
        let (row, padding) = row.split_at_mut(slots);
        normalize(config.norm_activation_type, row);
        padding.fill(0.0);
    }
    scores
}

/// h += y.
pub(crate) fn add(h: &mut [f32], y: &[f32]) {
    h.iter_mut().zip(y).for_each(|(h, y)| *h += y);
}

/// Θ: turns the scores over `n` slots into weights, in place. A row whose norm is 0 gives zeros.
fn normalize(kind: NormActivation, s: &mut [f32]) {
    let root_n = (s.len() as f32).sqrt();
    let norm = |s: &[f32]| s.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
    let scale = |norm: f32| if norm > 0.0 { root_n / norm } else { 0.0 };
    match kind {
        NormActivation::L2NormGelu => {
            let scale = scale(norm(s));
            s.iter_mut().for_each(|x| *x = gelu(*x * scale));
        }
        NormActivation::GeluL2Norm => {
            s.iter_mut().for_each(|x| *x = gelu(*x));
            let scale = scale(norm(s));
            s.iter_mut().for_each(|x| *x *= scale);
        }
        NormActivation::Softmax => {
            let max = s.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            s.iter_mut().for_each(|x| *x = (*x - max).exp());
            let scale = s.len() as f32 / s.iter().sum::<f32>();
            s.iter_mut().for_each(|x| *x *= scale);
        }
    }
}

/// Rotary embedding (RoFormer, in GPT-NeoX's half-split form) of the first r dimensions of every head.
fn rotate(config: &ModelConfig, past: usize, x: &mut [f32]) {
    let (head, r) = (config.head_size(), config.rotary_dims());
    for (t, row) in x.chunks_exact_mut(config.hidden_size).enumerate() {
        for i in 0..r / 2 {
            let angle = (past + t) as f64 * config.rotary_emb_base.powf(-2.0 * i as f64 / r as f64);
            let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
            for head in row.chunks_exact_mut(head) {
                let (a, b) = (head[i], head[i + r / 2]);
                head[i] = a * cos - b * sin;
                head[i + r / 2] = b * cos + a * sin;
            }
        }
    }
}

/// Rotates queries and keys, appends keys and values to the caches, and mixes the values: [T, d] of `[q, k, v]`,
/// [T, d] each, whose rows stand at positions `past`… of the sequences of `caches`, as many of each.
pub(crate) fn self_attention(
    config: &ModelConfig,
    past: usize,
    round_to_f16: bool,
    caches: &mut [Cache],
    [mut q, mut k, mut v]: [Vec<f32>; 3],
) -> Vec<f32> {
    debug_assert!(q.len().is_multiple_of(caches.len() * config.hidden_size), "as many rows of each sequence");
    let each = (q.len() / caches.len()).max(1); // 1: no rows at all are fine
    q.chunks_exact_mut(each).chain(k.chunks_exact_mut(each)).for_each(|x| rotate(config, past, x));
    if round_to_f16 {
        k.iter_mut().chain(&mut v).for_each(|x| *x = f16::from_f32(*x).to_f32());
    }
    let mut mixed = Vec::with_capacity(q.len());
    for (cache, ((q, k), v)) in
        caches.iter_mut().zip(q.chunks_exact(each).zip(k.chunks_exact(each)).zip(v.chunks_exact(each)))
    {
        cache.keys.extend_from_slice(k);
        cache.values.extend_from_slice(v);
        mixed.extend(attention(config, past, q, &cache.keys, &cache.values));
    }
    mixed
}

/// softmax(q·kᵀ/√D, causal)·v for each head; query row t sees cached positions 0…past+t.
fn attention(config: &ModelConfig, past: usize, q: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let (d, head) = (config.hidden_size, config.head_size());
    let scale = 1.0 / (head as f32).sqrt();
    let mut out = vec![0.0; q.len()];
    for (t, (q, out)) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)).enumerate() {
        for (h, out) in out.chunks_exact_mut(head).enumerate() {
            let part = h * head..(h + 1) * head;
            let seen = 0..past + t + 1;
            let mut weights: Vec<f32> =
                seen.map(|p| dot(&q[part.clone()], &keys[p * d..][part.clone()]) * scale).collect();
            let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|w| *w = (*w - max).exp());
            let sum: f32 = weights.iter().sum();
            for (p, w) in weights.iter().enumerate() {
                let w = w / sum;
                out.iter_mut().zip(&values[p * d..][part.clone()]).for_each(|(o, v)| *o += w * v);
            }
        }
    }
    out
}
