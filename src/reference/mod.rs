//! The oracle: a TokenFormer forward pass in plain f32 on the CPU, written to be read.
//!
//! It follows arXiv 2410.23168 and the published code line by line and shares nothing with the GPU
//! path but the tables, so that agreement between the two means something.

pub mod calibrate;
mod engine;
mod gptq;
mod math;

pub use engine::ReferenceEngine;

use crate::checkpoint::TableSource;
use crate::checkpoint::layout::{Pattention, Side, TensorId, padded_slots};
use crate::config::{ModelConfig, NormActivation};
use crate::error::{Error, Result};
use half::f16;
use math::{dot, gelu, layer_norm, matmul_transposed};

/// Tables of one Pattention, as stored.
struct PattentionTables {
    /// K[n_padded, d_in].
    keys: Vec<f32>,
    /// Pᵀ[d_out, n_padded].
    values: Vec<f32>,
    /// n, padding not counted.
    slots: usize,
}

/// One layer: tables in the order of [`Pattention::ALL`], and its part of the KV cache.
struct Layer {
    tables: [PattentionTables; 5],
    /// Rotated keys and values of the cached positions, [len, d] each.
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// A model with its KV cache.
pub struct Reference {
    config: ModelConfig,
    /// E[V, d].
    embedding: Vec<f32>,
    layers: Vec<Layer>,
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
        Ok(Self {
            embedding: source.table(TensorId::Embedding)?,
            norm_weight: source.table(TensorId::NormWeight)?,
            norm_bias: source.table(TensorId::NormBias)?,
            config,
            layers,
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
        self.layers.iter_mut().for_each(|layer| layer.truncate(keep));
    }

    /// Appends `ids` to the KV cache and runs them through all layers.
    pub fn forward(&mut self, ids: &[u32], keep_hidden: bool) -> Result<Forward> {
        let mut h = embed(&self.embedding, self.config.hidden_size, ids)?;
        let mut hidden = Vec::new();
        for layer in &mut self.layers {
            if keep_hidden {
                hidden.push(h.clone());
            }
            layer.forward(&self.config, self.len, self.round_cache_to_f16, &mut h, &mut |_, _, _| ());
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
fn embed(embedding: &[f32], d: usize, ids: &[u32]) -> Result<Vec<f32>> {
    let mut h = Vec::with_capacity(ids.len() * d);
    for &id in ids {
        let row = id as usize * d;
        let row = embedding.get(row..row + d);
        h.extend_from_slice(row.ok_or_else(|| Error::invalid_argument(format!("Token id {id} is out of range.")))?);
    }
    Ok(h)
}

/// Is told what a table meets: rows of inputs.
type Observer<'a> = &'a mut dyn FnMut(Pattention, Side, &[f32]);

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
        Ok(Self { tables, keys: Vec::new(), values: Vec::new() })
    }

    /// Forgets all but the first `keep` elements of the KV cache's keys, and values.
    fn truncate(&mut self, keep: usize) {
        self.keys.truncate(keep);
        self.values.truncate(keep);
    }

    fn table_mut(&mut self, pattention: Pattention, side: Side) -> &mut Vec<f32> {
        let tables = &mut self.tables[pattention as usize];
        match side {
            Side::Keys => &mut tables.keys,
            Side::Values => &mut tables.values,
        }
    }

    /// h += attention(LN(h)); h += mlp(LN(h)), for rows that stand at positions `past`….
    fn forward(&mut self, config: &ModelConfig, past: usize, round_to_f16: bool, h: &mut [f32], observer: Observer) {
        let d = config.hidden_size;
        let tables = &self.tables;
        let mut pattention = |which: Pattention, x: &[f32]| {
            tables[which as usize].apply(config, x, &mut |side, inputs| observer(which, side, inputs))
        };
        let add = |h: &mut [f32], y: &[f32]| h.iter_mut().zip(y).for_each(|(h, y)| *h += y);
        let u = layer_norm(h, d, config.layernorm_epsilon as f32);
        let mut q = pattention(Pattention::Query, &u);
        let mut k = pattention(Pattention::Key, &u);
        let mut v = pattention(Pattention::Value, &u);
        rotate(config, past, &mut q);
        rotate(config, past, &mut k);
        if round_to_f16 {
            k.iter_mut().chain(&mut v).for_each(|x| *x = f16::from_f32(*x).to_f32());
        }
        self.keys.extend_from_slice(&k);
        self.values.extend_from_slice(&v);
        let mixed = attention(config, past, &q, &self.keys, &self.values);
        add(h, &pattention(Pattention::Proj, &mixed));
        let u = layer_norm(h, d, config.layernorm_epsilon as f32);
        add(h, &pattention(Pattention::Mlp, &u));
    }
}

impl PattentionTables {
    /// y = Θ(x·Kᵀ)·P for each row of `x`.
    fn apply(&self, config: &ModelConfig, x: &[f32], observer: &mut dyn FnMut(Side, &[f32])) -> Vec<f32> {
        observer(Side::Keys, x);
        let mut scores = matmul_transposed(x, &self.keys, config.hidden_size);
        let padded = padded_slots(self.slots);
        for row in scores.chunks_exact_mut(padded) {
            let (row, padding) = row.split_at_mut(self.slots);
            normalize(config.norm_activation_type, row);
            padding.fill(0.0);
        }
        observer(Side::Values, &scores);
        matmul_transposed(&scores, &self.values, padded)
    }
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
