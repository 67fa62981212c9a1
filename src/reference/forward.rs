//! The forward pass, and its KV cache.

use super::math::{attention, gelu, layer_norm, matmul_transposed, rotate, scale_and_shift, theta};
use crate::checkpoint::TableSource;
use crate::checkpoint::layout::{Side, TensorId, padded_slots};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::packs::{Merged, MergedTokens};
use crate::pattention::Pattention;
use half::f16;

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
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

/// A model with its KV cache.
pub struct Reference {
    pub(crate) config: ModelConfig,
    /// E[V, d].
    pub(crate) embedding: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    /// Of each layer.
    pub(crate) caches: Vec<Cache>,
    pub(crate) norm_weight: Vec<f32>,
    pub(crate) norm_bias: Vec<f32>,
    /// Active token packs.
    pub(crate) packs: Merged,
    pub(crate) round_cache_to_f16: bool,
    pub(crate) len: usize,
}

/// The result of a forward pass: rows for the tokens that it was given.
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
            packs: Merged::default(),
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
        self.forward_watched(ids, keep_hidden, &mut |_, _, _| ())
    }

    /// The same, and shows `watch` what each layer's Pattentions are given: the layer, which one, x[T, d].
    pub(super) fn forward_watched(
        &mut self,
        ids: &[u32],
        keep_hidden: bool,
        watch: &mut dyn FnMut(usize, Pattention, &[f32]),
    ) -> Result<Forward> {
        let mut h = embed(&self.embedding, self.config.hidden_size, ids)?;
        let mut hidden = Vec::new();
        for (index, (layer, cache)) in self.layers.iter().zip(&mut self.caches).enumerate() {
            if keep_hidden {
                hidden.push(h.clone());
            }
            let caches = std::slice::from_mut(cache);
            let packs = self.packs.layers.get(index);
            let watch = &mut |which: Pattention, x: &[f32]| watch(index, which, x);
            layer.forward_watched(&self.config, packs, (self.len, self.round_cache_to_f16), caches, &mut h, watch);
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
        scale_and_shift(&mut u, &self.norm_weight, &self.norm_bias);
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
    pub(crate) fn load(source: &mut impl TableSource, layer: usize) -> Result<Self> {
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

    /// h += attention(LN(h)); h += mlp(LN(h)), for rows at positions `past`… of the sequences of `caches`: the same
    /// number of rows of each, one sequence after the other.
    pub(crate) fn forward(
        &self,
        config: &ModelConfig,
        packs: Option<&[MergedTokens; 5]>,
        past: usize,
        round_to_f16: bool,
        caches: &mut [Cache],
        h: &mut [f32],
    ) {
        self.forward_watched(config, packs, (past, round_to_f16), caches, h, &mut |_, _| ());
    }

    /// The same, and shows `watch` what each Pattention is given.
    fn forward_watched(
        &self,
        config: &ModelConfig,
        packs: Option<&[MergedTokens; 5]>,
        (past, round_to_f16): (usize, bool),
        caches: &mut [Cache],
        h: &mut [f32],
        watch: &mut dyn FnMut(Pattention, &[f32]),
    ) {
        let mut pattention = |which: Pattention, x: &[f32]| {
            watch(which, x);
            self.tables[which as usize].apply(config, x, packs.map(|packs| &packs[which as usize]))
        };
        let u = layer_norm(h, config.hidden_size, config.layernorm_epsilon as f32);
        let [q, k, v] = [Pattention::Query, Pattention::Key, Pattention::Value].map(|which| pattention(which, &u));
        let mixed = self_attention(config, past, round_to_f16, caches, [q, k, v]);
        add(h, &pattention(Pattention::Proj, &mixed));
        let u = layer_norm(h, config.hidden_size, config.layernorm_epsilon as f32);
        add(h, &pattention(Pattention::Mlp, &u));
    }
}

impl PattentionTables {
    /// y = Θ(x·Kᵀ)·P for each row of `x`, and what packs add.
    pub(crate) fn apply(&self, config: &ModelConfig, x: &[f32], packs: Option<&MergedTokens>) -> Vec<f32> {
        let weights = slot_weights(config, self.slots, x, &self.keys);
        let mut y = matmul_transposed(&weights, &self.values, padded_slots(self.slots));
        if let Some(packs) = packs.filter(|packs| !packs.is_empty()) {
            add(&mut y, &self.of_packs(config.hidden_size, x, packs));
        }
        y
    }

    /// Σ_j c_j·gelu(x·k_j/‖s‖·√n)·v_j, where s = x·Kᵀ are the base's scores: 0 where their norm is 0.
    fn of_packs(&self, d: usize, x: &[f32], packs: &MergedTokens) -> Vec<f32> {
        let scores = matmul_transposed(x, &self.keys, d);
        let pack_scores = matmul_transposed(x, &packs.keys, d);
        let d_out = packs.values.len() / packs.len();
        let mut y = Vec::with_capacity(x.len() / d * d_out);
        let rows = scores.chunks_exact(padded_slots(self.slots)).zip(pack_scores.chunks_exact(packs.len()));
        for (scores, pack_scores) in rows {
            let norm = scores[..self.slots].iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
            let scale = if norm > 0.0 { ((self.slots as f64).sqrt() / norm) as f32 } else { 0.0 };
            let mut sums = vec![0.0; d_out];
            for ((s, c), v) in pack_scores.iter().zip(&packs.strengths).zip(packs.values.chunks_exact(d_out)) {
                let weight = c * gelu(s * scale);
                sums.iter_mut().zip(v).for_each(|(sum, v)| *sum += weight * v);
            }
            y.extend(sums);
        }
        y
    }
}

/// Θ(x·Kᵀ), [T, n_padded], of `x[T, d_in]` and `keys`, K[n_padded, d_in]; 0 for padding.
pub(crate) fn slot_weights(config: &ModelConfig, slots: usize, x: &[f32], keys: &[f32]) -> Vec<f32> {
    let mut scores = matmul_transposed(x, keys, config.hidden_size);
    for row in scores.chunks_exact_mut(padded_slots(slots)) {
        let (row, padding) = row.split_at_mut(slots);
        theta(config.norm_activation_type, row);
        padding.fill(0.0);
    }
    scores
}

/// h += y.
pub(crate) fn add(h: &mut [f32], y: &[f32]) {
    h.iter_mut().zip(y).for_each(|(h, y)| *h += y);
}

/// Rotates queries and keys, appends keys and values to the caches, and mixes the values: [T, d] of `[q, k, v]`, [T, d]
/// each, whose rows are at positions `past`… of the sequences of `caches`, the same number of each.
pub(crate) fn self_attention(
    config: &ModelConfig,
    past: usize,
    round_to_f16: bool,
    caches: &mut [Cache],
    [mut q, mut k, mut v]: [Vec<f32>; 3],
) -> Vec<f32> {
    debug_assert!(q.len().is_multiple_of(caches.len() * config.hidden_size), "as many rows of each sequence");
    let (d, head) = (config.hidden_size, config.head_size());
    let rotary = (head, config.rotary_dims());
    let each = (q.len() / caches.len()).max(1); // 1: no rows at all are fine
    q.chunks_exact_mut(each)
        .chain(k.chunks_exact_mut(each))
        .for_each(|x| rotate(x, d, rotary, config.rotary_emb_base, past));
    if round_to_f16 {
        k.iter_mut().chain(&mut v).for_each(|x| *x = f16::from_f32(*x).to_f32());
    }
    let mut mixed = Vec::with_capacity(q.len());
    for (cache, ((q, k), v)) in
        caches.iter_mut().zip(q.chunks_exact(each).zip(k.chunks_exact(each)).zip(v.chunks_exact(each)))
    {
        cache.keys.extend_from_slice(k);
        cache.values.extend_from_slice(v);
        mixed.extend(attention(q, &cache.keys, &cache.values, (d, head), past));
    }
    mixed
}
